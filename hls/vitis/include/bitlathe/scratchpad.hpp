// scratchpad: the banks, and the one process that touches them during an EXEC.
// Function:   per cycle a read of every bank for the array, and one write of a result or read of a residual
// Interface:  addresses -> operands; residuals out; results in; nothing blocks, so nothing waits in a circle
// Latency:    3 cycles.   Throughput: PP words for the array and 1 result per cycle (II = 1).
// Reset:      none; contents stay from EXEC to EXEC
// Reference:  hls/rtl/scratchpad.sv
#ifndef BITLATHE_SCRATCHPAD_HPP
#define BITLATHE_SCRATCHPAD_HPP

#include "address.hpp"

namespace bitlathe {

// Words of a map in the order the output stage wants them: pixel by pixel, the pixel's channel tiles together.
// Packed tiles 2k and 2k + 1 are the low and high halves of plane k's bytes.
template <class Config>
struct MapWords {
  PixelWalker<Config> walker;
  int plane, sub_tiles, out_tiles, tile, sub;
  bool is_packed, done;

  MapWords(const PixelWalk &walk, int plane, const ExecFields &fields, bool is_packed, bool enabled)
      : walker(walk),
        plane(plane),
        sub_tiles(fields.sub_tiles),
        out_tiles(fields.out_tiles),
        tile(0),
        sub(0),
        is_packed(is_packed),
        done(!enabled) {}

  int line() const { return (int)walker.here.line + ((tile + sub) >> (is_packed ? 1 : 0)) * plane; }
  int bank() const { return (int)walker.here.bank; }
  int half() const { return (tile + sub) & 1; }

  void advance() {
#pragma HLS INLINE
    const bool pixel_end = sub + 1 == sub_tiles || tile + sub + 1 == out_tiles;
    sub = pixel_end ? 0 : sub + 1;
    if (pixel_end) {
      if (walker.map_end()) {
        tile += sub_tiles;
        done = tile >= out_tiles;
      }
      walker.advance();
    }
  }
};

template <class Config>
typename Config::Word with_half(const typename Config::Word &kept, const typename Config::Word &codes, int half) {
#pragma HLS INLINE
  typename Config::Word merged;
merge_bytes:
  for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
    const int code = (int)lane<8>(codes, i) & 0xF, old = (int)lane<8>(kept, i);
    set_lane<8>(merged, i, (UInt<8>)(half ? (old & 0x0F) | code << 4 : (old & 0xF0) | code));
  }
  return merged;
}

template <class Config>
typename Config::Operands read_lanes(const typename Config::Word banks[Config::kBanks][Config::kBankLines],
                                     const Packed<Config::kPP, kAddressBits> &addresses, UInt<8> padding) {
#pragma HLS INLINE
  typename Config::Word words[Config::kBanks];
#pragma HLS ARRAY_PARTITION variable=words complete dim=1
read_banks:
  for (int b = 0; b < Config::kBanks; ++b) {
#pragma HLS UNROLL
    int line = 0, asked = 0;
  bank_lanes:
    for (int j = 0; j < Config::kPP; ++j) {
#pragma HLS UNROLL
      const uint32_t lane_bits = (uint32_t)lane<kAddressBits>(addresses, j);
      if ((lane_bits >> 20) && (int)(lane_bits >> 16 & 0xF) == b) {
        line = (int)(lane_bits & 0xFFFF);
        ++asked;
      }
    }
    BITLATHE_CHECK(asked <= 1, "two pixels of a group ask one bank");
    words[b] = banks[b][line];
  }
  typename Config::Operands operands;
select_lanes:
  for (int j = 0; j < Config::kPP; ++j) {
#pragma HLS UNROLL
    const uint32_t lane_bits = (uint32_t)lane<kAddressBits>(addresses, j);
    const int bank = (int)(lane_bits >> 16 & 0xF);
  select_bytes:
    for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
      set_lane<8>(operands, j * Config::kPI + i, (lane_bits >> 20) ? lane<8>(words[bank], i) : padding);
    }
  }
  return operands;
}

template <class Config>
void scratchpad(ExecFields fields, typename Config::Word banks[Config::kBanks][Config::kBankLines],
                Stream<Packed<Config::kPP, kAddressBits>, 8> &addresses,
                Stream<typename Config::Operands, 16> &operands, Stream<typename Config::Word, 16> &residuals,
                Stream<typename Config::Word, 16> &results) {
  MapWords<Config> result(fields.output, fields.out_plane, fields, fields.out_packed, true);
  MapWords<Config> residual(fields.residual, fields.res_plane, fields, fields.res_packed, fields.has_residual);
  const UInt<8> padding = fields.is_max && fields.in_signed ? 0x80 : 0;
  // A packed result keeps the other half of its bytes: its word is read in the cycle before it is written, as the
  // second port of a bank does one or the other.
  typename Config::Word kept;
  bool has_kept = false;
scratchpad_cycles:
  while (!result.done) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=1048576 avg=9216
#pragma HLS DEPENDENCE variable=banks inter false
    const bool feeds = !addresses.empty() && !operands.full();
    const bool writes = !results.empty();
    const bool keeps = writes && fields.out_packed && !has_kept;
    const bool fetches = !writes && !residual.done && !residuals.full();
    const int line = writes ? result.line() : residual.line();
    const int bank = writes ? result.bank() : residual.bank();
    BITLATHE_CHECK(!(writes || fetches) || (line >= 0 && line < Config::kBankLines), "EXEC beyond the scratchpad");
    if (feeds) operands.write(read_lanes<Config>(banks, addresses.read(), padding));
    if (writes && !keeps) {
      const typename Config::Word codes = results.read();
      const typename Config::Word word = fields.out_packed ? with_half<Config>(kept, codes, result.half()) : codes;
      banks[bank][line] = word;
      result.advance();
      // The other half of the same word comes next: it must not read what is still on its way into the bank.
      kept = word;
      has_kept = fields.out_packed && result.line() == line && result.bank() == bank;
    } else if (keeps || fetches) {
      const typename Config::Word word = banks[bank][line];
      if (fetches) {
        residuals.write(word);
        residual.advance();
      }
      kept = word;
      has_kept = keeps;
    }
    if (keeps) progress();
    if (!feeds && !writes && !fetches) idle();
  }
}

}  // namespace bitlathe

#endif
