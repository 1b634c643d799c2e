// arithmetic: two products a multiplier, and the move of an accumulator to the next layer's format.
// Function:   pair_products: 8 bit: sum_i += a0 * w0_i + a1 * w1_i with weights as (w1 << kWideSpacing) + w0
//             packed: two pixels' sums at once, (sum of the second << kFieldBits) + sum of the first;
//             acts as (second << kNarrowSpacing) + first, weights as (w1 << 2 * kNarrowSpacing) + w0
//             residual_term: residual << residual_shift, or its product with a maximum
//             requantize: clamp((acc + bias + residual term + half) >> shift, lo, hi); half_even: an odd result that was
//             half a step below is the even one below it instead
// Interface:  8-bit weights within +-127; accumulators wrap at 32 bits
// Latency:    combinational; the pipeline that calls it places the registers
// Reset:      none
// Reference:  hls/rtl/mac_pair.sv; every width: hls/datapath.py; model/graph/fixed_point.py, requantize()
#ifndef BITLATHE_ARITHMETIC_HPP
#define BITLATHE_ARITHMETIC_HPP

#include "datapath.hpp"
#include "types.hpp"

namespace bitlathe {

typedef Int<kActBits> Act;            // a code of either sign, or two pixels' 4-bit codes
typedef Int<kWeightBits> WeightPair;  // a DSP's wider operand: two weights

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
  return (WeightPair)(weight1 * (is_packed ? 1 << 2 * kNarrowSpacing : 1 << kWideSpacing) + weight0);
}

// Sums of a row for two output channels; packed: of two pixels each, in fields.
template <class Config>
struct PairSums {
  Int<Config::kSumBits> sum0, sum1;
};

// The lower and the higher of two signed numbers that stand `width` bits apart; a negative lower one took one from the
// higher.
inline int lower_of(int64_t pair, int width) {
#pragma HLS INLINE
  return sign_extended(pair, width);
}
inline int higher_of(int64_t pair, int width) {
#pragma HLS INLINE
  return sign_extended(pair >> width, width) + (int)((pair >> (width - 1)) & 1);
}

// Narrow sums move to fields where all terms of an array's cycle fit.
template <class Config>
int32_t spread_fields(int64_t pair) {
#pragma HLS INLINE
  return higher_of(pair, kNarrowSpacing) * (1 << Config::kFieldBits) + lower_of(pair, kNarrowSpacing);
}

// Two products in a chain leave every sum in its own bits for either sign of the codes.
template <class Config>
void pair_products(Act act0, Act act1, WeightPair weights0, WeightPair weights1, bool is_packed,
                   PairSums<Config> &sums) {
#pragma HLS INLINE
  const Int<kProductBits> product0 = (Int<kProductBits>)((Int<kProductBits>)act0 * (Int<kProductBits>)weights0);
  const Int<kProductBits> product1 = (Int<kProductBits>)((Int<kProductBits>)act1 * (Int<kProductBits>)weights1);
  const int64_t chain = (int64_t)(Int<kChainBits>)((Int<kChainBits>)product0 + (Int<kChainBits>)product1);
  if (is_packed) {
    const int64_t upper = (chain >> 2 * kNarrowSpacing) + ((chain >> (2 * kNarrowSpacing - 1)) & 1);
    sums.sum0 += spread_fields<Config>(chain);
    sums.sum1 += spread_fields<Config>(upper);
  } else {
    sums.sum0 += lower_of(chain, kWideSpacing);
    sums.sum1 += higher_of(chain, kWideSpacing);
  }
}

struct Requantization {
  int32_t bias;
  UInt<5> shift;
  UInt<5> residual_shift;
};

inline int32_t residual_term(Int<kCodeBits> maximum, Int<kCodeBits> residual, const Requantization &parameters,
                             bool is_product) {
#pragma HLS INLINE
  const Int<2 * kCodeBits> product = (Int<2 * kCodeBits>)((Int<2 * kCodeBits>)maximum * (Int<2 * kCodeBits>)residual);
  const uint32_t shifted = (uint32_t)(int)residual << (int)parameters.residual_shift;
  return is_product ? (int32_t)product : (int32_t)shifted;
}

inline UInt<8> requantize(int32_t acc, const Requantization &parameters, int32_t added, int lo, int hi,
                          bool half_even) {
#pragma HLS INLINE
  const uint32_t half = (1U << (int)parameters.shift) >> 1;  // 0 when the shift is 0
  const int32_t sum = (int32_t)((uint32_t)acc + (uint32_t)parameters.bias + half + (uint32_t)added);
  const bool was_half = half_even && half != 0 && ((uint32_t)sum & (2 * half - 1)) == 0;
  const int32_t nearest = sum >> (int)parameters.shift;
  const int32_t shifted = was_half ? nearest & ~1 : nearest;
  const int32_t code = shifted < lo ? lo : shifted > hi ? hi : shifted;
  return (UInt<8>)(code & 0xFF);
}

}  // namespace bitlathe

#endif
