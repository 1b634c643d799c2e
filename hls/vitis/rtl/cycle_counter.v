// cycle_counter: cycles since reset, for cores made by HLS, whose code cannot see its clock.
// Function:   count_o = cycles in which rst_ni was high
// Interface:  count_o, a plain wire to the core's port `counter`
// Latency:    none
// Reset:      synchronous, active low
// Reference:  hls/vitis/engine_top.cpp, hls/templates/hls4ml/network_kernel.cpp.j2
`default_nettype none
module cycle_counter (
    input  wire        clk_i,
    input  wire        rst_ni,
    output reg  [63:0] count_o
);
  always @(posedge clk_i) count_o <= rst_ni ? count_o + 64'd1 : 64'd0;
endmodule
`default_nettype wire
