// ram_1r1rw: true dual-port block RAM, port A reads, port B reads or writes.
// Function:   a port's data is what its line held a cycle earlier; port B keeps its data while it writes
// Interface:  enables; lines written and read in the same cycle return the old or new word (never relied on)
// Latency:    1 cycle
// Reset:      none
// Reference:  rtl_tb/scratchpad
`default_nettype none
module ram_1r1rw #(
    parameter int Width = 64,
    parameter int Lines = 4096
) (
    input  wire logic                     clk_i,
    input  wire logic                     a_en_i,
    input  wire logic [$clog2(Lines)-1:0] a_line_i,
    output logic      [Width-1:0]         a_data_o,
    input  wire logic                     b_en_i,
    input  wire logic                     b_write_i,
    input  wire logic [$clog2(Lines)-1:0] b_line_i,
    input  wire logic [Width-1:0]         b_data_i,
    output logic      [Width-1:0]         b_data_o
);
  (* ram_style = "block" *) logic [Width-1:0] memory[Lines];
  always_ff @(posedge clk_i) if (a_en_i) a_data_o <= memory[a_line_i];
  always_ff @(posedge clk_i) begin
    if (b_en_i) begin
      if (b_write_i) memory[b_line_i] <= b_data_i;
      else b_data_o <= memory[b_line_i];
    end
  end
endmodule
`default_nettype wire
