// arithmetic: two products a multiplier, and the move of an accumulator to the next layer's format.
// Function:   pair_products: 8 bit: sum_i += a0 * w0_i + a1 * w1_i with weights as (w1 << 17) + w0
//             packed: two pixels' sums at once, (sum of the second << 12) + sum of the first;
//             acts as (second << 10) + first, weights as (w1 << 20) + w0
//             requantize: clamp((acc + bias + (residual << residual_shift) + half) >> shift, lo, hi)
// Interface:  8-bit weights within +-127; accumulators wrap at 32 bits
// Latency:    combinational; the pipeline that calls it places the registers
// Reset:      none
// Reference:  hls/rtl/mac_pair.sv; model/graph/fixed_point.py, requantize()
#ifndef BITLATHE_ARITHMETIC_HPP
#define BITLATHE_ARITHMETIC_HPP

#include "types.hpp"

namespace bitlathe {

typedef Int<15> Act;         // a signed 9-bit code, or two pixels' 4-bit codes 10 bits apart
typedef Int<25> WeightPair;  // a DSP's wider operand: two weights 17 bits apart, 20 bits for 4-bit ones

inline int sign_extended(int64_t bits, int width) {
#pragma HLS INLINE
  return (int)((int64_t)((uint64_t)bits << (64 - width)) >> (64 - width));
}

// A code of 8 bits, or the low (0) or high (1) half of a packed byte.
inline int code_of(UInt<8> byte, bool is_signed) {
#pragma HLS INLINE
  return is_signed ? sign_extended((int)byte, 8) : (int)byte;
}
inline int half_of(UInt<8> byte, int half, bool is_signed) {
#pragma HLS INLINE
  const int bits = ((int)byte >> (4 * half)) & 0xF;
  return is_signed ? sign_extended(bits, 4) : bits;
}

inline WeightPair pack_weights(UInt<8> byte0, UInt<8> byte1, int half, bool is_packed) {
#pragma HLS INLINE
  const int weight0 = is_packed ? half_of(byte0, half, true) : code_of(byte0, true);
  const int weight1 = is_packed ? half_of(byte1, half, true) : code_of(byte1, true);
  return (WeightPair)(weight1 * (is_packed ? 1 << 20 : 1 << 17) + weight0);
}

struct PairSums {
  int32_t sum0, sum1;
};

// 4-bit products lie in four fields of 10 bits; two of them move to 12 bits, where a line's terms fit.
inline int32_t spread_fields(int64_t bits) {
#pragma HLS INLINE
  const int32_t low = sign_extended(bits, 10);
  const int32_t high = sign_extended(bits >> 10, 10) + (int32_t)((bits >> 9) & 1);
  return high * 4096 + low;
}

// Two products in a chain keep every field exact for either sign: 2 * 255 * 127 < 2**16, 2 * 15 * 8 < 2**9.
inline void pair_products(Act act0, Act act1, WeightPair weights0, WeightPair weights1, bool is_packed, PairSums &sums) {
#pragma HLS INLINE
  const Int<40> product0 = (Int<40>)act0 * (Int<40>)weights0;
  const Int<40> product1 = (Int<40>)act1 * (Int<40>)weights1;
  const int64_t chain = (int64_t)(Int<40>)(product0 + product1);
  // A higher field was lowered by one wherever the lower one is negative.
  if (is_packed) {
    sums.sum0 += spread_fields(chain);
    sums.sum1 += spread_fields((chain >> 20) + ((chain >> 19) & 1));
  } else {
    sums.sum0 += sign_extended(chain, 17);
    sums.sum1 += (int32_t)(chain >> 17) + (int32_t)((chain >> 16) & 1);
  }
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
