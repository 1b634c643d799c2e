// gather: pixels of the output map in raster order, collected into groups that share the array.
// Function:   one PixelGroup for up to group_lanes pixels; a group ends with its map, and with its row where rows break
// Interface:  EXEC fields -> stream of groups
// Latency:    1 cycle a pixel.   Throughput: a group in group_lanes cycles, hidden under the group before.
// Reset:      none
// Reference:  hls/rtl/sequencer.sv, gathering
#ifndef BITLATHE_GATHER_HPP
#define BITLATHE_GATHER_HPP

#include "exec_fields.hpp"
#include "stream.hpp"

namespace bitlathe {

// A lane: bits 17:0 line (signed), 21:18 bank, 34:22 row, 47:35 column (signed) of its window's origin.
enum { kPixelBits = 48 };

template <class Config>
struct PixelGroup {
  Packed<Config::kPP, kPixelBits> pixels;
  UInt<4> count;
  bool map_end, final;
};

inline UInt<kPixelBits> pack_pixel(const Position &origin, int row, int column) {
#pragma HLS INLINE
  const uint64_t line = (uint64_t)(int64_t)(int)origin.line & 0x3FFFF;
  const uint64_t bank = (uint64_t)(int)origin.bank << 18;
  const uint64_t y = ((uint64_t)(int64_t)row & 0x1FFF) << 22;
  const uint64_t x = ((uint64_t)(int64_t)column & 0x1FFF) << 35;
  return (UInt<kPixelBits>)(line | bank | y | x);
}

// Bits `width` of a packed pixel from `lsb`, as a signed number.
inline int unpack_signed(UInt<kPixelBits> pixel, int lsb, int width) {
#pragma HLS INLINE
  const int64_t bits = (int64_t)((uint64_t)pixel << (64 - lsb - width));
  return (int)(bits >> (64 - width));
}

template <class Config>
void gather(ExecFields fields, Stream<PixelGroup<Config>, 4> &groups) {
  PixelWalker<Config> walker(fields.input);
  PixelGroup<Config> group;
  int row = fields.start_y, column = fields.start_x, tiles_left = fields.out_tiles, count = 0;
  bool final = false;
gather_pixels:
  while (!final) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=65536 avg=1024
    const bool row_end = walker.row_end(), map_end = walker.map_end();
    set_lane<kPixelBits>(group.pixels, count, pack_pixel(walker.here, row, column));
    ++count;
    final = map_end && tiles_left <= (int)fields.sub_tiles;
    if (map_end || (fields.row_break && row_end) || count == (int)fields.group_lanes) {
      group.count = count;
      group.map_end = map_end;
      group.final = final;
      groups.write(group);
      count = 0;
    }
    if (map_end) tiles_left -= (int)fields.sub_tiles;
    column = row_end ? (int)fields.start_x : column + (int)fields.stride_w;
    if (row_end) row = map_end ? (int)fields.start_y : row + (int)fields.stride_h;
    walker.advance();
  }
}

}  // namespace bitlathe

#endif
