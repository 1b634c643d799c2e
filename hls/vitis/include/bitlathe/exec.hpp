// exec: EXEC as five processes joined by bounded FIFOs.
// Function:   gather -> address -> scratchpad -> array -> output_stage -> scratchpad
// Interface:  EXEC fields, scratchpad banks, weight store, tables
// Latency:    groups * kernel cycles and about 40 to fill.   Throughput: the array works in every cycle.
// Reset:      none
// Reference:  hls/functional/exec.py
#ifndef BITLATHE_EXEC_HPP
#define BITLATHE_EXEC_HPP

#include "output_stage.hpp"

namespace bitlathe {

template <class Config>
void execute(ExecFields fields, typename Config::Word banks[Config::kBanks][Config::kBankLines],
             const typename Config::Word weights[Config::kPO][Config::kWeightLines],
             const typename Config::CodePair tables[Config::kTableCopies][Config::kTableLines]) {
#pragma HLS INLINE off
#pragma HLS DATAFLOW
  Stream<PixelGroup<Config>, 4> groups("groups");
#pragma HLS STREAM variable=groups depth=4
  Stream<Packed<Config::kPP, kAddressBits>, 8> addresses("addresses");
#pragma HLS STREAM variable=addresses depth=8
  // As deep as what can be on the way from the addresses to the array: it must not starve the scratchpad.
  Stream<Command, 32> commands("commands");
#pragma HLS STREAM variable=commands depth=32
  Stream<typename Config::Operands, 16> operands("operands");
#pragma HLS STREAM variable=operands depth=16
  Stream<typename Config::Parameters, 2> parameters("parameters");
#pragma HLS STREAM variable=parameters depth=2
  Stream<GroupHead, 4> heads("heads");
#pragma HLS STREAM variable=heads depth=4
  Stream<typename Config::Sums, 4> sums[Config::kPP];
#pragma HLS STREAM variable=sums depth=4
  Stream<typename Config::Word, 16> residuals("residuals");
#pragma HLS STREAM variable=residuals depth=16
  Stream<typename Config::Word, 16> results("results");
#pragma HLS STREAM variable=results depth=16

  BITLATHE_PROCESS(gather<Config>(fields, groups));
  BITLATHE_PROCESS(address<Config>(fields, groups, addresses, commands));
  BITLATHE_PROCESS(scratchpad<Config>(fields, banks, addresses, operands, residuals, results));
  BITLATHE_PROCESS(array<Config>(fields, weights, commands, operands, parameters, heads, sums));
  BITLATHE_PROCESS(output_stage<Config>(fields, tables, parameters, heads, sums, residuals, results));
  BITLATHE_JOIN();
}

}  // namespace bitlathe

#endif
