// tables: 8 tables of 256 codes, in which each lane of the output stage looks its code up.
// Function:   codes_o = entries[256 * table_i + codes_i], lane by lane
// Interface:  a lookup, or a write of two codes while nothing is looked up
// Latency:    1 cycle.   Throughput: PI lookups or a write per cycle.
// Reset:      none
// Reference:  hls/functional/exec.py
`default_nettype none
module tables #(
    parameter int PI = 8
) (
    input  wire logic            clk_i,
    input  wire logic            lookup_i,
    input  wire logic [     2:0] table_i,
    input  wire logic [8*PI-1:0] codes_i,
    output logic      [8*PI-1:0] codes_o,
    input  wire logic            write_valid_i,
    output logic                 write_ready_o,  // combinational on lookup_i
    input  wire logic [     9:0] write_line_i,
    input  wire logic [    15:0] write_data_i
);
  localparam int Pairs = 1024;  // of codes, in 8 tables

  assign write_ready_o = !lookup_i;

  // A RAM holds all the tables for two lanes, and a line of it two codes, of which a code's lowest bit chooses.
  for (genvar p = 0; p < PI / 2; p++) begin : gen_ram
    logic [7:0] code[2];
    logic [15:0] found[2];
    logic [1:0] is_odd_q;
    assign code[0] = codes_i[16*p+:8];
    assign code[1] = codes_i[16*p+8+:8];

    ram_1r1rw #(
        .Width(16),
        .Lines(Pairs)
    ) u_ram (
        .clk_i,
        .a_en_i   (lookup_i),
        .a_line_i ({table_i, code[0][7:1]}),
        .a_data_o (found[0]),
        .b_en_i   (lookup_i || write_valid_i),
        .b_write_i(write_valid_i && !lookup_i),
        .b_line_i (lookup_i ? {table_i, code[1][7:1]} : write_line_i),
        .b_data_i (write_data_i),
        .b_data_o (found[1])
    );

    always_ff @(posedge clk_i) is_odd_q <= {code[1][0], code[0][0]};
    for (genvar i = 0; i < 2; i++) begin : gen_lane
      assign codes_o[8*(2*p+i)+:8] = is_odd_q[i] ? found[i][15:8] : found[i][7:0];
    end
  end
endmodule
`default_nettype wire
