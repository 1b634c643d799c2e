// exec_checks: both checks of an EXEC, one after the other as in the engine.
// Function:   bad_field_o, beyond_o: what the engine says of the descriptor, from done_o on
// Interface:  start_i with a descriptor that is held until done_o
// Latency:    that of reach_check
// Reset:      synchronous, active low
// Reference:  hls/checks.py
`default_nettype none
module exec_checks #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int PP = 6,
    parameter int Banks = 7,
    parameter int BankLines = 4096,
    parameter int WeightLines = 4608
) (
    input  wire logic         clk_i,
    input  wire logic         rst_ni,
    input  wire logic         start_i,
    input  wire logic [program_pkg::DESCRIPTOR_BITS-1:0] desc_i,
    output logic              field_o,     // refused at dispatch
    output logic              bad_field_o,
    output logic              beyond_o
);
  logic unused_opcode;
  field_check #(.PI(PI), .PO(PO), .PP(PP), .Banks(Banks)) u_field (
      .clk_i, .desc_i, .final_i(1'b0), .bad_opcode_o(unused_opcode), .bad_field_o(field_o)
  );
  reach_check #(
      .PI(PI), .PO(PO), .Banks(Banks), .BankLines(BankLines), .WeightLines(WeightLines)
  ) u_reach (
      .clk_i, .rst_ni, .start_i, .desc_i, .bad_field_o, .beyond_o
  );
endmodule
`default_nettype wire
