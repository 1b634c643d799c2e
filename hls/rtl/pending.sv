// pending: hold one dispatched descriptor until the work it waits for is complete.
// Function:   valid_o once counts - targets >= 0 in each of three fields, modulo 2**CountW; counts never fall
// Interface:  valid/ready in (ready_o: empty) and out
// Latency:    2 cycles.   Throughput: 1 descriptor in 3 cycles.
// Reset:      synchronous, active low; the two flags only
// Reference:  hls/program/format.py, wait_load, wait_exec, wait_store
`default_nettype none
module pending #(
    parameter int Width = 64,
    parameter int CountW = 18
) (
    input  wire logic             clk_i,
    input  wire logic             rst_ni,
    input  wire logic             clear_i,
    input  wire logic [3*CountW-1:0] counts_i,  // complete stores, execs, loads
    input  wire logic             valid_i,
    output logic                  ready_o,
    input  wire logic [3*CountW-1:0] targets_i,
    input  wire logic [Width-1:0] data_i,
    output logic                  valid_o,
    input  wire logic             ready_i,
    output logic      [Width-1:0] data_o
);
  logic held_q, go_q;
  logic [3*CountW-1:0] targets_q;
  logic [CountW-1:0] loads, execs, stores;  // beyond the targets, or negative
  logic met;

  assign ready_o = !held_q;
  assign valid_o = go_q;
  assign loads = counts_i[0+:CountW] - targets_q[0+:CountW];
  assign execs = counts_i[CountW+:CountW] - targets_q[CountW+:CountW];
  assign stores = counts_i[2*CountW+:CountW] - targets_q[2*CountW+:CountW];
  assign met = !loads[CountW-1] && !execs[CountW-1] && !stores[CountW-1];

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
      targets_q <= targets_i;
      data_o <= data_i;
    end
  end
endmodule
`default_nettype wire
