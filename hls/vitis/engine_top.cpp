// engine_top: the engine with its registers and its memory port, as the synthesizer's top function.
// Function:   bitlathe_engine() runs one start; the stores are static, so resident weights stay
// Interface:  s_axi_control (registers at the offsets of hls/registers.py), m_axi_gmem (AXI4 master)
// Latency:    that of the program.   Throughput: one start at a time
// Reset:      the tool's
// Reference:  hls/registers.py, docs/hls.md
#include "bitlathe/config.hpp"
#include "bitlathe/engine.hpp"

typedef bitlathe::Config::Word Word;

// `counter` is a wire from a counter of cycles outside, for HLS code cannot see its clock. Its reads are volatile and
// stand in the blocks before and after the loops of a run, which no tool moves them across. `abort` is volatile too: it
// is read before each descriptor. `profile` must be 0: what runs inside a descriptor is not timed.
extern "C" void bitlathe_engine(const Word *program, const Word *weights, const Word *input, Word *output,
                                Word *scratch, uint64_t profile, uint32_t inputs, uint32_t flags,
                                uint32_t weights_bytes, uint32_t input_bytes, uint32_t output_bytes,
                                uint32_t scratch_bytes, const volatile uint32_t *abort, uint32_t *error,
                                uint32_t *error_index, uint32_t *runs, uint32_t *identity, uint32_t *version,
                                uint64_t *cycles, const volatile uint64_t *counter) {
#pragma HLS INTERFACE m_axi port=program offset=slave bundle=gmem depth=4096 max_read_burst_length=16 num_read_outstanding=8
#pragma HLS INTERFACE m_axi port=weights offset=slave bundle=gmem depth=65536 max_read_burst_length=16 num_read_outstanding=8
#pragma HLS INTERFACE m_axi port=input offset=slave bundle=gmem depth=65536 max_read_burst_length=16 num_read_outstanding=8
#pragma HLS INTERFACE m_axi port=output offset=slave bundle=gmem depth=65536 max_write_burst_length=16 num_write_outstanding=8
#pragma HLS INTERFACE m_axi port=scratch offset=slave bundle=gmem depth=65536 max_read_burst_length=16 max_write_burst_length=16
#pragma HLS INTERFACE s_axilite port=program offset=0x10 bundle=control
#pragma HLS INTERFACE s_axilite port=weights offset=0x1C bundle=control
#pragma HLS INTERFACE s_axilite port=input offset=0x28 bundle=control
#pragma HLS INTERFACE s_axilite port=output offset=0x34 bundle=control
#pragma HLS INTERFACE s_axilite port=scratch offset=0x40 bundle=control
#pragma HLS INTERFACE s_axilite port=profile offset=0x4C bundle=control
#pragma HLS INTERFACE s_axilite port=inputs offset=0x58 bundle=control
#pragma HLS INTERFACE s_axilite port=flags offset=0x60 bundle=control
#pragma HLS INTERFACE s_axilite port=weights_bytes offset=0x68 bundle=control
#pragma HLS INTERFACE s_axilite port=input_bytes offset=0x70 bundle=control
#pragma HLS INTERFACE s_axilite port=output_bytes offset=0x78 bundle=control
#pragma HLS INTERFACE s_axilite port=scratch_bytes offset=0x80 bundle=control
#pragma HLS INTERFACE ap_none port=abort
#pragma HLS INTERFACE s_axilite port=abort offset=0x88 bundle=control
#pragma HLS INTERFACE ap_none port=error
#pragma HLS INTERFACE s_axilite port=error offset=0x90 bundle=control
#pragma HLS INTERFACE ap_none port=error_index
#pragma HLS INTERFACE s_axilite port=error_index offset=0x98 bundle=control
#pragma HLS INTERFACE ap_none port=runs
#pragma HLS INTERFACE s_axilite port=runs offset=0xAC bundle=control
#pragma HLS INTERFACE ap_none port=identity
#pragma HLS INTERFACE s_axilite port=identity offset=0xB0 bundle=control
#pragma HLS INTERFACE ap_none port=version
#pragma HLS INTERFACE s_axilite port=version offset=0xB8 bundle=control
#pragma HLS INTERFACE ap_vld port=cycles
#pragma HLS INTERFACE s_axilite port=cycles offset=0xA0 bundle=control
#pragma HLS INTERFACE ap_none port=counter
#pragma HLS INTERFACE s_axilite port=return bundle=control
  using bitlathe::Config;
  static Word banks[Config::kBanks][Config::kBankLines];
#pragma HLS ARRAY_PARTITION variable=banks complete dim=1
  static Word store[Config::kPO][Config::kWeightLines];
#pragma HLS ARRAY_PARTITION variable=store complete dim=1
  static Word codewords[Config::kPI][Config::kCodebookWords];
#pragma HLS ARRAY_PARTITION variable=codewords complete dim=1
  static Config::CodePair tables[Config::kTableCopies][Config::kTableLines];
#pragma HLS ARRAY_PARTITION variable=tables complete dim=1
  static uint32_t completed = 0;

  const uint64_t began = *counter;
  const bitlathe::Sizes sizes = {weights_bytes, input_bytes, output_bytes, scratch_bytes};
  bitlathe::Outcome outcome = {bitlathe::kErrorBadField, bitlathe::kNoDescriptor};
  const bool weights_due = !(flags & bitlathe::kFlagWeightsResident);
  if (profile == 0) {
    outcome = bitlathe::run_program<Config>(program, weights, input, output, scratch, sizes, inputs, weights_due, abort,
                                            banks, store, codewords, tables);
  }
  *cycles = *counter - began;
  ++completed;
  *error = outcome.error;
  *error_index = outcome.failing;
  *runs = completed;
  *identity = Config::kIdentity;
  *version = bitlathe::kVersion;
}
