// config: the sizes of one engine.
// Function:   Config
// Interface:  constants only
// Latency:    none
// Reset:      none
// Reference:  hls/vitis/view.py for pynq-z2 (xc7z020clg400-1); generated, do not edit
#ifndef BITLATHE_CONFIG_HPP
#define BITLATHE_CONFIG_HPP

#include "shape.hpp"

namespace bitlathe {

// 8 input channels, 8 output channels, 1 pixels a cycle; 2 banks of 64 words; 32 weight lines
struct Config : Shape<8, 8, 1, 2, 64, 32> {
  static const uint32_t kIdentity = 140411952U;
};

}  // namespace bitlathe

#endif
