// engine: run a program: read it, check it, execute its descriptors one after another, input after input.
// Function:   in program order, so that every wait is met or can never be; the latter is BAD_FIELD
// Interface:  DDR spaces as pointers to words, their sizes, what runs, `abort` read before each descriptor; Outcome back
// Latency:    the sum of the descriptors'.   Throughput: moves do not overlap with EXECs, unlike hls/rtl
// Reset:      the stores keep their contents from start to start, as resident weights need
// Reference:  hls/functional/run.py
#ifndef BITLATHE_ENGINE_HPP
#define BITLATHE_ENGINE_HPP

#include "check.hpp"
#include "exec.hpp"
#include "moves.hpp"

namespace bitlathe {

struct Outcome {
  uint32_t error;
  uint32_t failing;  // descriptor, kNoDescriptor for none
};

// What is complete for this input, and how far the inputs have advanced in their spaces.
struct Progress {
  uint32_t loads, execs, stores;
  uint64_t input_advance, output_advance;  // bytes
};

// Beyond 4 GiB an advance stops: such an offset is beyond any space already.
inline uint64_t advanced(uint64_t bytes, uint32_t stride) {
#pragma HLS INLINE
  return bytes >> 32 ? bytes : bytes + stride;
}

// Sizes of the DDR buffers; the pointers to them stay arguments, since a synthesizer takes none inside a struct.
struct Sizes {
  uint32_t weights, input, output, scratch;  // bytes
};

template <class Config>
Descriptor read_descriptor(const typename Config::Word *program, uint32_t index) {
  Descriptor d;
  const uint32_t first = index * Config::kDescriptorWords;
descriptor_words:
  for (int w = 0; w < Config::kDescriptorWords; ++w) {
#pragma HLS PIPELINE II=1
    const typename Config::Word word = program[first + w];
  descriptor_halves:
    for (int half = 0; half < Config::kPI / 8; ++half) {
#pragma HLS UNROLL
      uint64_t bits = 0;
    descriptor_bytes:
      for (int i = 0; i < 8; ++i) {
#pragma HLS UNROLL
        bits |= (uint64_t)lane<8>(word, 8 * half + i) << (8 * i);
      }
      set_lane<64>(d.words, w * (Config::kPI / 8) + half, (UInt<64>)bits);
    }
  }
  return d;
}

// Everything of earlier inputs is complete, so a wait below 1 is met.
inline bool waits_are_met(const Descriptor &d, const Progress &progress) {
#pragma HLS INLINE
  return signed_field<common::wait_load>(d) <= (int32_t)progress.loads &&
         signed_field<common::wait_exec>(d) <= (int32_t)progress.execs &&
         signed_field<common::wait_store>(d) <= (int32_t)progress.stores;
}

template <class Config>
uint32_t run_load(const Descriptor &d, const typename Config::Word *weights, const typename Config::Word *input,
                  const typename Config::Word *output, const typename Config::Word *scratch, const Sizes &sizes,
                  const Progress &progress, typename Config::Word banks[Config::kBanks][Config::kBankLines]) {
#pragma HLS INLINE
  const Move m = move_fields<Config>(d);
  switch (field<move::space>(d)) {
    case kSpaceWeights:
      return load<Config>(m, weights, 0, sizes.weights, banks);
    case kSpaceInput:
      return load<Config>(m, input, progress.input_advance, sizes.input, banks);
    case kSpaceOutput:
      return load<Config>(m, output, progress.output_advance, sizes.output, banks);
    default:
      return load<Config>(m, scratch, 0, sizes.scratch, banks);
  }
}

template <class Config>
uint32_t run_load_weights(const Descriptor &d, const typename Config::Word *weights, const typename Config::Word *input,
                          const typename Config::Word *output, const typename Config::Word *scratch, const Sizes &sizes,
                          const Progress &progress, typename Config::Word lines[Config::kPO][Config::kWeightLines],
                          typename Config::Word codewords[Config::kPI][Config::kCodebookWords],
                          typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines]) {
#pragma HLS INLINE
  switch (field<move::space>(d)) {
    case kSpaceWeights:
      return load_weights<Config>(d, weights, 0, sizes.weights, lines, codewords, tables);
    case kSpaceInput:
      return load_weights<Config>(d, input, progress.input_advance, sizes.input, lines, codewords, tables);
    case kSpaceOutput:
      return load_weights<Config>(d, output, progress.output_advance, sizes.output, lines, codewords, tables);
    default:
      return load_weights<Config>(d, scratch, 0, sizes.scratch, lines, codewords, tables);
  }
}

template <class Config>
uint32_t run_store(const Descriptor &d, typename Config::Word *output, typename Config::Word *scratch,
                   const Sizes &sizes, const Progress &progress,
                   const typename Config::Word banks[Config::kBanks][Config::kBankLines]) {
#pragma HLS INLINE
  const Move m = move_fields<Config>(d);
  if (field<move::space>(d) == kSpaceOutput)
    return store<Config>(m, output, progress.output_advance, sizes.output, banks);
  return store<Config>(m, scratch, 0, sizes.scratch, banks);
}

template <class Config>
uint32_t run_descriptor(const Descriptor &d, bool weights_due, const typename Config::Word *weights,
                        const typename Config::Word *input, typename Config::Word *output,
                        typename Config::Word *scratch, const Sizes &sizes, Progress &progress,
                        typename Config::Word banks[Config::kBanks][Config::kBankLines],
                        typename Config::Word lines[Config::kPO][Config::kWeightLines],
                        typename Config::Word codewords[Config::kPI][Config::kCodebookWords],
                        typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines]) {
#pragma HLS INLINE
  const uint32_t opcode = field<common::opcode>(d);
  uint32_t error = kErrorNone;
  if (opcode == kOpLoadWeights && field<common::once>(d) && !weights_due) {
    ++progress.loads;  // resident weights wait for nothing
    return error;
  }
  if (opcode != kOpEnd && !waits_are_met(d, progress)) return kErrorBadField;
  switch (opcode) {
    case kOpLoad:
      error = run_load<Config>(d, weights, input, output, scratch, sizes, progress, banks);
      ++progress.loads;
      break;
    case kOpLoadWeights:
      error = run_load_weights<Config>(d, weights, input, output, scratch, sizes, progress, lines, codewords, tables);
      ++progress.loads;
      break;
    case kOpExec:
      execute<Config>(exec_fields<Config>(d), banks, lines, tables);
      ++progress.execs;
      break;
    case kOpStore:
      error = run_store<Config>(d, output, scratch, sizes, progress, banks);
      ++progress.stores;
      break;
    default:
      break;
  }
  return error;
}

template <class Config>
Outcome run_program(const typename Config::Word *program, const typename Config::Word *weights,
                    const typename Config::Word *input, typename Config::Word *output, typename Config::Word *scratch,
                    const Sizes &sizes, uint32_t inputs, bool weights_due, const volatile uint32_t *abort,
                    typename Config::Word banks[Config::kBanks][Config::kBankLines],
                    typename Config::Word lines[Config::kPO][Config::kWeightLines],
                    typename Config::Word codewords[Config::kPI][Config::kCodebookWords],
                    typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines]) {
#pragma HLS INLINE
  Outcome outcome = {kErrorNone, kNoDescriptor};
  const Descriptor head = read_descriptor<Config>(program, 0);
  outcome.error = inputs == 0 ? (uint32_t)kErrorBadField : check_header<Config>(head);
  const uint32_t descriptors = field<header::descriptors>(head);
  Progress progress = {0, 0, 0, 0, 0};
program_inputs:
  for (uint32_t done = 0; done < inputs && outcome.error == kErrorNone; ++done) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=1024 avg=1
    progress.loads = progress.execs = progress.stores = 0;
  program_descriptors:
    for (uint32_t index = 0; index < descriptors && outcome.error == kErrorNone; ++index) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=65535 avg=64
      const Descriptor d = read_descriptor<Config>(program, index + 1);
      outcome.error = *abort != 0 ? (uint32_t)kErrorAborted : check_descriptor<Config>(d, index + 1 == descriptors);
      if (outcome.error == kErrorNone)
        outcome.error = run_descriptor<Config>(d, weights_due, weights, input, output, scratch, sizes, progress, banks,
                                               lines, codewords, tables);
      if (outcome.error != kErrorNone && outcome.error != kErrorAborted) outcome.failing = index;
    }
    weights_due = false;
    progress.input_advance = advanced(progress.input_advance, field<header::input_stride>(head));
    progress.output_advance = advanced(progress.output_advance, field<header::output_stride>(head));
  }
  return outcome;
}

}  // namespace bitlathe

#endif
