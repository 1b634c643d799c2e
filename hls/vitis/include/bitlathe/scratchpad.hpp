// scratchpad: the banks, and the one process that touches them during an EXEC.
// Function:   per cycle a read of every bank for the array, and one write of a result or read of a residual
// Interface:  addresses -> operands; residuals out; results in; nothing blocks, so nothing waits in a circle
// Latency:    3 cycles.   Throughput: PP words for the array and 1 result per cycle (II = 1).
// Reset:      none; contents stay from EXEC to EXEC
// Reference:  hls/rtl/scratchpad.sv
#ifndef BITLATHE_SCRATCHPAD_HPP
#define BITLATHE_SCRATCHPAD_HPP

#include "bitlathe/address.hpp"

namespace bitlathe {

// Words of a map in the order the output stage wants them: pixel by pixel, the pixel's channel tiles together.
template <class Config>
struct MapWords {
  PixelWalker<Config> walker;
  int plane, sub_tiles, sub, tiles_left;
  bool done;

  MapWords(const PixelWalk &walk, int plane, int sub_tiles, int out_tiles, bool enabled)
      : walker(walk), plane(plane), sub_tiles(sub_tiles), sub(0), tiles_left(out_tiles), done(!enabled) {}

  int line() const { return (int)walker.here.line + sub * plane; }
  int bank() const { return (int)walker.here.bank; }

  void advance() {
#pragma HLS INLINE
    const int present = tiles_left < sub_tiles ? tiles_left : sub_tiles;
    const bool pixel_end = sub + 1 == present;
    sub = pixel_end ? 0 : sub + 1;
    if (pixel_end) {
      if (walker.map_end()) {
        tiles_left -= sub_tiles;
        done = tiles_left <= 0;
      }
      walker.advance();
    }
  }
};

template <class Config>
typename Config::Operands read_lanes(
    const typename Config::Word banks[Config::kBanks][Config::kBankLines],
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
  MapWords<Config> result(fields.output, fields.out_plane, fields.sub_tiles, fields.out_tiles, true);
  MapWords<Config> residual(fields.residual, fields.res_plane, fields.sub_tiles, fields.out_tiles,
                            fields.has_residual);
  const UInt<8> padding = fields.is_max && fields.in_signed ? 0x80 : 0;
scratchpad_cycles:
  while (!result.done) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=1048576 avg=9216
#pragma HLS DEPENDENCE variable=banks inter false
    const bool feeds = !addresses.empty() && !operands.full();
    const bool writes = !results.empty();
    const bool fetches = !writes && !residual.done && !residuals.full();
    if (feeds) operands.write(read_lanes<Config>(banks, addresses.read(), padding));
    if (writes) {
      BITLATHE_CHECK(result.line() >= 0 && result.line() < Config::kBankLines, "EXEC writes beyond the scratchpad");
      banks[result.bank()][result.line()] = results.read();
      result.advance();
    } else if (fetches) {
      BITLATHE_CHECK(residual.line() >= 0 && residual.line() < Config::kBankLines, "EXEC reads a residual beyond the scratchpad");
      residuals.write(banks[residual.bank()][residual.line()]);
      residual.advance();
    }
    if (!feeds && !writes && !fetches) idle();
  }
}

}  // namespace bitlathe

#endif
