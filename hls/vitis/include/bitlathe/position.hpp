// position: places in the scratchpad as (line, bank) pairs, and walks over a map's pixels.
// Function:   add(position, step): banks carry into lines, no division; columns_step(): a step as a position;
//             PixelWalker: raster order, map after map
// Interface:  plain values
// Latency:    none
// Reset:      none
// Reference:  hls/program/moves.py, add_positions(); hls/rtl/pixel_walker.sv
#ifndef BITLATHE_POSITION_HPP
#define BITLATHE_POSITION_HPP

#include "types.hpp"

namespace bitlathe {

struct Position {
  Int<18> line;  // two bits more than a line has: steps out of range stay out of range
  UInt<4> bank;
};

inline Position position(int line, int bank) {
#pragma HLS INLINE
  Position made;
  made.line = line;
  made.bank = bank;
  return made;
}

template <class Config>
Position add(const Position &first, const Position &second) {
#pragma HLS INLINE
  const int bank = (int)first.bank + (int)second.bank;
  const bool wraps = bank >= Config::kBanks;
  return position((int)first.line + (int)second.line + (wraps ? 1 : 0), wraps ? bank - Config::kBanks : bank);
}

enum { kStepBits = 6 };  // of a step in columns

// A step of some columns, which may be beyond the last bank: a comparator a line, since a division is a circuit.
template <class Config>
Position columns_step(UInt<kStepBits> columns) {
#pragma HLS INLINE
  int lines = 0;
step_lines:
  for (int l = 0; l < Config::kStepLines; ++l) {
#pragma HLS UNROLL
    if ((int)columns >= (l + 1) * Config::kBanks) lines = l + 1;
  }
  return position(lines, (int)columns - lines * Config::kBanks);
}

// A map's pixels: a step inside a row, a row step at its end, `map_lines` further after the last.
struct PixelWalk {
  Position origin, step, row_step;
  int map_lines;
  UInt<12> rows, columns;
};

template <class Config>
struct PixelWalker {
  PixelWalk walk;
  Position here, map;
  UInt<12> x, y;

  explicit PixelWalker(const PixelWalk &walk) : walk(walk), here(walk.origin), map(walk.origin), x(0), y(0) {}

  bool row_end() const { return (int)x + 1 == (int)walk.columns; }
  bool map_end() const { return row_end() && (int)y + 1 == (int)walk.rows; }

  void advance() {
#pragma HLS INLINE
    const bool at_row_end = row_end(), at_map_end = map_end();
    if (at_map_end) {
      map.line = (int)map.line + walk.map_lines;
      here = map;
    } else {
      here = add<Config>(here, at_row_end ? walk.row_step : walk.step);
    }
    x = at_row_end ? 0 : (int)x + 1;
    if (at_row_end) y = at_map_end ? 0 : (int)y + 1;
  }
};

}  // namespace bitlathe

#endif
