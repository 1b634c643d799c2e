// reach: the words that an EXEC touches at most, from its fields in closed form.
// Function:   exec_matches(): the steps are those of one raster; exec_is_inside(): all words are in the two stores
// Interface:  descriptor whose counts and banks are possible in, answer out
// Latency:    combinational
// Reset:      none
// Reference:  hls/checks.py; hls/rtl/reach_check.sv
#ifndef BITLATHE_REACH_HPP
#define BITLATHE_REACH_HPP

#include "descriptor.hpp"
#include "shape.hpp"

namespace bitlathe {

enum { kLastPlace = 4095 };  // row or column of a window: coordinates are signed 13-bit numbers

inline int64_t times(int32_t count, int32_t step) {
#pragma HLS INLINE
  return (int64_t)count * step;
}

inline int32_t least(int32_t first, int32_t second) {
#pragma HLS INLINE
  return first < second ? first : second;
}

// A (line, bank) pair as one number, so that a step is a sum.
template <class Config>
int32_t place(int32_t line, uint32_t bank) {
#pragma HLS INLINE
  return line * Config::kBanks + (int32_t)bank;
}

// Positions from a row of the input to the next.
template <class Config>
int32_t map_pitch(const Descriptor &d) {
#pragma HLS INLINE
  return place<Config>((int32_t)field<exec::pitch_line>(d), field<exec::pitch_bank>(d));
}

// Rows from the first window's origin to the last one's last row.
inline int32_t rows_reached(const Descriptor &d) {
#pragma HLS INLINE
  return (int32_t)times(field<exec::out_h>(d) - 1, stride_h(d)) +
         (int32_t)times(field<exec::kernel_h>(d) - 1, field<exec::tap_rows>(d));
}

inline int32_t columns_reached(const Descriptor &d) {
#pragma HLS INLINE
  return (int32_t)times(field<exec::out_w>(d) - 1, stride_w(d)) +
         (int32_t)times(field<exec::kernel_w>(d) - 1, field<exec::tap_step>(d));
}

inline int32_t exec_passes(const Descriptor &d) {
#pragma HLS INLINE
  return (int32_t)((field<exec::out_tiles>(d) - 1) / field<exec::sub_tiles>(d)) + 1;
}

template <class Config>
bool exec_matches(const Descriptor &d) {
#pragma HLS INLINE
  const int32_t pitch = map_pitch<Config>(d);
  const int32_t tap_row = place<Config>(signed_field<exec::tap_row_line>(d), field<exec::tap_row_bank>(d)) +
                          (int32_t)times(field<exec::kernel_w>(d) - 1, field<exec::tap_step>(d));
  const int32_t in_row = place<Config>(signed_field<exec::in_row_line>(d), field<exec::in_row_bank>(d)) +
                         (int32_t)times(field<exec::out_w>(d) - 1, stride_w(d));
  const bool has_rows = field<exec::has_residual>(d) && !field<exec::res_still>(d);
  const bool rises = signed_field<exec::out_row_line>(d) < 0 || (has_rows && signed_field<exec::res_row_line>(d) < 0);
  const bool ends_late = signed_field<exec::start_y>(d) + rows_reached(d) > kLastPlace ||
                         signed_field<exec::start_x>(d) + columns_reached(d) > kLastPlace;
  return tap_row == times(field<exec::tap_rows>(d), pitch) && in_row == times(stride_h(d), pitch) && !rises &&
         !ends_late;
}

template <class Config>
bool source_is_inside(const Descriptor &d) {
#pragma HLS INLINE
  const int32_t start_y = signed_field<exec::start_y>(d), start_x = signed_field<exec::start_x>(d);
  const int32_t above = start_y < 0 ? -start_y : 0, left = start_x < 0 ? -start_x : 0;
  const int32_t last_row = least(rows_reached(d), (int32_t)field<exec::in_h>(d) - 1 - start_y);
  const int32_t last_column = least(columns_reached(d), (int32_t)field<exec::in_w>(d) - 1 - start_x);
  if (last_row < above || last_column < left) return true;  // nothing but padding
  const int32_t first = place<Config>(signed_field<exec::in_line>(d), field<exec::in_bank>(d));
  const int32_t pitch = map_pitch<Config>(d);
  const int64_t lines = times(field<exec::ci_tiles>(d) - 1, field<exec::in_plane>(d)) +
                        times(exec_passes(d) - 1, field<exec::in_tile_step>(d));
  const int64_t last = first + times(last_row, pitch) + last_column + lines * Config::kBanks;
  return first + times(above, pitch) + left >= 0 && last < Config::kBanks * Config::kBankLines;
}

// Whether an output or a residual is in the scratchpad: the last word of a row is `width` positions after its first,
// the first of the next row `row` positions after that.
template <class Config>
bool map_is_inside(const Descriptor &d, int32_t first, int32_t width, int32_t row, uint32_t plane, bool is_packed) {
#pragma HLS INLINE
  const int32_t planes = (field<exec::out_tiles>(d) - 1) >> (is_packed ? 1 : 0);
  const int64_t last =
      first + width + times(field<exec::out_h>(d) - 1, row + width) + times(planes, (int32_t)(plane * Config::kBanks));
  return last < Config::kBanks * Config::kBankLines;
}

template <class Config>
bool weights_are_inside(const Descriptor &d) {
#pragma HLS INLINE
  const bool is_max = field<exec::is_max>(d) != 0;
  const uint32_t taps =
      field<exec::hold_weights>(d) ? 1 : field<exec::kernel_h>(d) * field<exec::kernel_w>(d) * field<exec::ci_tiles>(d);
  const uint32_t passes = is_max || field<exec::repeat_weights>(d) ? 1 : exec_passes(d);
  const uint64_t lines = (uint64_t)passes * (1 + (is_max ? 0 : taps));
  return field<exec::weight_line>(d) + lines <= Config::kWeightLines;
}

template <class Config>
bool exec_is_inside(const Descriptor &d) {
#pragma HLS INLINE
  const int32_t out = place<Config>(field<exec::out_line>(d), field<exec::out_bank>(d));
  const int32_t out_row = place<Config>(signed_field<exec::out_row_line>(d), field<exec::out_row_bank>(d));
  const int32_t res = place<Config>(field<exec::res_line>(d), field<exec::res_bank>(d));
  const int32_t res_row = place<Config>(signed_field<exec::res_row_line>(d), field<exec::res_row_bank>(d));
  const int32_t columns = field<exec::out_w>(d) - 1, out_width = (int32_t)times(columns, field<exec::out_step>(d));
  const bool stays = field<exec::res_still>(d) != 0;
  const bool output =
      map_is_inside<Config>(d, out, out_width, out_row, field<exec::out_plane>(d), field<exec::out_packed>(d) != 0);
  const bool residual = !field<exec::has_residual>(d) ||
                        map_is_inside<Config>(d, res, stays ? 0 : columns, stays ? 0 : res_row,
                                              field<exec::res_plane>(d), field<exec::res_packed>(d) != 0);
  return source_is_inside<Config>(d) && output && residual && weights_are_inside<Config>(d);
}

}  // namespace bitlathe

#endif
