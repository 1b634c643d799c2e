// array: PP pixels x PI input channels x PO output channels a cycle, two products a multiplier.
// Function:   acc += act * weight over a group's cycles, or acc = max(acc, code); finished groups leave as PP sums
// Interface:  commands and operands in; sums, group heads and parameter lines out; reads the weight store
// Latency:    6 cycles.   Throughput: 1 cycle of a group per cycle (II = 1).
// Reset:      none; the weight store's contents stay from EXEC to EXEC
// Reference:  hls/rtl/mac_array.sv
#ifndef BITLATHE_ARRAY_HPP
#define BITLATHE_ARRAY_HPP

#include "arithmetic.hpp"
#include "scratchpad.hpp"

namespace bitlathe {

struct GroupHead {
  UInt<4> count;
  bool tile_first, final;
};

// Bits 31:0 bias, 39:32 shift, 47:40 residual shift: the first bytes of a column.
template <class Config>
UInt<kParameterBits> parameter_column(const typename Config::Word &column) {
#pragma HLS INLINE
  uint64_t bits = 0;
parameter_bytes:
  for (int i = 0; i < kParameterBits / 8; ++i) {
#pragma HLS UNROLL
    bits |= (uint64_t)lane<8>(column, i) << (8 * i);
  }
  return (UInt<kParameterBits>)bits;
}

// Operand of multiplier row j: pixel j's codes, or in packed mode those of a pair of pixels: the first half of the
// rows takes the low halves of the bytes, the second half the high ones.
template <class Config>
Act row_act(const typename Config::Operands &codes, int row, int i, bool is_signed, bool is_packed) {
#pragma HLS INLINE
  const int half = row < Config::kHalves ? 0 : 1;
  const int even = 2 * (row - half * Config::kHalves);
  if (!is_packed || row >= 2 * Config::kHalves) return (Act)code_of(lane<8>(codes, row * Config::kPI + i), is_signed);
  const int first = half_of(lane<8>(codes, even * Config::kPI + i), half, is_signed);
  const int second = half_of(lane<8>(codes, (even + 1) * Config::kPI + i), half, is_signed);
  return (Act)(second * (1 << kNarrowSpacing) + first);
}

template <class Config>
void add_to(int32_t &acc, Int<Config::kEntryBits> sum) {
#pragma HLS INLINE
  acc = (int32_t)((uint32_t)acc + (uint32_t)(int32_t)sum);
}

// Sums of every multiplier row into the pixels' accumulators; packed rows r and r + kHalves hold two pixels' sums.
template <class Config>
void add_rows(int32_t acc[Config::kPP][Config::kPO], const Int<Config::kSumBits> rows[Config::kPP][Config::kPO],
              bool is_packed) {
#pragma HLS INLINE
add_pixels:
  for (int j = 0; j < Config::kPP; ++j) {
#pragma HLS UNROLL
  add_columns:
    for (int o = 0; o < Config::kPO; ++o) {
#pragma HLS UNROLL
      if (!is_packed) {
        add_to<Config>(acc[j][o], (Int<Config::kEntryBits>)rows[j][o]);
      } else if (j < Config::kHalves) {
        const Int<Config::kSumBits> joined = (Int<Config::kSumBits>)(rows[j][o] + rows[j + Config::kHalves][o]);
        const int64_t pair = (int64_t)joined;
        add_to<Config>(acc[2 * j][o], (Int<Config::kEntryBits>)lower_of(pair, Config::kFieldBits));
        add_to<Config>(acc[2 * j + 1][o], (Int<Config::kEntryBits>)higher_of(pair, Config::kFieldBits));
      }
    }
  }
}

template <class Config>
void accumulate(int32_t acc[Config::kPP][Config::kPO], const Act act[Config::kPP][Config::kPI],
                const typename Config::Word line[Config::kPO], bool is_packed) {
#pragma HLS INLINE
  Int<Config::kSumBits> rows[Config::kPP][Config::kPO];
#pragma HLS ARRAY_PARTITION variable=rows complete dim=0
  WeightPair pairs[2][Config::kPI];
#pragma HLS ARRAY_PARTITION variable=pairs complete dim=0
accumulate_columns:
  for (int o = 0; o < Config::kPO; o += 2) {
#pragma HLS UNROLL
  pack_lanes:
    for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
      pairs[0][i] = pack_weights(lane<8>(line[o], i), lane<8>(line[o + 1], i), 0, is_packed);
      pairs[1][i] = is_packed ? pack_weights(lane<8>(line[o], i), lane<8>(line[o + 1], i), 1, true) : pairs[0][i];
    }
  accumulate_rows:
    for (int j = 0; j < Config::kPP; ++j) {
#pragma HLS UNROLL
      const int half = j < Config::kHalves ? 0 : 1;
      PairSums<Config> sums = {0, 0};
    accumulate_chains:
      for (int i = 0; i < Config::kPI; i += 2) {
#pragma HLS UNROLL
        pair_products<Config>(act[j][i], act[j][i + 1], pairs[half][i], pairs[half][i + 1], is_packed, sums);
      }
      rows[j][o] = sums.sum0;
      rows[j][o + 1] = sums.sum1;
    }
  }
  add_rows<Config>(acc, rows, is_packed);
}

template <class Config>
void array(ExecFields fields, const typename Config::Word weights[Config::kPO][Config::kWeightLines],
           Stream<Command, 32> &commands, Stream<typename Config::Operands, 16> &operands,
           Stream<typename Config::Parameters, 2> &parameters, Stream<GroupHead, 4> &heads,
           Stream<typename Config::Sums, 4> sums[Config::kPP]) {
  int32_t acc[Config::kPP][Config::kPO];
#pragma HLS ARRAY_PARTITION variable=acc complete dim=0
  bool final = false;
array_cycles:
  while (!final) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=1048576 avg=9216
    const Command command = commands.read();
    typename Config::Word line[Config::kPO];
#pragma HLS ARRAY_PARTITION variable=line complete dim=1
    BITLATHE_CHECK((int)command.weight_line < Config::kWeightLines, "EXEC reads beyond the weight store");
  array_columns:
    for (int o = 0; o < Config::kPO; ++o) {
#pragma HLS UNROLL
      line[o] = weights[o][command.weight_line];
    }
    if (command.is_parameters) {
      typename Config::Parameters whole;
    parameter_columns:
      for (int o = 0; o < Config::kPO; ++o) {
#pragma HLS UNROLL
        set_lane<kParameterBits>(whole, o, parameter_column<Config>(line[o]));
      }
      parameters.write(whole);
    } else {
      const typename Config::Operands codes = operands.read();
      Act act[Config::kPP][Config::kPI];
#pragma HLS ARRAY_PARTITION variable=act complete dim=0
    array_acts:
      for (int j = 0; j < Config::kPP; ++j) {
#pragma HLS UNROLL
      array_lanes:
        for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
          act[j][i] = row_act<Config>(codes, j, i, fields.in_signed, fields.in_packed);
        }
      array_begin:
        for (int o = 0; o < Config::kPO; ++o) {
#pragma HLS UNROLL
          if (command.first) acc[j][o] = fields.is_max ? -(1 << (kCodeBits - 1)) : 0;
        }
      array_max:
        for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
          if (fields.is_max && (int)act[j][i] > acc[j][i]) acc[j][i] = (int)act[j][i];
        }
      }
      if (!fields.is_max) accumulate<Config>(acc, act, line, fields.in_packed);
      if (command.last) {
        GroupHead head;
        head.count = command.count;
        head.tile_first = command.tile_first;
        head.final = command.final;
        heads.write(head);
      array_drain:
        for (int j = 0; j < Config::kPP; ++j) {
#pragma HLS UNROLL
          typename Config::Sums packed;
        array_sums:
          for (int o = 0; o < Config::kPO; ++o) {
#pragma HLS UNROLL
            set_lane<32>(packed, o, (UInt<32>)(uint32_t)acc[j][o]);
          }
          if (j < (int)command.count) sums[j].write(packed);
        }
        final = command.final;
      }
    }
  }
}

}  // namespace bitlathe

#endif
