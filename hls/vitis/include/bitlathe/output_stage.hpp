// output_stage: one word of PI codes a cycle from the finished groups, in the order of the map's words.
// Function:   requantize(acc, bias, residual) in every lane, or of the residual's product with a maximum; then a table
// Interface:  sums, group heads, parameter lines and residual words in; result words out; reads the tables
// Latency:    9 cycles.   Throughput: 1 word per cycle (II = 1).
// Reset:      none
// Reference:  hls/rtl/output_stage.sv
#ifndef BITLATHE_OUTPUT_STAGE_HPP
#define BITLATHE_OUTPUT_STAGE_HPP

#include "array.hpp"

namespace bitlathe {

template <class Config>
Requantization requantization(const typename Config::Parameters &line, int column) {
#pragma HLS INLINE
  const uint64_t bits = (uint64_t)lane<kParameterBits>(line, column);
  Requantization made;
  made.bias = (int32_t)(uint32_t)bits;
  made.shift = (int)(bits >> 32) & 0x1F;
  made.residual_shift = (int)(bits >> 40) & 0x1F;
  return made;
}

// A code's entry in the table of its EXEC; two lanes read a copy.
template <class Config>
UInt<8> entry(const typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines], UInt<3> table, int i,
              UInt<8> code) {
#pragma HLS INLINE
  const int index = (int)table << 8 | (int)code;
  return lane<8>(tables[i / 2][index >> 1], index & 1);
}

template <class Config>
typename Config::Word result_word(const ExecFields &fields, const typename Config::Sums &sums,
                                  const typename Config::Parameters &line, const typename Config::Word &residual,
                                  const typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines],
                                  int sub, int half) {
#pragma HLS INLINE
  typename Config::Word word;
result_lanes:
  for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
    const int column = sub * Config::kPI + i;
    const UInt<8> stored = lane<8>(residual, i);
    const int added = fields.res_packed ? half_of(stored, half, fields.res_signed) : code_of(stored, fields.res_signed);
    const int32_t acc = (int32_t)(uint32_t)lane<32>(sums, column);
    const Requantization parameters = requantization<Config>(line, column);
    const int32_t term = residual_term((Int<kCodeBits>)acc, (Int<kCodeBits>)(fields.has_residual ? added : 0),
                                       parameters, fields.is_product);
    const UInt<8> code =
        requantize(fields.is_product ? 0 : acc, parameters, term, fields.lo, fields.hi, fields.half_even);
    set_lane<8>(word, i, fields.has_table ? entry<Config>(tables, fields.table, i, code) : code);
  }
  return word;
}

template <class Config>
void output_stage(ExecFields fields, const typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines],
                  Stream<typename Config::Parameters, 2> &parameters, Stream<GroupHead, 4> &heads,
                  Stream<typename Config::Sums, 4> sums[Config::kPP], Stream<typename Config::Word, 16> &residuals,
                  Stream<typename Config::Word, 16> &results) {
  GroupHead head;
  typename Config::Sums pixel;
  typename Config::Parameters line;
  int place = 0, sub = 0, tile = -(int)fields.sub_tiles;
  bool done = false;
output_words:
  while (!done) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=65536 avg=1024
    if (sub == 0 && place == 0) {
      head = heads.read();
      if (head.tile_first) {
        line = parameters.read();
        tile += (int)fields.sub_tiles;
      }
    }
    if (sub == 0) {
    output_pixel:
      for (int j = 0; j < Config::kPP; ++j) {
#pragma HLS UNROLL
        if (j == place) pixel = sums[j].read();
      }
    }
    typename Config::Word residual;
    if (fields.has_residual) residual = residuals.read();
    results.write(result_word<Config>(fields, pixel, line, residual, tables, sub, (tile + sub) & 1));
    const bool pixel_end = sub + 1 == (int)fields.sub_tiles || tile + sub + 1 == (int)fields.out_tiles;
    const bool group_end = pixel_end && place + 1 == (int)head.count;
    done = group_end && head.final;
    sub = pixel_end ? 0 : sub + 1;
    if (pixel_end) place = group_end ? 0 : place + 1;
  }
}

}  // namespace bitlathe

#endif
