// fifo: small first-in first-out queue in distributed RAM.
// Function:   words leave in the order they entered; clear_i empties it
// Interface:  valid/ready in and out; ready_o and valid_o are registers
// Latency:    1 cycle.   Throughput: 1 word per cycle.
// Reset:      synchronous, active low; all but the words
// Reference:  rtl_tb/axi_read, rtl_tb/store_unit
`default_nettype none
module fifo #(
    parameter int Width = 8,
    parameter int Depth = 16  // a power of two, at least 2
) (
    input  wire logic             clk_i,
    input  wire logic             rst_ni,
    input  wire logic             clear_i,
    input  wire logic             valid_i,
    output logic                  ready_o,
    input  wire logic [Width-1:0] data_i,
    output logic                  valid_o,
    input  wire logic             ready_i,
    output logic      [Width-1:0] data_o
);
  localparam int PointerW = $clog2(Depth);

  (* ram_style = "distributed" *) logic [Width-1:0] memory[Depth];
  logic [PointerW-1:0] write_q, read_q;
  logic [PointerW:0] level_q;
  logic put, take;

  assign put = valid_i && ready_o;
  assign take = valid_o && ready_i;
  assign data_o = memory[read_q];

  always_ff @(posedge clk_i) if (put) memory[write_q] <= data_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      write_q <= '0;
      read_q <= '0;
      level_q <= '0;
      valid_o <= 1'b0;
      ready_o <= 1'b1;
    end else begin
      write_q <= write_q + PointerW'(put);
      read_q <= read_q + PointerW'(take);
      if (put && !take) begin
        level_q <= level_q + (PointerW + 1)'(1);
        valid_o <= 1'b1;
        ready_o <= level_q != (PointerW + 1)'(Depth - 1);
      end else if (take && !put) begin
        level_q <= level_q - (PointerW + 1)'(1);
        valid_o <= level_q != (PointerW + 1)'(1);
        ready_o <= 1'b1;
      end
    end
  end
endmodule
`default_nettype wire
