// moves: LOAD, LOAD_WEIGHTS and STORE: words between DDR and the two on-chip stores.
// Function:   one burst a segment; every place is checked against its buffer and its store before the burst
// Interface:  a DDR buffer as a pointer to words, its size and how far it has advanced; ErrorCode back
// Latency:    the memory's.   Throughput: 1 word per cycle (II = 1).
// Reset:      none
// Reference:  hls/moves.py; hls/rtl/burst_split.sv, move_walker.sv
#ifndef BITLATHE_MOVES_HPP
#define BITLATHE_MOVES_HPP

#include "descriptor.hpp"
#include "position.hpp"
#include "shape.hpp"

namespace bitlathe {

struct Move {
  uint32_t offset, stride, words, segments, row_words;  // offset and stride in words
  Position first, row_step;
  int plane;
};

template <class Config>
Move move_fields(const Descriptor &d) {
#pragma HLS INLINE
  Move m;
  m.offset = field<move::offset>(d) >> Config::kWordLog;
  m.stride = field<move::segment_stride>(d) >> Config::kWordLog;
  m.words = field<move::segment_words>(d);
  m.segments = field<move::segments>(d);
  m.row_words = field<move::row_words>(d);
  m.first = position(field<move::line>(d), field<move::bank>(d));
  m.row_step = position(signed_field<move::row_line>(d), field<move::row_bank>(d));
  m.plane = field<move::plane>(d);
  return m;
}

// Whether `words` from word `offset` of a buffer of `bytes` that has advanced by `advance` bytes lie inside it.
template <class Config>
bool inside(uint64_t offset, uint64_t words, uint64_t advance, uint32_t bytes) {
#pragma HLS INLINE
  return offset + (advance >> Config::kWordLog) + words <= (uint64_t)(bytes >> Config::kWordLog);
}

template <class Config>
struct Row {
  Position here;
  uint32_t left;

  void advance(const Move &m) {
#pragma HLS INLINE
    const bool ends = left == 1;
    here = add<Config>(here, ends ? m.row_step : position(0, 1));
    left = ends ? m.row_words : left - 1;
  }
};

template <class Config>
bool outside(const Position &place) {
#pragma HLS INLINE
  return (int)place.line < 0 || (int)place.line >= Config::kBankLines;
}

template <class Config>
uint32_t load(const Move m, const typename Config::Word *memory, uint64_t advance, uint32_t bytes,
              typename Config::Word banks[Config::kBanks][Config::kBankLines]) {
  uint64_t offset = m.offset;
  Position first = m.first;
  uint32_t error = kErrorNone;
load_segments:
  for (uint32_t s = 0; s < m.segments && error == kErrorNone; ++s) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=64 avg=2
    if (!inside<Config>(offset, m.words, advance, bytes)) return kErrorOutOfBounds;
    const uint64_t base = offset + (advance >> Config::kWordLog);
    Row<Config> row = {first, m.row_words};
  load_words:
    for (uint32_t i = 0; i < m.words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=65536 avg=1024
      const typename Config::Word word = memory[base + i];
      if (outside<Config>(row.here)) {
        error = kErrorOutOfBounds;
      } else {
        banks[row.here.bank][row.here.line] = word;
      }
      row.advance(m);
    }
    offset += m.stride;
    first.line = (int)first.line + m.plane;
  }
  return error;
}

template <class Config>
uint32_t store(const Move m, typename Config::Word *memory, uint64_t advance, uint32_t bytes,
               const typename Config::Word banks[Config::kBanks][Config::kBankLines]) {
  uint64_t offset = m.offset;
  Position first = m.first;
  uint32_t error = kErrorNone;
store_segments:
  for (uint32_t s = 0; s < m.segments && error == kErrorNone; ++s) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=64 avg=2
    if (!inside<Config>(offset, m.words, advance, bytes)) return kErrorOutOfBounds;
    const uint64_t base = offset + (advance >> Config::kWordLog);
    Row<Config> row = {first, m.row_words};
  store_words:
    for (uint32_t i = 0; i < m.words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=65536 avg=1024
      const bool bad = outside<Config>(row.here);
      if (bad) error = kErrorOutOfBounds;
      memory[base + i] = banks[row.here.bank][bad ? 0 : (int)row.here.line];
      row.advance(m);
    }
    offset += m.stride;
    first.line = (int)first.line + m.plane;
  }
  return error;
}

template <class Config>
uint32_t load_weights(const Descriptor &d, const typename Config::Word *memory, uint64_t advance, uint32_t bytes,
                      typename Config::Word weights[Config::kPO][Config::kWeightLines]) {
  const uint32_t beats = field<weights::beats>(d);
  const uint64_t offset = field<weights::offset>(d) >> Config::kWordLog;
  const bool diagonal = field<weights::diagonal>(d) != 0;
  if (!inside<Config>(offset, beats, advance, bytes)) return kErrorOutOfBounds;
  const uint64_t base = offset + (advance >> Config::kWordLog);
  uint32_t line = field<weights::weight_line>(d), error = kErrorNone;
  int column = 0;
load_beats:
  for (uint32_t k = 0; k < beats; ++k) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=65536 avg=4096
    const typename Config::Word word = memory[base + k];
    const bool bad = line >= (uint32_t)Config::kWeightLines;
    if (bad) error = kErrorOutOfBounds;
  beat_columns:
    for (int o = 0; o < Config::kPO; ++o) {
#pragma HLS UNROLL
      typename Config::Word value;
    beat_bytes:
      for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
        set_lane<8>(value, i, !diagonal || i == o ? lane<8>(word, i) : (UInt<8>)0);
      }
      if (!bad && (diagonal || o == column)) weights[o][line] = value;
    }
    const bool line_end = diagonal || column + 1 == Config::kPO;
    column = line_end ? 0 : column + 1;
    if (line_end) ++line;
  }
  return error;
}

}  // namespace bitlathe

#endif
