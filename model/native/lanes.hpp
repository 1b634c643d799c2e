// What is computed together: sixteen int32 accumulators and sixteen int16 codes, by AVX2 where the processor has it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

constexpr int kBlock = 16;  // output channels that are computed together; strides are multiples of it

typedef uint16_t Codes __attribute__((vector_size(2 * kBlock)));

inline Codes load_codes(const int16_t* from) {
  Codes codes;
  std::memcpy(&codes, from, sizeof codes);
  return codes;
}

inline void store_codes(Codes codes, int16_t* to) { std::memcpy(to, &codes, sizeof codes); }

#if defined(__AVX2__)

struct Sums {
  __m256i low, high;

  static Sums load(const int32_t* from) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 8))};
  }
  void add_products(const int16_t* weight, int32_t pair) {
    const __m256i codes = _mm256_set1_epi32(pair);
    low = _mm256_add_epi32(low, _mm256_madd_epi16(codes, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight))));
    high = _mm256_add_epi32(
        high, _mm256_madd_epi16(codes, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight + 16))));
  }
  static __m256i widened(const int16_t* codes) {
    return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  }
  Sums operator+(const Sums& other) const {
    return {_mm256_add_epi32(low, other.low), _mm256_add_epi32(high, other.high)};
  }
  Sums operator-(const Sums& other) const {
    return {_mm256_sub_epi32(low, other.low), _mm256_sub_epi32(high, other.high)};
  }
  Sums shifted(int places) const { return {_mm256_slli_epi32(low, places), _mm256_slli_epi32(high, places)}; }
  Sums divided(int places) const { return {_mm256_srai_epi32(low, places), _mm256_srai_epi32(high, places)}; }
  Sums times(int32_t factor) const {
    const __m256i all = _mm256_set1_epi32(factor);
    return {_mm256_mullo_epi32(low, all), _mm256_mullo_epi32(high, all)};
  }
  void add_elementwise(const int16_t* codes, const int16_t* weight) {
    low = _mm256_add_epi32(low, _mm256_mullo_epi32(widened(codes), widened(weight)));
    high = _mm256_add_epi32(high, _mm256_mullo_epi32(widened(codes + 8), widened(weight + 8)));
  }
  void add_shifted(const int16_t* codes, const int32_t* places) {
    const Sums by = load(places);
    low = _mm256_add_epi32(low, _mm256_sllv_epi32(widened(codes), by.low));
    high = _mm256_add_epi32(high, _mm256_sllv_epi32(widened(codes + 8), by.high));
  }
  // Halves to even: a sum with the rounding constant that is a multiple of the step, an odd one, goes one down.
  static __m256i settled(__m256i sum, __m256i places) {
    const __m256i one = _mm256_set1_epi32(1), below = _mm256_sub_epi32(_mm256_sllv_epi32(one, places), one);
    const __m256i is_half = _mm256_cmpeq_epi32(_mm256_and_si256(sum, below), _mm256_setzero_si256());
    const __m256i shifts = _mm256_cmpgt_epi32(places, _mm256_setzero_si256());
    const __m256i odd = _mm256_and_si256(_mm256_srlv_epi32(sum, places), one);
    return _mm256_sub_epi32(sum, _mm256_and_si256(_mm256_and_si256(is_half, shifts), odd));
  }
  void settle_halves(const int32_t* shift) {
    const Sums by = load(shift);
    low = settled(low, by.low);
    high = settled(high, by.high);
  }
  void requantize(const int32_t* shift, int32_t lo, int32_t hi, int16_t* to) const {
    const Sums by = load(shift);
    const __m256i least = _mm256_set1_epi32(lo), most = _mm256_set1_epi32(hi);
    const __m256i a = _mm256_min_epi32(_mm256_max_epi32(_mm256_srav_epi32(low, by.low), least), most);
    const __m256i b = _mm256_min_epi32(_mm256_max_epi32(_mm256_srav_epi32(high, by.high), least), most);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), packed);
  }
};

#else

struct Sums {
  int32_t lane[kBlock];

  static Sums load(const int32_t* from) {
    Sums sums;
    std::memcpy(sums.lane, from, sizeof sums.lane);
    return sums;
  }
  void add(int o, int32_t term) { lane[o] = int32_t(uint32_t(lane[o]) + uint32_t(term)); }
  template <typename Term>
  static Sums each(Term term) {
    Sums sums;
    for (int o = 0; o < kBlock; o++) sums.lane[o] = int32_t(term(o));
    return sums;
  }
  Sums operator+(const Sums& other) const {
    return each([&](int o) { return uint32_t(lane[o]) + uint32_t(other.lane[o]); });
  }
  Sums operator-(const Sums& other) const {
    return each([&](int o) { return uint32_t(lane[o]) - uint32_t(other.lane[o]); });
  }
  Sums shifted(int places) const {
    return each([&](int o) { return uint32_t(lane[o]) << places; });
  }
  Sums divided(int places) const {
    return each([&](int o) { return lane[o] >> places; });
  }
  Sums times(int32_t factor) const {
    return each([&](int o) { return uint32_t(lane[o]) * uint32_t(factor); });
  }
  void add_products(const int16_t* weight, int32_t pair) {
    int16_t codes[2];
    std::memcpy(codes, &pair, sizeof codes);
    for (int o = 0; o < kBlock; o++) add(o, codes[0] * weight[2 * o] + codes[1] * weight[2 * o + 1]);
  }
  void add_elementwise(const int16_t* codes, const int16_t* weight) {
    for (int o = 0; o < kBlock; o++) add(o, codes[o] * weight[o]);
  }
  void add_shifted(const int16_t* codes, const int32_t* places) {
    for (int o = 0; o < kBlock; o++) add(o, int32_t(uint32_t(int32_t(codes[o])) << places[o]));
  }
  void settle_halves(const int32_t* shift) {
    for (int o = 0; o < kBlock; o++) {
      const bool is_half = shift[o] > 0 && (lane[o] & ((1U << shift[o]) - 1)) == 0;
      if (is_half) lane[o] -= (lane[o] >> shift[o]) & 1;
    }
  }
  void requantize(const int32_t* shift, int32_t lo, int32_t hi, int16_t* to) const {
    for (int o = 0; o < kBlock; o++) to[o] = int16_t(std::min(std::max(lane[o] >> shift[o], lo), hi));
  }
};

#endif

}  // namespace
