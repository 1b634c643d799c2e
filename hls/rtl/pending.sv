// pending: hold one dispatched descriptor until the work it waits for is complete.
// Function:   valid_o once counts >= waits in each of three fields; counts never fall meanwhile
// Interface:  valid/ready in (ready_o: empty) and out
// Latency:    2 cycles.   Throughput: 1 descriptor in 3 cycles.
// Reset:      synchronous, active low; the two flags only
// Reference:  hls/program.py, wait_load, wait_exec, wait_store
`default_nettype none
module pending #(
    parameter int Width = 64
) (
    input  wire logic             clk_i,
    input  wire logic             rst_ni,
    input  wire logic             clear_i,
    input  wire logic [     47:0] counts_i,  // complete stores, execs, loads
    input  wire logic             valid_i,
    output logic                  ready_o,
    input  wire logic [     47:0] waits_i,
    input  wire logic [Width-1:0] data_i,
    output logic                  valid_o,
    input  wire logic             ready_i,
    output logic      [Width-1:0] data_o
);
  logic held_q, go_q;
  logic [47:0] waits_q;
  logic met;

  assign ready_o = !held_q;
  assign valid_o = go_q;
  assign met = counts_i[15:0] >= waits_q[15:0] && counts_i[31:16] >= waits_q[31:16] &&
      counts_i[47:32] >= waits_q[47:32];

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i || (valid_o && ready_i)) begin
      held_q <= 1'b0;
      go_q <= 1'b0;
    end else begin
      held_q <= held_q || valid_i;
      go_q <= held_q && met;
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_i && ready_o) begin
      waits_q <= waits_i;
      data_o <= data_i;
    end
  end
endmodule
`default_nettype wire
