// axi_read: the AXI read channels, shared by the descriptor fetch and the loads.
// Function:   fetch goes first; data return in the order of the requests and go to whom asked; a beat
//             that no burst awaits is taken and dropped
// Interface:  requests -> m_axi_ar*; m_axi_r* -> fetch data (always taken), load data (valid/ready)
// Latency:    1 cycle out, 1 back.   Throughput: 1 beat per cycle; Outstanding bursts in flight.
// Reset:      synchronous, active low; control only
// Reference:  rtl_tb/axi_read
`default_nettype none
module axi_read #(
    parameter int PI = 8,
    parameter int Outstanding = 8  // a power of two
) (
    input  wire logic            clk_i,
    input  wire logic            rst_ni,
    input  wire logic            stop_i,           // ask for nothing more, drop the loads' data
    output logic                 busy_o,
    input  wire logic            fetch_valid_i,
    output logic                 fetch_ready_o,
    input  wire logic [    39:0] fetch_address_i,
    input  wire logic [     4:0] fetch_beats_i,
    output logic                 fetch_rvalid_o,
    input  wire logic            load_valid_i,
    output logic                 load_ready_o,     // combinational on fetch_valid_i
    input  wire logic [    39:0] load_address_i,
    input  wire logic [     4:0] load_beats_i,
    output logic                 load_rvalid_o,
    input  wire logic            load_rready_i,
    output logic      [8*PI-1:0] rdata_o,
    output logic                 rerror_o,
    output logic      [    39:0] m_axi_araddr,
    output logic      [     7:0] m_axi_arlen,
    output logic                 m_axi_arvalid,
    input  wire logic            m_axi_arready,
    input  wire logic [8*PI-1:0] m_axi_rdata,
    input  wire logic [     1:0] m_axi_rresp,
    input  wire logic            m_axi_rlast,
    input  wire logic            m_axi_rvalid,
    output logic                 m_axi_rready
);
  localparam int CountW = $clog2(Outstanding + 1);

  logic [CountW-1:0] flying_q;
  logic open, request, awaited, landed;
  logic owner_load, head_valid, head_load;
  logic unused_ready;  // the queue of owners holds all bursts in flight
  logic unused_bits;
  assign unused_bits = m_axi_rresp[0];  // EXOKAY cannot come, SLVERR and DECERR have bit 1

  // Requests: one register towards the bus, which keeps its payload until taken.
  assign open = (!m_axi_arvalid || m_axi_arready) && flying_q != CountW'(Outstanding) && !stop_i;
  assign fetch_ready_o = open;
  assign load_ready_o = open && !fetch_valid_i;
  assign request = open && (fetch_valid_i || load_valid_i);
  assign landed = m_axi_rvalid && m_axi_rready && m_axi_rlast && awaited;
  assign busy_o = m_axi_arvalid || flying_q != '0 || head_valid;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      m_axi_arvalid <= 1'b0;
      flying_q <= '0;
    end else begin
      if (!m_axi_arvalid || m_axi_arready) m_axi_arvalid <= request;
      flying_q <= flying_q + CountW'(request) - CountW'(landed);
    end
  end

  always_ff @(posedge clk_i) begin
    if (request) begin
      m_axi_araddr <= fetch_valid_i ? fetch_address_i : load_address_i;
      m_axi_arlen <= 8'(fetch_valid_i ? fetch_beats_i : load_beats_i) - 8'd1;
    end
  end

  fifo #(.Width(1), .Depth(Outstanding)) u_owners (
      .clk_i, .rst_ni,
      .clear_i(1'b0),
      .valid_i(request), .ready_o(unused_ready),
      .data_i(!fetch_valid_i),
      .valid_o(awaited), .ready_i(landed),
      .data_o(owner_load)
  );

  // Data: a short queue, so that a load's bank conflict does not reach the bus's ready.
  fifo #(.Width(8 * PI + 2), .Depth(16)) u_beats (
      .clk_i, .rst_ni,
      .clear_i(1'b0),
      .valid_i(m_axi_rvalid && awaited), .ready_o(m_axi_rready),
      .data_i({owner_load, m_axi_rresp[1], m_axi_rdata}),
      .valid_o(head_valid), .ready_i(!head_load || load_rready_i || stop_i),
      .data_o({head_load, rerror_o, rdata_o})
  );
  assign fetch_rvalid_o = head_valid && !head_load;
  assign load_rvalid_o = head_valid && head_load;
endmodule
`default_nettype wire
