// weight_store: PO columns of PI-byte words, loaded octet by octet and read a line at a time.
// Function:   line = PO columns; column o holds output lane o's weights for PI input lanes, or its parameters
// Interface:  write mask an octet, 8 weights of a column; reads are registered twice
// Latency:    3 cycles from read_en_i to read_data_o.   Throughput: 1 line per cycle.
// Reset:      none
// Reference:  hls/compile/weights.py
`default_nettype none
module weight_store #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int Lines = 4608
) (
    input  wire logic                clk_i,
    input  wire logic                write_valid_i,
    // Lines are 16 bit in every interface.
    // verilator lint_off UNUSEDSIGNAL
    input  wire logic [        15:0] write_line_i,
    // verilator lint_on UNUSEDSIGNAL
    input  wire logic [ PI*PO/8-1:0] write_mask_i,
    input  wire logic [ 8*PI*PO-1:0] write_data_i,
    input  wire logic                read_en_i,
    // Lines are 16 bit in every interface.
    // verilator lint_off UNUSEDSIGNAL
    input  wire logic [        15:0] read_line_i,
    // verilator lint_on UNUSEDSIGNAL
    output logic      [ 8*PI*PO-1:0] read_data_o
);
  localparam int LineW = $clog2(Lines);

  logic read_en_q;
  logic [LineW-1:0] read_line_q;
  always_ff @(posedge clk_i) begin
    read_en_q   <= read_en_i;
    read_line_q <= LineW'(read_line_i);
  end

  for (genvar e = 0; e < PI * PO / 8; e++) begin : gen_octet
    logic [63:0] data;
    ram_1r1w #(
        .Width(64),
        .Lines(Lines)
    ) u_octet (
        .clk_i,
        .write_en_i  (write_valid_i && write_mask_i[e]),
        .write_line_i(LineW'(write_line_i)),
        .write_data_i(write_data_i[64*e+:64]),
        .read_en_i   (read_en_q),
        .read_line_i (read_line_q),
        .read_data_o (data)
    );
    always_ff @(posedge clk_i) read_data_o[64*e+:64] <= data;
  end
endmodule
`default_nettype wire
