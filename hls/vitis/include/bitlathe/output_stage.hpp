// output_stage: one word of PI codes a cycle from the finished groups, in the order of the map's words.
// Function:   requantize(acc, bias, residual) in every lane
// Interface:  sums, group heads, parameter lines and residual words in; result words out
// Latency:    7 cycles.   Throughput: 1 word per cycle (II = 1).
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

template <class Config>
typename Config::Word result_word(const ExecFields &fields, const typename Config::Sums &sums,
                                  const typename Config::Parameters &parameters, const typename Config::Word &residual,
                                  int sub, int half) {
#pragma HLS INLINE
  typename Config::Word word;
result_lanes:
  for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
    const int column = sub * Config::kPI + i;
    const UInt<8> stored = lane<8>(residual, i);
    const int added = fields.res_packed ? half_of(stored, half, fields.res_signed) : code_of(stored, fields.res_signed);
    set_lane<8>(word, i,
                requantize((int32_t)(uint32_t)lane<32>(sums, column), requantization<Config>(parameters, column),
                           fields.has_residual ? added : 0, fields.lo, fields.hi, fields.half_even));
  }
  return word;
}

template <class Config>
void output_stage(ExecFields fields, Stream<typename Config::Parameters, 2> &parameters, Stream<GroupHead, 4> &heads,
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
    results.write(result_word<Config>(fields, pixel, line, residual, sub, (tile + sub) & 1));
    const bool pixel_end = sub + 1 == (int)fields.sub_tiles || tile + sub + 1 == (int)fields.out_tiles;
    const bool group_end = pixel_end && place + 1 == (int)head.count;
    done = group_end && head.final;
    sub = pixel_end ? 0 : sub + 1;
    if (pixel_end) place = group_end ? 0 : place + 1;
  }
}

}  // namespace bitlathe

#endif
