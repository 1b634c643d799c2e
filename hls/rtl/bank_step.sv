// bank_step: a step from bank to bank; past the last one, the line moves on too.
// Function:   bank_o = (bank_i + step_i) mod Banks; wraps_o = bank_i + step_i >= Banks
// Interface:  combinational; bank_i and step_i below Banks
// Latency:    0 cycles.
// Reset:      none
// Reference:  hls/program/moves.py
`default_nettype none
module bank_step #(
    parameter int Banks = 7
) (
    input  wire logic [3:0] bank_i,
    input  wire logic [3:0] step_i,
    output logic      [3:0] bank_o,
    output logic            wraps_o
);
  // Spelled out, as two levels of LUTs are faster than the way into a carry chain and out again.
  logic [4:0] sum, carry;
  always_comb begin
    carry = '0;
    for (int i = 0; i < 4; i++) carry[i+1] = (bank_i[i] & step_i[i]) | (carry[i] & (bank_i[i] | step_i[i]));
    sum = {1'b0, bank_i ^ step_i} ^ carry;
  end
  assign wraps_o = sum >= 5'(Banks);
  assign bank_o = wraps_o ? 4'(sum - 5'(Banks)) : sum[3:0];
endmodule
`default_nettype wire
