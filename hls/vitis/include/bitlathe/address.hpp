// address: the cycles of a pixel group: kernel taps, input channel tiles innermost.
// Function:   a cycle's PP scratchpad places and its weight line; a line of parameters before each output tile
// Interface:  stream of groups -> addresses to the scratchpad, commands to the array
// Latency:    3 cycles.   Throughput: 1 cycle of the array per cycle (II = 1).
// Reset:      none
// Reference:  hls/rtl/sequencer.sv, feeding
#ifndef BITLATHE_ADDRESS_HPP
#define BITLATHE_ADDRESS_HPP

#include "gather.hpp"

namespace bitlathe {

// A lane: bits 15:0 line, 19:16 bank, 20 on.
enum { kAddressBits = 21 };

struct Command {
  UInt<16> weight_line;
  UInt<4> count;  // pixels of the group
  bool is_parameters, first, last, tile_first, final;
};

template <class Config>
struct Tap {
  UInt<12> tile;  // input channel tile
  UInt<8> row, column;
  UInt<13> map_row, map_column;  // rows and columns of the map from the window's origin
  Position offset;
  int tile_lines;

  Tap() : tile(0), row(0), column(0), map_row(0), map_column(0), offset(position(0, 0)), tile_lines(0) {}

  void advance(const ExecFields &fields) {
#pragma HLS INLINE
    const bool tile_end = (int)tile + 1 == (int)fields.ci_tiles;
    const bool column_end = (int)column + 1 == (int)fields.kernel_w;
    tile = tile_end ? 0 : (int)tile + 1;
    tile_lines = tile_end ? 0 : tile_lines + (int)fields.in_plane;
    if (tile_end) {
      offset = add<Config>(offset, column_end ? fields.tap_row_step : fields.tap_step_position);
      column = column_end ? 0 : (int)column + 1;
      map_column = column_end ? 0 : (int)map_column + (int)fields.tap_step;
      if (column_end) {
        row = (int)row + 1;
        map_row = (int)map_row + (int)fields.tap_rows;
      }
    }
  }

  bool is_first() const { return (int)tile == 0 && (int)column == 0 && (int)row == 0; }
  bool is_last(const ExecFields &fields) const {
    return (int)tile + 1 == (int)fields.ci_tiles && (int)column + 1 == (int)fields.kernel_w &&
           (int)row + 1 == (int)fields.kernel_h;
  }
};

template <class Config>
UInt<kAddressBits> lane_address(const ExecFields &fields, UInt<kPixelBits> pixel, bool has_pixel,
                                const Tap<Config> &tap) {
#pragma HLS INLINE
  const Position origin = position(unpack_signed(pixel, 0, 18), (int)((uint64_t)pixel >> 18 & 0xF));
  const int row = unpack_signed(pixel, 22, 13) + (int)tap.map_row;
  const int column = unpack_signed(pixel, 35, 13) + (int)tap.map_column;
  const bool on = has_pixel && row >= 0 && row < (int)fields.in_h && column >= 0 && column < (int)fields.in_w;
  const Position place = add<Config>(origin, tap.offset);
  const int line = (int)place.line + tap.tile_lines;
  BITLATHE_CHECK(!on || (line >= 0 && line < Config::kBankLines), "EXEC reads beyond the scratchpad");
  return (UInt<kAddressBits>)((uint32_t)(line & 0xFFFF) | (uint32_t)(int)place.bank << 16 | (uint32_t)on << 20);
}

template <class Config>
void address(ExecFields fields, Stream<PixelGroup<Config>, 4> &groups,
             Stream<Packed<Config::kPP, kAddressBits>, 8> &addresses, Stream<Command, 32> &commands) {
  PixelGroup<Config> group;
  Tap<Config> tap;
  int line = fields.weight_line, tile_line = fields.weight_line;
  bool tile_first = true, due = true, final = false;
address_cycles:
  while (!final) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=1048576 avg=9216
    Command command;
    command.is_parameters = due;
    command.weight_line = line;
    if (due) {
      due = false;
      tile_line = fields.is_max ? line : line + 1;
      line = tile_line;
      command.first = command.last = command.tile_first = command.final = false;
      command.count = 0;
    } else {
      if (tap.is_first()) group = groups.read();
      command.first = tap.is_first();
      command.last = tap.is_last(fields);
      command.count = group.count;
      command.tile_first = tile_first;
      command.final = group.final;
      Packed<Config::kPP, kAddressBits> lanes;
    address_lanes:
      for (int j = 0; j < Config::kPP; ++j) {
#pragma HLS UNROLL
        const UInt<kPixelBits> pixel = lane<kPixelBits>(group.pixels, j);
        set_lane<kAddressBits>(lanes, j, lane_address<Config>(fields, pixel, j < (int)group.count, tap));
      }
      addresses.write(lanes);
      if (!fields.is_max && (!fields.hold_weights || command.last)) ++line;
      tap.advance(fields);
      if (command.last) {
        tap = Tap<Config>();
        tile_first = due = group.map_end && !group.final;
        if (!group.map_end)
          line = tile_line;
        else if (fields.repeats)
          line = fields.weight_line;
        final = group.final;
      }
    }
    commands.write(command);
  }
}

}  // namespace bitlathe

#endif
