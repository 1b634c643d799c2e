// Winograd's F(4x4, 3x3): the 4x4 outputs of a 3x3 window of stride 1 from 36 products instead of 144.
//
//   outputs = At [(G g Gt) * (Bt d B)] A     d: 6x6 codes, g: 3x3 weights, *: element by element
//
// Integers stay integers where G and A are scaled, rows 0 to 3 of A by 24, 12, 6 and 6 in all: 3 times 8, 4, 2 and 2.
// Sums are modulo 2**32, where the 9 of both axes has an inverse, so that a shift ends exactly where 64 times the products
// stay within int32. evaluator.py chooses this way only where that, and int16 for what is transformed, are proven.
// Source: Lavin and Gray 2015, arXiv:1509.09308.

#pragma once

#include "lanes.hpp"

namespace {

constexpr int kTileOutputs = 4, kTile = 6, kPositions = kTile * kTile;
constexpr int32_t kNinth = 0x38E38E39;               // 9 * kNinth = 1 modulo 2**32
constexpr int kPlaces[kTileOutputs] = {3, 2, 1, 1};  // powers of two in the scales

// Bt d: of six codes, `step` apart, in a column or row.
inline void spread(Codes* codes, int step) {
  Codes &a = codes[0], &b = codes[step], &c = codes[2 * step], &d = codes[3 * step], &e = codes[4 * step],
        &f = codes[5 * step];
  const Codes even = e - 4 * c, odd = d - 4 * b, even_half = e - c, odd_half = 2 * (d - b);
  a = 4 * (a - c) + even_half;
  f = f - d - 2 * odd_half;
  b = even + odd;
  c = even - odd;
  d = even_half + odd_half;
  e = even_half - odd_half;
}

// Bt d B of the 6x6 codes at `from`, `row` and `column` codes apart, to positions that are `step` codes apart.
inline void transform_codes(const int16_t* from, int64_t row, int64_t column, int16_t* to, int64_t step) {
  Codes tile[kPositions];
  for (int x = 0; x < kTile; x++) {
    for (int y = 0; y < kTile; y++) tile[y * kTile + x] = load_codes(from + y * row + x * column);
    spread(tile + x, kTile);
  }
  for (int y = 0; y < kTile; y++) {
    spread(tile + y * kTile, 1);
    for (int x = 0; x < kTile; x++) store_codes(tile[y * kTile + x], to + (y * kTile + x) * step);
  }
}

// At m, scaled: of six sums, `step` apart, in a column or row.
inline void gather(const Sums* sums, int64_t step, Sums* outputs, int output_step) {
  const Sums b = sums[step], c = sums[2 * step], d = sums[3 * step], e = sums[4 * step];
  const Sums near = b + c, near_odd = b - c, far = d + e, far_odd = d - e;
  outputs[0] = sums[0] - near.shifted(2) + far;
  outputs[output_step] = far_odd - near_odd.shifted(1);
  outputs[2 * output_step] = far - near;
  outputs[3 * output_step] = far_odd.shifted(1) - near_odd + sums[5 * step];
}

// At m A of 6x6 sums that are `step` apart: outputs [row][column].
inline void transform_sums(const Sums* sums, int64_t step, Sums* outputs) {
  Sums half[kTileOutputs * kTile];
  for (int x = 0; x < kTile; x++) gather(sums + x * step, kTile * step, half + x, kTile);
  for (int y = 0; y < kTileOutputs; y++) {
    Sums* row = outputs + y * kTileOutputs;
    gather(half + y * kTile, 1, row, 1);
    for (int x = 0; x < kTileOutputs; x++) row[x] = row[x].times(kNinth).divided(kPlaces[y] + kPlaces[x]);
  }
}

}  // namespace
