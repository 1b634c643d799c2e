// moves: LOAD, LOAD_WEIGHTS and STORE: words between DDR and the on-chip stores.
// Function:   one burst a segment; every place is checked against its buffer and its store before the burst
// Interface:  a DDR buffer as a pointer to words, its size and how far it has advanced; ErrorCode back
// Latency:    the memory's.   Throughput: 1 word per cycle (II = 1); of the tables one in 4, of sparse lines 8 weights in 8.
// Reset:      none
// Reference:  hls/program/moves.py; hls/rtl/burst_split.sv, move_walker.sv
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

// Whether `words` from word `offset` of a buffer of `bytes` that has advanced by `advance` bytes are inside it.
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

// The lines of a LOAD_WEIGHTS while its beats come.
template <class Config>
struct LineWalk {
  uint32_t encoding, pass_lines, line, left;  // left: encoded lines of this pass
  int column;
  bool plain;  // a parameter line

  uint32_t code() const {
#pragma HLS INLINE
    return plain ? (uint32_t)kEncodingColumns : encoding;
  }

  // Columns that a beat fills.
  int columns() const {
#pragma HLS INLINE
    const uint32_t now = code();
    return now == kEncodingColumns ? 1 : now == kEncodingNibbles ? 2 : now == kEncodingIndices ? 8 : (int)Config::kPO;
  }

  void advance() {
#pragma HLS INLINE
    column += columns();
    if (column < Config::kPO) return;
    column = 0;
    ++line;
    if (encoding == kEncodingColumns || encoding == kEncodingCodebook) return;
    left = plain ? pass_lines : left - 1;
    plain = !plain && left == 0;
  }
};

// Column o of the line that a beat decodes to, whether the beat fills it or not.
template <class Config>
typename Config::Word decoded(uint32_t code, int o, const typename Config::Word &beat,
                              const typename Config::Word codewords[Config::kPI][Config::kCodebookWords]) {
#pragma HLS INLINE
  typename Config::Word column;
decoded_bytes:
  for (int i = 0; i < Config::kPI; ++i) {
#pragma HLS UNROLL
    const UInt<8> whole = lane<8>(beat, i);
    UInt<8> value = whole;
    if (code == kEncodingDiagonal && i != o) value = 0;
    if (code == kEncodingNibbles) {
      const uint32_t half = ((uint32_t)whole >> (4 * (o % 2))) & 15;
      value = (UInt<8>)((half ^ 8) - 8);
    }
    if (code == kEncodingIndices) {
      const int port = o % 8 * (Config::kPI / 8) + i / 8;
      const uint32_t index = (uint32_t)lane<8>(beat, port);
      const typename Config::Word word = codewords[port][index * 8 / Config::kPI];
      value = lane<8>(word, index * 8 % Config::kPI + i % 8);
    }
    set_lane<8>(column, i, value);
  }
  return column;
}

// The words of sparse lines, told apart: a mask is read a group ahead, a word of codes when a code asks for it.
template <class Config>
struct SparseReader {
  const typename Config::Word *memory;
  uint64_t base;
  uint32_t beats, taken;
  typename Config::Word mask, next_mask, codes;
  int left;        // half bytes of `codes` that come yet, from its top down
  bool truncated;  // a word was asked for that is not there

  typename Config::Word word() {
#pragma HLS INLINE
    const bool there = taken < beats;
    const typename Config::Word found = memory[base + (there ? taken : 0)];
    if (there)
      ++taken;
    else
      truncated = true;
    return found;
  }

  // The next `halves` (1 or 2) half bytes, a lone one as a signed number.
  UInt<8> code(bool narrow) {
#pragma HLS INLINE
    uint32_t value = 0;
  code_halves:
    for (int h = 0; h < 2; ++h) {
#pragma HLS UNROLL
      if (h == 1 && narrow) break;
      if (left == 0) {
        codes = word();
        left = 2 * Config::kPI;
      }
      const int place = 2 * Config::kPI - left;
      const uint32_t whole = (uint32_t)lane<8>(codes, place / 2);
      value |= ((whole >> (4 * (place % 2))) & 15) << (4 * h);
      --left;
    }
    return narrow ? (UInt<8>)((value ^ 8) - 8) : (UInt<8>)value;
  }
};

// Lines of masks and codes (hls/program/sparse.py): an octet of 8 weights after the other.
template <class Config>
uint32_t load_sparse(const Descriptor &d, const typename Config::Word *memory, uint64_t base, uint32_t beats,
                     typename Config::Word weights[Config::kPO][Config::kWeightLines]) {
  const uint32_t first = field<weights::weight_line>(d), lines = field<weights::lines>(d);
  const uint32_t pass_lines = field<weights::pass_lines>(d);
  const bool narrow = field<weights::narrow>(d) != 0;
  if (first + lines > (uint32_t)Config::kWeightLines) return kErrorOutOfBounds;
  SparseReader<Config> reader = {memory, base, beats, 0, {}, {}, {}, 0, false};
  uint32_t line_of_pass = 0;
sparse_lines:
  for (uint32_t line = 0; line < lines && !reader.truncated; ++line) {
#pragma HLS LOOP_TRIPCOUNT min=2 max=4608 avg=512
    const bool pass_ends = line_of_pass == pass_lines || line + 1 == lines;
  sparse_groups:
    for (int group = 0; group < Config::kPO / 8; ++group) {
      if (line_of_pass == 0 && group == 0) {
        reader.next_mask = reader.word();
        reader.left = 0;
      }
      reader.mask = reader.next_mask;
      if (!pass_ends || group + 1 < Config::kPO / 8) reader.next_mask = reader.word();
    sparse_octets:
      for (int octet = 0; octet < Config::kPI; ++octet) {
#pragma HLS PIPELINE II=8
        const int place = group * Config::kPI + octet, column = place * 8 / Config::kPI;
        const uint32_t mask = (uint32_t)lane<8>(reader.mask, octet);
        typename Config::Word word = weights[column][first + line];
      sparse_bytes:
        for (int i = 0; i < 8; ++i) {
#pragma HLS UNROLL
          const UInt<8> value = (mask >> i) & 1 ? reader.code(narrow && line_of_pass != 0) : (UInt<8>)0;
          set_lane<8>(word, place * 8 % Config::kPI + i, value);
        }
        if (!reader.truncated) weights[column][first + line] = word;
      }
    }
    line_of_pass = pass_ends ? 0 : line_of_pass + 1;
  }
  return reader.truncated || reader.taken != beats ? (uint32_t)kErrorBadStream : (uint32_t)kErrorNone;
}

// Words of the tables: all pairs of a beat go to every copy, which takes two a cycle.
template <class Config>
uint32_t load_tables(const typename Config::Word *memory, uint64_t base, uint32_t beats, uint32_t first,
                     typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines]) {
  uint32_t error = kErrorNone;
table_beats:
  for (uint32_t k = 0; k < beats; ++k) {
#pragma HLS PIPELINE II=4
#pragma HLS LOOP_TRIPCOUNT min=1 max=256 avg=32
    const typename Config::Word word = memory[base + k];
    const bool bad = first + k >= Config::kTableWords;
    if (bad) error = kErrorOutOfBounds;
  beat_pairs:
    for (int p = 0; p < Config::kPI / 2; ++p) {
#pragma HLS UNROLL
      typename Config::CodePair pair;
      set_lane<8>(pair, 0, lane<8>(word, 2 * p));
      set_lane<8>(pair, 1, lane<8>(word, 2 * p + 1));
    table_copies:
      for (int c = 0; c < Config::kTableCopies; ++c) {
#pragma HLS UNROLL
        if (!bad) tables[c][(first + k) * (Config::kPI / 2) + p] = pair;
      }
    }
  }
  return error;
}

template <class Config>
uint32_t load_weights(const Descriptor &d, const typename Config::Word *memory, uint64_t advance, uint32_t bytes,
                      typename Config::Word weights[Config::kPO][Config::kWeightLines],
                      typename Config::Word codewords[Config::kPI][Config::kCodebookWords],
                      typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines]) {
  const uint32_t beats = field<weights::beats>(d);
  const uint64_t offset = field<weights::offset>(d) >> Config::kWordLog;
  if (!inside<Config>(offset, beats, advance, bytes)) return kErrorOutOfBounds;
  const uint64_t base = offset + (advance >> Config::kWordLog);
  const uint32_t encoding = field<weights::encoding>(d);
  if (encoding == kEncodingTable)
    return load_tables<Config>(memory, base, beats, field<weights::weight_line>(d), tables);
  if (encoding == kEncodingSparse) return load_sparse<Config>(d, memory, base, beats, weights);
  const bool to_codebook = encoding == kEncodingCodebook;
  const uint32_t room = to_codebook ? Config::kCodebookWords : Config::kWeightLines;
  LineWalk<Config> walk = {encoding, field<weights::pass_lines>(d), field<weights::weight_line>(d), 0, 0, !to_codebook};
  uint32_t error = kErrorNone;
load_beats:
  for (uint32_t k = 0; k < beats; ++k) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=65536 avg=4096
    const typename Config::Word word = memory[base + k];
    const bool bad = walk.line >= room;
    if (bad) error = kErrorOutOfBounds;
  codebook_copies:
    for (int p = 0; p < Config::kPI; ++p) {
#pragma HLS UNROLL
      if (!bad && to_codebook) codewords[p][walk.line] = word;
    }
  beat_columns:
    for (int o = 0; o < Config::kPO; ++o) {
#pragma HLS UNROLL
      const bool filled = o >= walk.column && o < walk.column + walk.columns();
      if (!bad && !to_codebook && filled) weights[o][walk.line] = decoded<Config>(walk.code(), o, word, codewords);
    }
    walk.advance();
  }
  return error;
}

}  // namespace bitlathe

#endif
