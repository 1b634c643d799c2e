// arithmetic: two products a multiplier, and the move of an accumulator to the next layer's format.
// Function:   pair_products: acc0 += a0*w00 + a1*w01, acc1 += a0*w10 + a1*w11 with weights packed as (w1 << 17) + w0
//             requantize: clamp((acc + bias + (residual << residual_shift) + half) >> shift, lo, hi)
// Interface:  act signed 9 bit, weights within +-127; accumulators wrap at 32 bits
// Latency:    combinational; the pipeline that calls it places the registers
// Reset:      none
// Reference:  hls/rtl/mac_pair.sv; model/graph/fixed_point.py, requantize()
#ifndef BITLATHE_ARITHMETIC_HPP
#define BITLATHE_ARITHMETIC_HPP

#include "bitlathe/types.hpp"

namespace bitlathe {

typedef Int<9> Act;
typedef Int<25> WeightPair;  // a DSP's wider operand

inline WeightPair pack_weights(Int<8> weight0, Int<8> weight1) {
#pragma HLS INLINE
  return (WeightPair)((int32_t)weight1 * (1 << 17) + (int32_t)weight0);
}

// Two products in a chain keep the low field exact for either sign: 2 * 255 * 127 < 2**16.
inline void pair_products(Act act0, Act act1, WeightPair weights0, WeightPair weights1, int32_t &sum0, int32_t &sum1) {
#pragma HLS INLINE
  const Int<34> product0 = (Int<34>)act0 * (Int<34>)weights0;
  const Int<34> product1 = (Int<34>)act1 * (Int<34>)weights1;
  const Int<35> chain = (Int<35>)product0 + (Int<35>)product1;
  const int64_t bits = (int64_t)chain;
  const int32_t low = ((int32_t)bits << 15) >> 15;
  // The high field was lowered by one wherever the low one is negative.
  const int32_t high = (int32_t)(bits >> 17) + (int32_t)((bits >> 16) & 1);
  sum0 = (int32_t)((uint32_t)sum0 + (uint32_t)low);
  sum1 = (int32_t)((uint32_t)sum1 + (uint32_t)high);
}

struct Requantization {
  int32_t bias;
  UInt<5> shift;
  UInt<5> residual_shift;
};

inline UInt<8> requantize(int32_t acc, const Requantization &parameters, int32_t residual, int lo, int hi) {
#pragma HLS INLINE
  const uint32_t half = (1U << (int)parameters.shift) >> 1;  // 0 when the shift is 0
  const uint32_t added = (uint32_t)residual << (int)parameters.residual_shift;
  const int32_t sum = (int32_t)((uint32_t)acc + (uint32_t)parameters.bias + half + added);
  const int32_t shifted = sum >> (int)parameters.shift;
  const int32_t code = shifted < lo ? lo : shifted > hi ? hi : shifted;
  return (UInt<8>)(code & 0xFF);
}

}  // namespace bitlathe

#endif
