// loop_counter: marks the last of a loop's steps by a register, decided a cycle ahead.
// Function:   last_o is set during step number count_i, then the loop starts over
// Interface:  restart_i before the first step; step_i ends a step
// Latency:    none.   Throughput: 1 step per cycle.
// Reset:      none; restart_i does it
// Reference:  rtl_tb/sequencer
`default_nettype none
module loop_counter #(
    parameter int Width = 12
) (
    input  wire logic             clk_i,
    input  wire logic             restart_i,
    input  wire logic             step_i,
    input  wire logic [Width-1:0] count_i,   // not 0, held while the loop runs
    output logic                  last_o
);
  logic [Width-1:0] left_q;

  always_ff @(posedge clk_i) begin
    if (restart_i || (step_i && last_o)) begin
      left_q <= count_i;
      last_o <= count_i == Width'(1);
    end else if (step_i) begin
      left_q <= left_q - Width'(1);
      last_o <= left_q == Width'(2);
    end
  end
endmodule
`default_nettype wire
