// types: every type of the engine, once for synthesis and once for a fast C simulation.
// Function:   Int<W>, UInt<W>: at least W bits; Packed<N, W>: N lanes of W bits in one word; lane(), set_lane()
// Interface:  BITLATHE_AP_TYPES or __SYNTHESIS__ selects ap_int of exactly W bits, else the smallest plain integer
// Latency:    none
// Reset:      none
// Reference:  tests/hls/vitis holds the two to each other
#ifndef BITLATHE_TYPES_HPP
#define BITLATHE_TYPES_HPP

#include <stdint.h>

#if defined(__SYNTHESIS__) || defined(BITLATHE_AP_TYPES)
// The widest words are the sums of a pixel and the operands of a group; ap_int.h stops at 1024 bits by itself.
#ifndef AP_INT_MAX_W
#define AP_INT_MAX_W 4096
#endif
#include "ap_int.h"

namespace bitlathe {

template <int W>
using Int = ap_int<W>;
template <int W>
using UInt = ap_uint<W>;
template <int N, int W>
using Packed = ap_uint<N * W>;

template <int W, int Bits>
ap_uint<W> lane(const ap_uint<Bits> &packed, int index) {
#pragma HLS INLINE
  return packed.range(W * index + W - 1, W * index);
}

template <int W, int Bits>
void set_lane(ap_uint<Bits> &packed, int index, ap_uint<W> value) {
#pragma HLS INLINE
  packed.range(W * index + W - 1, W * index) = value;
}

}  // namespace bitlathe
#else

namespace bitlathe {

template <int Bytes>
struct Plain;
template <>
struct Plain<1> {
  typedef int8_t signed_type;
  typedef uint8_t unsigned_type;
};
template <>
struct Plain<2> {
  typedef int16_t signed_type;
  typedef uint16_t unsigned_type;
};
template <>
struct Plain<4> {
  typedef int32_t signed_type;
  typedef uint32_t unsigned_type;
};
template <>
struct Plain<8> {
  typedef int64_t signed_type;
  typedef uint64_t unsigned_type;
};

constexpr int plain_bytes(int bits) { return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8; }

template <int W>
using Int = typename Plain<plain_bytes(W)>::signed_type;
template <int W>
using UInt = typename Plain<plain_bytes(W)>::unsigned_type;

template <int N, int W>
struct Lanes {
  UInt<W> lanes[N];
  Lanes() : lanes() {}
};
template <int N, int W>
using Packed = Lanes<N, W>;

template <int W, int N>
inline UInt<W> lane(const Lanes<N, W> &packed, int index) {
  return packed.lanes[index];
}

template <int W, int N>
inline void set_lane(Lanes<N, W> &packed, int index, UInt<W> value) {
  packed.lanes[index] = value;
}

}  // namespace bitlathe
#endif

#endif
