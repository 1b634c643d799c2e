// step_split: a step of a few columns as one of lines and banks.
// Function:   line_o = step_i / Banks; bank_o = step_i mod Banks
// Interface:  a held step in; a table of a few LUTs and registers
// Latency:    1 cycle.
// Reset:      none
// Reference:  hls/program/moves.py
`default_nettype none
module step_split #(
    parameter int Banks = 7,
    parameter int Width = 5
) (
    input  wire logic             clk_i,
    input  wire logic [Width-1:0] step_i,
    output logic signed    [15:0] line_o,
    output logic           [ 3:0] bank_o
);
  always_ff @(posedge clk_i) begin
    line_o <= 16'(step_i / Width'(Banks));
    bank_o <= 4'(step_i % Width'(Banks));
  end
endmodule
`default_nettype wire
