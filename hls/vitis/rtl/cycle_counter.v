// cycle_counter: cycles since reset, for cores made by HLS, whose code cannot see its clock.
// Function:   count_o = cycles in which rst_ni was high
// Interface:  count_o, a plain wire to the core's port `counter`
// Latency:    none
// Reset:      synchronous, active low
// Reference:  hls/vitis/engine_top.cpp, hls/templates/hls4ml/network_kernel.cpp.j2
`default_nettype none
module cycle_counter (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 clk_i CLK" *)
    (* X_INTERFACE_PARAMETER = "XIL_INTERFACENAME clk_i, ASSOCIATED_RESET rst_ni" *)
    input  wire        clk_i,
    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 rst_ni RST" *)
    (* X_INTERFACE_PARAMETER = "XIL_INTERFACENAME rst_ni, POLARITY ACTIVE_LOW" *)
    input  wire        rst_ni,
    output reg  [63:0] count_o
);
  always @(posedge clk_i) count_o <= rst_ni ? count_o + 64'd1 : 64'd0;
endmodule
`default_nettype wire
