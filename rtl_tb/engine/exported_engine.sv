// exported_engine: the engine that HLS exported, with the ports that the whole-engine bench drives.
// Function:   as the core; counter_q is the counter of cycles that a block design brings beside it
// Interface:  as engine_with_ids. PI and the others tell the bench what the core was made for
// Latency:    none.   Throughput: as the core.
// Reset:      as the core
// Reference:  hls/vitis/engine_top.cpp
`default_nettype none
module exported_engine #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int PP = 6,
    parameter int Banks = 7,
    parameter int BankLines = 4096,
    parameter int WeightLines = 4608,
    parameter bit [31:0] Identity = 32'd0
) (
    input  wire logic            clk_i,
    input  wire logic            rst_ni,
    output logic                 irq_o,
    input  wire logic [     7:0] s_axi_control_awaddr,
    input  wire logic            s_axi_control_awvalid,
    output logic                 s_axi_control_awready,
    input  wire logic [    31:0] s_axi_control_wdata,
    input  wire logic [     3:0] s_axi_control_wstrb,
    input  wire logic            s_axi_control_wvalid,
    output logic                 s_axi_control_wready,
    output logic      [     1:0] s_axi_control_bresp,
    output logic                 s_axi_control_bvalid,
    input  wire logic            s_axi_control_bready,
    input  wire logic [     7:0] s_axi_control_araddr,
    input  wire logic            s_axi_control_arvalid,
    output logic                 s_axi_control_arready,
    output logic      [    31:0] s_axi_control_rdata,
    output logic      [     1:0] s_axi_control_rresp,
    output logic                 s_axi_control_rvalid,
    input  wire logic            s_axi_control_rready,
    output logic                 m_axi_arid,
    output logic      [    39:0] m_axi_araddr,
    output logic      [     7:0] m_axi_arlen,
    output logic      [     2:0] m_axi_arsize,
    output logic      [     1:0] m_axi_arburst,
    output logic      [     3:0] m_axi_arcache,
    output logic      [     2:0] m_axi_arprot,
    output logic                 m_axi_arvalid,
    input  wire logic            m_axi_arready,
    input  wire logic            m_axi_rid,
    input  wire logic [8*PI-1:0] m_axi_rdata,
    input  wire logic [     1:0] m_axi_rresp,
    input  wire logic            m_axi_rlast,
    input  wire logic            m_axi_rvalid,
    output logic                 m_axi_rready,
    output logic                 m_axi_awid,
    output logic      [    39:0] m_axi_awaddr,
    output logic      [     7:0] m_axi_awlen,
    output logic      [     2:0] m_axi_awsize,
    output logic      [     1:0] m_axi_awburst,
    output logic      [     3:0] m_axi_awcache,
    output logic      [     2:0] m_axi_awprot,
    output logic                 m_axi_awvalid,
    input  wire logic            m_axi_awready,
    output logic      [8*PI-1:0] m_axi_wdata,
    output logic      [  PI-1:0] m_axi_wstrb,
    output logic                 m_axi_wlast,
    output logic                 m_axi_wvalid,
    input  wire logic            m_axi_wready,
    input  wire logic            m_axi_bid,
    input  wire logic [     1:0] m_axi_bresp,
    input  wire logic            m_axi_bvalid,
    output logic                 m_axi_bready,
    output logic      [     8:0] broken_o
);
  // The core's own widths of addresses and IDs differ by release; what a port lacks stays zero.
  wire [63:0] araddr, awaddr;
  assign m_axi_arid = 1'b0;
  assign m_axi_awid = 1'b0;
  assign m_axi_araddr = araddr[39:0];
  assign m_axi_awaddr = awaddr[39:0];

  logic [63:0] counter_q;
  always_ff @(posedge clk_i) counter_q <= rst_ni ? counter_q + 64'd1 : 64'd0;

  bitlathe_engine u_engine (
      .ap_clk(clk_i), .ap_rst_n(rst_ni), .interrupt(irq_o), .counter(counter_q),
      .s_axi_control_AWVALID(s_axi_control_awvalid), .s_axi_control_AWREADY(s_axi_control_awready),
      .s_axi_control_AWADDR(s_axi_control_awaddr), .s_axi_control_WVALID(s_axi_control_wvalid),
      .s_axi_control_WREADY(s_axi_control_wready), .s_axi_control_WDATA(s_axi_control_wdata),
      .s_axi_control_WSTRB(s_axi_control_wstrb), .s_axi_control_BVALID(s_axi_control_bvalid),
      .s_axi_control_BREADY(s_axi_control_bready), .s_axi_control_BRESP(s_axi_control_bresp),
      .s_axi_control_ARVALID(s_axi_control_arvalid), .s_axi_control_ARREADY(s_axi_control_arready),
      .s_axi_control_ARADDR(s_axi_control_araddr), .s_axi_control_RVALID(s_axi_control_rvalid),
      .s_axi_control_RREADY(s_axi_control_rready), .s_axi_control_RDATA(s_axi_control_rdata),
      .s_axi_control_RRESP(s_axi_control_rresp), .m_axi_gmem_AWADDR(awaddr),
      .m_axi_gmem_AWVALID(m_axi_awvalid), .m_axi_gmem_AWREADY(m_axi_awready),
      .m_axi_gmem_AWLEN(m_axi_awlen), .m_axi_gmem_AWSIZE(m_axi_awsize), .m_axi_gmem_AWBURST(m_axi_awburst),
      .m_axi_gmem_AWCACHE(m_axi_awcache), .m_axi_gmem_AWPROT(m_axi_awprot), .m_axi_gmem_AWID(),
      .m_axi_gmem_AWLOCK(), .m_axi_gmem_AWQOS(), .m_axi_gmem_AWREGION(), .m_axi_gmem_AWUSER(),
      .m_axi_gmem_ARADDR(araddr), .m_axi_gmem_ARVALID(m_axi_arvalid), .m_axi_gmem_ARREADY(m_axi_arready),
      .m_axi_gmem_ARLEN(m_axi_arlen), .m_axi_gmem_ARSIZE(m_axi_arsize), .m_axi_gmem_ARBURST(m_axi_arburst),
      .m_axi_gmem_ARCACHE(m_axi_arcache), .m_axi_gmem_ARPROT(m_axi_arprot), .m_axi_gmem_ARID(),
      .m_axi_gmem_ARLOCK(), .m_axi_gmem_ARQOS(), .m_axi_gmem_ARREGION(), .m_axi_gmem_ARUSER(),
      .m_axi_gmem_WVALID(m_axi_wvalid), .m_axi_gmem_WREADY(m_axi_wready), .m_axi_gmem_WDATA(m_axi_wdata),
      .m_axi_gmem_WSTRB(m_axi_wstrb), .m_axi_gmem_WLAST(m_axi_wlast), .m_axi_gmem_WID(),
      .m_axi_gmem_WUSER(), .m_axi_gmem_RVALID(m_axi_rvalid), .m_axi_gmem_RREADY(m_axi_rready),
      .m_axi_gmem_RDATA(m_axi_rdata), .m_axi_gmem_RLAST(m_axi_rlast), .m_axi_gmem_RRESP(m_axi_rresp),
      .m_axi_gmem_RID('0), .m_axi_gmem_RUSER('0), .m_axi_gmem_BVALID(m_axi_bvalid),
      .m_axi_gmem_BREADY(m_axi_bready), .m_axi_gmem_BRESP(m_axi_bresp), .m_axi_gmem_BID('0),
      .m_axi_gmem_BUSER('0)
  );

  axi_rules #(.PI) u_rules (
      .clk_i, .rst_ni, .s_axi_control_bresp, .s_axi_control_bvalid, .s_axi_control_bready,
      .s_axi_control_rdata, .s_axi_control_rresp, .s_axi_control_rvalid, .s_axi_control_rready,
      .m_axi_araddr, .m_axi_arlen, .m_axi_arsize, .m_axi_arburst, .m_axi_arvalid, .m_axi_arready,
      .m_axi_awaddr, .m_axi_awlen, .m_axi_awsize, .m_axi_awburst, .m_axi_awvalid, .m_axi_awready,
      .m_axi_wdata, .m_axi_wstrb, .m_axi_wlast, .m_axi_wvalid, .m_axi_wready, .broken_o
  );
endmodule
`default_nettype wire
