// axi_write: the AXI write channels, shared by the stores and the profile.
// Function:   profile words go first, one beat a burst; data are offered whether or not their address is
//             taken yet; an answer that no burst awaits is taken and dropped
// Interface:  store bursts, words; profile words -> m_axi_aw*, m_axi_w*; m_axi_b* -> written, error
// Latency:    1 cycle to AW, 2 more to W.   Throughput: 1 beat per cycle; Outstanding in flight.
// Reset:      synchronous, active low; control only
// Reference:  rtl_tb/axi_write
`default_nettype none
module axi_write #(
    parameter int PI = 8,
    parameter int Outstanding = 8  // a power of two
) (
    input  wire logic            clk_i,
    input  wire logic            rst_ni,
    input  wire logic            stop_i,             // begin no burst; those begun are finished
    output logic                 busy_o,
    input  wire logic            store_valid_i,      // all words of the burst are at hand
    output logic                 store_ready_o,      // combinational on profile_valid_i
    input  wire logic [    39:0] store_address_i,
    input  wire logic [     4:0] store_beats_i,
    input  wire logic [8*PI-1:0] store_data_i,
    output logic                 store_data_ready_o,
    output logic                 store_written_o,    // a burst of the stores was answered
    input  wire logic            profile_valid_i,
    output logic                 profile_ready_o,
    input  wire logic [    39:0] profile_address_i,
    input  wire logic [8*PI-1:0] profile_data_i,     // stays until profile_data_ready_o
    output logic                 profile_data_ready_o,
    output logic                 error_o,            // the burst now answered failed
    output logic                 error_store_o,      // it was a store's
    output logic      [    39:0] m_axi_awaddr,
    output logic      [     7:0] m_axi_awlen,
    output logic                 m_axi_awvalid,
    input  wire logic            m_axi_awready,
    output logic      [8*PI-1:0] m_axi_wdata,
    output logic      [  PI-1:0] m_axi_wstrb,
    output logic                 m_axi_wlast,
    output logic                 m_axi_wvalid,
    input  wire logic            m_axi_wready,
    input  wire logic [     1:0] m_axi_bresp,
    input  wire logic            m_axi_bvalid,
    output logic                 m_axi_bready
);
  localparam int CountW = $clog2(Outstanding + 1);

  logic [CountW-1:0] flying_q;
  logic open, request, awaited, answered, offered_q, aw_store_q;
  logic job_valid, job_store, load_w, last, owner_store;
  logic [3:0] job_last, beat_q;
  logic unused_job_ready, unused_ready;  // both queues hold all bursts in flight
  logic unused_bits;
  assign unused_bits = m_axi_bresp[0];  // EXOKAY cannot come, SLVERR and DECERR have bit 1

  // Addresses
  assign open = (!m_axi_awvalid || m_axi_awready) && flying_q != CountW'(Outstanding) && !stop_i;
  assign profile_ready_o = open;
  assign store_ready_o = open && !profile_valid_i;
  assign request = open && (profile_valid_i || store_valid_i);
  assign answered = m_axi_bvalid && m_axi_bready && awaited;
  assign busy_o = flying_q != '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      m_axi_awvalid <= 1'b0;
      offered_q <= 1'b0;
      flying_q <= '0;
    end else begin
      if (!m_axi_awvalid || m_axi_awready) m_axi_awvalid <= request;
      offered_q <= request;
      flying_q <= flying_q + CountW'(request) - CountW'(answered);
    end
  end

  always_ff @(posedge clk_i) begin
    if (request) begin
      aw_store_q <= !profile_valid_i;
      m_axi_awaddr <= profile_valid_i ? profile_address_i : store_address_i;
      m_axi_awlen <= profile_valid_i ? 8'd0 : 8'(store_beats_i) - 8'd1;
    end
  end

  // Data follow once their address is offered: a memory may wait for them before it takes the address
  // (AXI, A3.3.1). AW still holds what was requested a cycle ago.
  fifo #(.Width(5), .Depth(Outstanding)) u_jobs (
      .clk_i, .rst_ni,
      .clear_i(1'b0),
      .valid_i(offered_q), .ready_o(unused_job_ready),
      .data_i({aw_store_q, m_axi_awlen[3:0]}),
      .valid_o(job_valid), .ready_i(load_w && last),
      .data_o({job_store, job_last})
  );
  assign load_w = job_valid && (!m_axi_wvalid || m_axi_wready);
  assign last = beat_q == job_last;
  assign store_data_ready_o = load_w && job_store;
  assign profile_data_ready_o = load_w && !job_store;
  assign m_axi_wstrb = '1;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      m_axi_wvalid <= 1'b0;
      beat_q <= '0;
    end else begin
      if (!m_axi_wvalid || m_axi_wready) m_axi_wvalid <= job_valid;
      if (load_w) beat_q <= last ? '0 : beat_q + 4'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (load_w) begin
      m_axi_wdata <= job_store ? store_data_i : profile_data_i;
      m_axi_wlast <= last;
    end
  end

  // Answers come in the order of the addresses.
  fifo #(.Width(1), .Depth(Outstanding)) u_owners (
      .clk_i, .rst_ni,
      .clear_i(1'b0),
      .valid_i(request), .ready_o(unused_ready),
      .data_i(!profile_valid_i),
      .valid_o(awaited), .ready_i(answered),
      .data_o(owner_store)
  );
  assign m_axi_bready = 1'b1;
  assign store_written_o = answered && owner_store;
  assign error_o = answered && m_axi_bresp[1];
  assign error_store_o = owner_store;
endmodule
`default_nettype wire
