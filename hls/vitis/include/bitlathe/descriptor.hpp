// descriptor: 64 bytes of a program and the fields in them.
// Function:   field<F>(descriptor), signed_field<F>(descriptor): constant wiring
// Interface:  eight 64-bit words, little-endian
// Latency:    none
// Reset:      none
// Reference:  program.hpp, which hls/program/format.py makes
#ifndef BITLATHE_DESCRIPTOR_HPP
#define BITLATHE_DESCRIPTOR_HPP

#include <stdint.h>

#include "program.hpp"
#include "types.hpp"

namespace bitlathe {

// One wide word, not an array: a field is then wiring, never a memory access.
struct Descriptor {
  Packed<kDescriptorBytes / 8, 64> words;
};

template <typename Field>
uint32_t field(const Descriptor &descriptor) {
#pragma HLS INLINE
  const int word = Field::kLsb / 64, shift = Field::kLsb % 64;
  uint64_t bits = (uint64_t)lane<64>(descriptor.words, word) >> shift;
  if (shift + Field::kWidth > 64) bits |= (uint64_t)lane<64>(descriptor.words, (word + 1) % 8) << ((64 - shift) % 64);
  return (uint32_t)(bits & ((1ULL << Field::kWidth) - 1));
}

template <typename Field>
int32_t signed_field(const Descriptor &descriptor) {
#pragma HLS INLINE
  const uint32_t sign = 1U << (Field::kWidth - 1);
  return (int32_t)((field<Field>(descriptor) ^ sign) - sign);
}

// Rows and columns from window to window: a field of low bits, and one of those above.
inline uint32_t stride_h(const Descriptor &d) {
#pragma HLS INLINE
  return field<exec::high_stride_h>(d) << exec::stride_h::kWidth | field<exec::stride_h>(d);
}

inline uint32_t stride_w(const Descriptor &d) {
#pragma HLS INLINE
  return field<exec::high_stride_w>(d) << exec::stride_w::kWidth | field<exec::stride_w>(d);
}

}  // namespace bitlathe

#endif
