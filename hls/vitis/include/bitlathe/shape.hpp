// shape: an engine's sizes and the words that follow from them.
// Function:   Shape<PI, PO, PP, Banks, BankLines, WeightLines>; config.hpp derives its Config from one
// Interface:  constants and types only
// Latency:    none
// Reset:      none
// Reference:  hls/target/config.py, EngineConfiguration
#ifndef BITLATHE_SHAPE_HPP
#define BITLATHE_SHAPE_HPP

#include "datapath.hpp"
#include "types.hpp"

namespace bitlathe {

enum { kParameterBits = 48 };  // of a column of a parameter line: bias, shift, residual shift

template <int PI, int PO, int PP, int Banks, int BankLines, int WeightLines>
struct Shape : DataPath<PI> {
  enum {
    kPI = PI,
    kPO = PO,
    kPP = PP,
    kBanks = Banks,
    kBankLines = BankLines,
    kWeightLines = WeightLines,
    kStepLines = 63 / Banks,     // most lines that a step of columns has
    kCodebookWords = 2048 / PI,  // 256 codewords of 8 bytes
    kTableWords = 2048 / PI,     // 8 tables of 256 codes
    kTableLines = 2048 / 2,      // two codes a line
    kTableCopies = PI / 2,       // a copy has two ports, for two lanes
    kWordBits = 8 * PI,
    kWordLog = PI == 8 ? 3 : 4,
    kSubTiles = PO / PI,
    kHalves = PP / 2,  // pairs of pixels, which packed codes share multipliers in
    kDescriptorWords = 64 / PI
  };
  typedef Packed<PI, 8> Word;
  typedef Packed<2, 8> CodePair;  // a line of the tables
  typedef Packed<PP * PI, 8> Operands;
  typedef Packed<PO, kParameterBits> Parameters;
  typedef Packed<PO, 32> Sums;
};

}  // namespace bitlathe

#endif
