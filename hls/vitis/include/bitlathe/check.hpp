// check: is a header or a descriptor one that the engine can execute?
// Function:   ErrorCode of a header, of a descriptor, of a descriptor's waits
// Interface:  descriptor in, code out
// Latency:    combinational
// Reset:      none
// Reference:  hls/checks.py; hls/rtl/fetch.sv, field_check.sv, reach_check.sv
#ifndef BITLATHE_CHECK_HPP
#define BITLATHE_CHECK_HPP

#include "reach.hpp"

namespace bitlathe {

template <class Config>
uint32_t check_header(const Descriptor &d) {
#pragma HLS INLINE
  const uint32_t below_word = Config::kPI - 1;
  const bool known = field<header::magic>(d) == kMagic && field<header::version>(d) == kVersion &&
                     field<header::identity>(d) == Config::kIdentity;
  const uint32_t descriptors = field<header::descriptors>(d);
  const bool aligned =
      !(field<header::input_stride>(d) & below_word) && !(field<header::output_stride>(d) & below_word);
  return known && aligned && descriptors != 0 && descriptors <= 0xFFFF ? kErrorNone : kErrorBadHeader;
}

template <class Config>
bool bad_space(const Descriptor &d, bool is_store) {
#pragma HLS INLINE
  const uint32_t space = field<move::space>(d);
  return space > kSpaceScratch || (is_store && space < kSpaceOutput) ||
         (field<move::offset>(d) & (Config::kPI - 1)) != 0;
}

template <class Config>
bool bad_move(const Descriptor &d) {
#pragma HLS INLINE
  return (field<move::segment_stride>(d) & (Config::kPI - 1)) != 0 || field<move::segment_words>(d) == 0 ||
         field<move::segments>(d) == 0 || field<move::row_words>(d) == 0 || field<move::bank>(d) >= Config::kBanks ||
         field<move::row_bank>(d) >= Config::kBanks;
}

inline bool bad_weights(const Descriptor &d) {
#pragma HLS INLINE
  const uint32_t encoding = field<weights::encoding>(d);
  const bool in_passes = encoding != kEncodingColumns && encoding != kEncodingCodebook && encoding != kEncodingTable;
  const bool sparse = encoding == kEncodingSparse;
  return field<weights::beats>(d) == 0 || encoding > kEncodingSparse ||
         (in_passes && field<weights::pass_lines>(d) == 0) || (field<weights::lines>(d) != 0) != sparse ||
         (field<weights::narrow>(d) != 0 && !sparse);
}

template <class Config>
bool bad_exec(const Descriptor &d) {
#pragma HLS INLINE
  const uint32_t lanes = field<exec::group_lanes>(d), sub_tiles = field<exec::sub_tiles>(d);
  const uint32_t row = field<exec::kernel_w>(d) * field<exec::ci_tiles>(d);
  const uint32_t skip = field<exec::skip_weights>(d);  // taken for padding here: it gives the same sums
  const bool slow = field<exec::has_residual>(d) && !field<exec::res_fast>(d);
  const uint32_t words = (lanes * (sub_tiles == 1 ? 1 : Config::kSubTiles)) << (slow ? 1 : 0);
  const bool short_of_cycles =
      field<exec::group_cycles>(d) < words + skip || field<exec::group_cycles>(d) < field<exec::kernel_h>(d) * row;
  const bool skips_wrong = skip != 0 && (skip != row || field<exec::kernel_h>(d) < 2 || field<exec::tap_rows>(d) != 1);
  const uint32_t most = field<exec::in_packed>(d) ? 2 * Config::kHalves : Config::kPP;
  return lanes == 0 || lanes > most || (sub_tiles != 1 && sub_tiles != Config::kSubTiles) || short_of_cycles ||
         skips_wrong || field<exec::tap_rows>(d) == 0 || field<exec::tap_step>(d) == 0 ||
         field<exec::out_step>(d) == 0 || field<exec::kernel_h>(d) == 0 || field<exec::kernel_w>(d) == 0 ||
         field<exec::ci_tiles>(d) == 0 || field<exec::out_h>(d) == 0 || field<exec::out_w>(d) == 0 ||
         field<exec::out_tiles>(d) == 0;
}

// Flags that need others, or that others exclude.
inline bool bad_exec_flags(const Descriptor &d) {
#pragma HLS INLINE
  const bool is_max = field<exec::is_max>(d) != 0, has_residual = field<exec::has_residual>(d) != 0;
  const bool is_packed = field<exec::in_packed>(d) || field<exec::out_packed>(d) || field<exec::res_packed>(d);
  const bool table = !field<exec::has_table>(d) && field<exec::table>(d) != 0;
  const bool product = field<exec::is_product>(d) && (!is_max || !has_residual || is_packed);
  const bool still = field<exec::res_still>(d) && !has_residual;
  const bool holds =
      field<exec::hold_weights>(d) && (is_max || field<exec::ci_tiles>(d) != 1 || field<exec::skip_weights>(d) != 0);
  return table || product || still || holds;
}

template <class Config>
bool bad_exec_bank(const Descriptor &d) {
#pragma HLS INLINE
  return field<exec::in_bank>(d) >= Config::kBanks || field<exec::pitch_bank>(d) >= Config::kBanks ||
         field<exec::in_row_bank>(d) >= Config::kBanks || field<exec::tap_row_bank>(d) >= Config::kBanks ||
         field<exec::out_bank>(d) >= Config::kBanks || field<exec::out_row_bank>(d) >= Config::kBanks ||
         field<exec::res_bank>(d) >= Config::kBanks || field<exec::res_row_bank>(d) >= Config::kBanks;
}

template <class Config>
uint32_t check_descriptor(const Descriptor &d, bool is_last) {
#pragma HLS INLINE
  const uint32_t opcode = field<common::opcode>(d);
  bool bad = false;
  if (opcode > kOpStore || (opcode == kOpEnd) != is_last) return kErrorBadOpcode;
  if (opcode == kOpLoad || opcode == kOpStore) bad = bad_space<Config>(d, opcode == kOpStore) || bad_move<Config>(d);
  if (opcode == kOpLoadWeights) bad = bad_space<Config>(d, false) || bad_weights(d);
  if (opcode == kOpExec)
    bad = bad_exec<Config>(d) || bad_exec_flags(d) || bad_exec_bank<Config>(d) || !exec_matches<Config>(d);
  if (bad) return kErrorBadField;
  return opcode == kOpExec && !exec_is_inside<Config>(d) ? kErrorOutOfBounds : kErrorNone;
}

}  // namespace bitlathe

#endif
