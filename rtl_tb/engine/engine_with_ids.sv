// engine_with_ids: the engine with the AXI IDs that cocotbext-axi asks for, and with its bus rules watched.
// Function:   IDs are the constant 0; those of responses are dropped
// Interface:  as engine; broken_o as axi_rules
// Latency:    none.   Throughput: as engine.
// Reset:      as engine
// Reference:  hls/rtl/engine.sv
`default_nettype none
module engine_with_ids #(
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
    input  wire logic [    15:0] s_axi_control_awaddr,
    input  wire logic            s_axi_control_awvalid,
    output logic                 s_axi_control_awready,
    input  wire logic [    31:0] s_axi_control_wdata,
    input  wire logic [     3:0] s_axi_control_wstrb,
    input  wire logic            s_axi_control_wvalid,
    output logic                 s_axi_control_wready,
    output logic      [     1:0] s_axi_control_bresp,
    output logic                 s_axi_control_bvalid,
    input  wire logic            s_axi_control_bready,
    input  wire logic [    15:0] s_axi_control_araddr,
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
  assign m_axi_arid = 1'b0;
  assign m_axi_awid = 1'b0;

  engine #(
      .PI, .PO, .PP, .Banks, .BankLines, .WeightLines, .Identity
  ) u_engine (
      .clk_i, .rst_ni, .irq_o, .s_axi_control_awaddr, .s_axi_control_awvalid, .s_axi_control_awready,
      .s_axi_control_wdata, .s_axi_control_wstrb, .s_axi_control_wvalid, .s_axi_control_wready,
      .s_axi_control_bresp, .s_axi_control_bvalid, .s_axi_control_bready, .s_axi_control_araddr,
      .s_axi_control_arvalid, .s_axi_control_arready, .s_axi_control_rdata, .s_axi_control_rresp,
      .s_axi_control_rvalid, .s_axi_control_rready, .m_axi_araddr, .m_axi_arlen, .m_axi_arsize,
      .m_axi_arburst, .m_axi_arcache, .m_axi_arprot, .m_axi_arvalid, .m_axi_arready, .m_axi_rdata,
      .m_axi_rresp, .m_axi_rlast, .m_axi_rvalid, .m_axi_rready, .m_axi_awaddr, .m_axi_awlen, .m_axi_awsize,
      .m_axi_awburst, .m_axi_awcache, .m_axi_awprot, .m_axi_awvalid, .m_axi_awready, .m_axi_wdata,
      .m_axi_wstrb, .m_axi_wlast, .m_axi_wvalid, .m_axi_wready, .m_axi_bresp, .m_axi_bvalid, .m_axi_bready
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
