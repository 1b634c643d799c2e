// skid: a register and a spare one behind it, so that neither direction of a handshake passes through.
// Function:   words leave in the order they entered; clear_i empties it
// Interface:  valid/ready in and out; ready_o, valid_o and data_o are registers
// Latency:    1 cycle.   Throughput: 1 word per cycle.
// Reset:      synchronous, active low; the two flags only
// Reference:  rtl_tb/load_unit
`default_nettype none
module skid #(
    parameter int Width = 8
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
  logic [Width-1:0] spare_q;
  logic moves;

  assign moves = ready_i || !valid_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      valid_o <= 1'b0;
      ready_o <= 1'b1;
    end else begin
      if (moves) valid_o <= valid_i || !ready_o;
      ready_o <= moves || (ready_o && !valid_i);
    end
  end

  always_ff @(posedge clk_i) begin
    if (moves) data_o <= ready_o ? data_i : spare_q;
    if (ready_o) spare_q <= data_i;
  end
endmodule
`default_nettype wire
