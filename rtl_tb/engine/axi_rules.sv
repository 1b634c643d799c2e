// axi_rules: watches what AXI demands of the engine; a broken rule leaves its bit of broken_o set.
// Function:   0 AR, 1 AW, 2 W, 3 control B, 4 control R: an offered payload was changed or taken back
//             5 read burst, 6 write burst: of more than 16 beats, across 4 KiB, or not whole aligned words
//             7 WLAST elsewhere than on a burst's last beat, whether its AW came before or after; 8 a strobe that is off
//             Data may go ahead of their address: a memory may wait for either before it takes the other (A3.3.1).
// Interface:  inputs alone, sampled at the clock edge
// Latency:    1 cycle.   Throughput: every cycle.
// Reset:      clears broken_o
// Reference:  AMBA AXI and ACE Protocol Specification, A3
`default_nettype none
module axi_rules #(
    parameter int PI = 8
) (
    input  wire logic            clk_i,
    input  wire logic            rst_ni,
    input  wire logic [     1:0] s_axi_control_bresp,
    input  wire logic            s_axi_control_bvalid,
    input  wire logic            s_axi_control_bready,
    input  wire logic [    31:0] s_axi_control_rdata,
    input  wire logic [     1:0] s_axi_control_rresp,
    input  wire logic            s_axi_control_rvalid,
    input  wire logic            s_axi_control_rready,
    input  wire logic [    39:0] m_axi_araddr,
    input  wire logic [     7:0] m_axi_arlen,
    input  wire logic [     2:0] m_axi_arsize,
    input  wire logic [     1:0] m_axi_arburst,
    input  wire logic            m_axi_arvalid,
    input  wire logic            m_axi_arready,
    input  wire logic [    39:0] m_axi_awaddr,
    input  wire logic [     7:0] m_axi_awlen,
    input  wire logic [     2:0] m_axi_awsize,
    input  wire logic [     1:0] m_axi_awburst,
    input  wire logic            m_axi_awvalid,
    input  wire logic            m_axi_awready,
    input  wire logic [8*PI-1:0] m_axi_wdata,
    input  wire logic [  PI-1:0] m_axi_wstrb,
    input  wire logic            m_axi_wlast,
    input  wire logic            m_axi_wvalid,
    input  wire logic            m_axi_wready,
    output logic      [     8:0] broken_o
);
  // ---- Offers stay as they are until they are taken
  logic [4:0] valid, ready, waiting_q, changed;
  logic [52:0] ar, ar_q, aw, aw_q;
  logic [9*PI:0] w, w_q;
  logic [33:0] r, r_q;
  logic [1:0] b_q;
  assign valid = {s_axi_control_rvalid, s_axi_control_bvalid, m_axi_wvalid, m_axi_awvalid, m_axi_arvalid};
  assign ready = {s_axi_control_rready, s_axi_control_bready, m_axi_wready, m_axi_awready, m_axi_arready};
  assign ar = {m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst};
  assign aw = {m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst};
  assign w = {m_axi_wdata, m_axi_wstrb, m_axi_wlast};
  assign r = {s_axi_control_rdata, s_axi_control_rresp};
  assign changed = ~valid | {r != r_q, s_axi_control_bresp != b_q, w != w_q, aw != aw_q, ar != ar_q};
  always_ff @(posedge clk_i) begin
    waiting_q <= rst_ni ? valid & ~ready : '0;
    {ar_q, aw_q, w_q, r_q, b_q} <= {ar, aw, w, r, s_axi_control_bresp};
  end

  // ---- Bursts
  function automatic logic is_bad(input logic [39:0] address, input logic [7:0] beats, input logic [2:0] size,
                                  input logic [1:0] burst);
    logic [12:0] last;
    last = 13'(address[11:0]) + 13'(beats) * 13'(PI);
    return beats > 8'd15 || last[12] || size != 3'($clog2(PI)) || burst != 2'b01 || address % 40'(PI) != 0;
  endfunction

  // ---- Addresses and data, counted in bursts; lengths of those that are ahead of the other
  logic [7:0] lengths_q [64];  // AWLEN
  logic [7:0] counts_q [64];   // beats of data, less one
  logic [5:0] address_q, data_q;  // bursts whose address, and whose last beat, is taken
  logic [5:0] lead;  // of the addresses
  logic [7:0] beat_q, length;
  logic take_aw, take_w, aw_late, aw_now, is_known, is_end, w_bad, aw_bad;
  assign take_aw = m_axi_awvalid && m_axi_awready;
  assign take_w = m_axi_wvalid && m_axi_wready;
  assign lead = address_q - data_q;
  assign aw_late = lead[5];
  assign aw_now = take_aw && lead == '0;  // the address of the burst whose data come
  assign is_known = aw_now || (lead != '0 && !aw_late);
  assign length = aw_now ? m_axi_awlen : lengths_q[data_q];
  assign is_end = is_known ? beat_q == length : m_axi_wlast;
  assign w_bad = take_w && is_known && m_axi_wlast != is_end;
  assign aw_bad = take_aw && (aw_late ? m_axi_awlen != counts_q[address_q] : aw_now && beat_q > m_axi_awlen);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      address_q <= '0;
      data_q <= '0;
      beat_q <= '0;
    end else begin
      if (take_aw) begin
        lengths_q[address_q] <= m_axi_awlen;
        address_q <= address_q + 1'b1;
      end
      if (take_w) begin
        beat_q <= is_end ? '0 : beat_q + 1'b1;
        if (is_end) begin
          counts_q[data_q] <= beat_q;
          data_q <= data_q + 1'b1;
        end
      end
    end
  end

  logic [8:0] broken;
  assign broken[4:0] = waiting_q & changed;
  assign broken[5] = m_axi_arvalid && is_bad(m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst);
  assign broken[6] = m_axi_awvalid && is_bad(m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst);
  assign broken[7] = w_bad || aw_bad;
  assign broken[8] = m_axi_wvalid && m_axi_wstrb != '1;
  always_ff @(posedge clk_i) broken_o <= rst_ni ? broken_o | broken : '0;
endmodule
`default_nettype wire
