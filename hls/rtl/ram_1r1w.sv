// ram_1r1w: block RAM with one read and one write port.
// Function:   write_data is stored at write_line; read_data is what read_line held a cycle earlier
// Interface:  enables; a read of the line written in the same cycle returns the old word
// Latency:    1 cycle
// Reset:      none
// Reference:  rtl_tb/scratchpad
`default_nettype none
module ram_1r1w #(
    parameter int Width = 64,
    parameter int Lines = 512
) (
    input  wire logic                     clk_i,
    input  wire logic                     write_en_i,
    input  wire logic [$clog2(Lines)-1:0] write_line_i,
    input  wire logic [Width-1:0]         write_data_i,
    input  wire logic                     read_en_i,
    input  wire logic [$clog2(Lines)-1:0] read_line_i,
    output logic      [Width-1:0]         read_data_o
);
  (* ram_style = "block" *) logic [Width-1:0] memory[Lines];
  always_ff @(posedge clk_i) if (write_en_i) memory[write_line_i] <= write_data_i;
  always_ff @(posedge clk_i) if (read_en_i) read_data_o <= memory[read_line_i];
endmodule
`default_nettype wire
