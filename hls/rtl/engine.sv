// engine: the integer convolution engine: runs programs from DDR over an on-chip scratchpad.
// Function:   as the program says; see docs/program.md and docs/registers.md
// Interface:  s_axi_control (AXI4-Lite registers), m_axi (AXI4 master, PI bytes a beat), irq_o
// Latency:    a run's cycles are in the registers CYCLES_LO, CYCLES_HI.
// Reset:      synchronous, active low; control only
// Reference:  hls/program/format.py, hls/target/config.py
`default_nettype none
module engine #(
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
    output logic      [    39:0] m_axi_araddr,
    output logic      [     7:0] m_axi_arlen,
    output logic      [     2:0] m_axi_arsize,
    output logic      [     1:0] m_axi_arburst,
    output logic      [     3:0] m_axi_arcache,
    output logic      [     2:0] m_axi_arprot,
    output logic                 m_axi_arvalid,
    input  wire logic            m_axi_arready,
    input  wire logic [8*PI-1:0] m_axi_rdata,
    input  wire logic [     1:0] m_axi_rresp,
    input  wire logic            m_axi_rlast,
    input  wire logic            m_axi_rvalid,
    output logic                 m_axi_rready,
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
    input  wire logic [     1:0] m_axi_bresp,
    input  wire logic            m_axi_bvalid,
    output logic                 m_axi_bready
);
  localparam int WordLog = $clog2(PI);

  assign m_axi_arsize = 3'(WordLog);
  assign m_axi_awsize = 3'(WordLog);
  assign m_axi_arburst = 2'b01;  // INCR
  assign m_axi_awburst = 2'b01;
  assign m_axi_arcache = 4'b0011;  // normal, non-cacheable, bufferable
  assign m_axi_awcache = 4'b0011;
  assign m_axi_arprot = 3'b000;
  assign m_axi_awprot = 3'b000;

  // ---- Registers
  logic start, abort, idle, done, resident, stop, clear, profile_on;
  logic [39:0] program_address, profile_address;
  logic [159:0] space_base;
  logic [127:0] space_bytes;
  logic [32-WordLog:0] load_advance, store_advance;
  logic [31:0] inputs, error_index;
  logic [7:0] error_code;
  logic [63:0] cycles;
  logic [15:0] exec_index;

  axil_regs #(.Identity(Identity)) u_registers (
      .clk_i, .rst_ni, .irq_o,
      .s_axi_control_awaddr, .s_axi_control_awvalid, .s_axi_control_awready,
      .s_axi_control_wdata, .s_axi_control_wstrb, .s_axi_control_wvalid, .s_axi_control_wready,
      .s_axi_control_bresp, .s_axi_control_bvalid, .s_axi_control_bready,
      .s_axi_control_araddr, .s_axi_control_arvalid, .s_axi_control_arready,
      .s_axi_control_rdata, .s_axi_control_rresp, .s_axi_control_rvalid, .s_axi_control_rready,
      .start_o(start), .abort_o(abort), .program_o(program_address), .profile_o(profile_address),
      .space_base_o(space_base), .space_bytes_o(space_bytes),
      .inputs_o(inputs), .resident_o(resident),
      .idle_i(idle), .done_i(done), .error_code_i(error_code), .error_index_i(error_index),
      .cycles_i(cycles), .exec_index_i(exec_index)
  );

  // ---- Program
  logic fetch_read_valid, fetch_read_ready, fetch_rvalid, rerror;
  logic [39:0] fetch_read_address;
  logic [8*PI-1:0] rdata;
  logic read_busy, write_busy, profile_busy;
  logic load_valid, load_ready, load_skip, load_busy, load_done;
  logic exec_valid, exec_ready, exec_busy, exec_done, exec_bad_field, exec_beyond;
  logic store_valid, store_ready, store_busy, store_done;
  logic [program_pkg::MOVE_BITS-1:0] load_desc, store_desc;
  logic [program_pkg::DESCRIPTOR_BITS-1:0] exec_desc;
  logic [15:0] load_index, exec_pending_index, store_pending_index, store_index, load_error_index;
  logic [3:0] record_valid, record_ready;
  logic [319:0] record;
  logic load_error, store_error, write_error, write_error_store;
  logic [7:0] load_error_code;

  fetch #(.PI(PI), .PO(PO), .PP(PP), .Banks(Banks), .Identity(Identity)) u_fetch (
      .clk_i, .rst_ni,
      .start_i(start), .abort_i(abort), .program_i(program_address),
      .space_base_i(space_base), .profile_i(profile_address),
      .inputs_i(inputs), .resident_i(resident), .idle_o(idle), .done_o(done),
      .error_code_o(error_code), .error_index_o(error_index), .cycles_o(cycles),
      .read_valid_o(fetch_read_valid), .read_ready_i(fetch_read_ready),
      .read_address_o(fetch_read_address),
      .rvalid_i(fetch_rvalid), .rdata_i(rdata), .rerror_i(rerror),
      .flying_i(read_busy || write_busy),
      .stop_o(stop), .clear_o(clear),
      .load_valid_o(load_valid), .load_ready_i(load_ready), .load_desc_o(load_desc),
      .load_index_o(load_index), .load_advance_o(load_advance), .load_skip_o(load_skip),
      .load_busy_i(load_busy), .load_done_i(load_done),
      .exec_valid_o(exec_valid), .exec_ready_i(exec_ready), .exec_desc_o(exec_desc),
      .exec_index_o(exec_pending_index), .exec_busy_i(exec_busy), .exec_done_i(exec_done),
      .exec_bad_field_i(exec_bad_field), .exec_beyond_i(exec_beyond), .exec_index_i(exec_index),
      .store_valid_o(store_valid), .store_ready_i(store_ready), .store_desc_o(store_desc),
      .store_index_o(store_pending_index), .store_advance_o(store_advance), .store_busy_i(store_busy), .store_done_i(store_done),
      .profile_on_o(profile_on), .profile_busy_i(profile_busy),
      .record_valid_o(record_valid[3]), .record_ready_i(record_ready[3]),
      .record_o(record[240+:80]),
      .error_i({write_error, store_error, load_error}),
      .error_codes_i({program_pkg::ERR_AXI_WRITE, program_pkg::ERR_OUT_OF_BOUNDS, load_error_code}),
      .error_indices_i({write_error_store ? store_index : 16'hFFFF, store_index, load_error_index})
  );

  // ---- Units
  logic burst_read_valid, burst_read_ready, load_rvalid, load_rready;
  logic [39:0] burst_read_address, burst_write_address, profile_burst_address;
  logic [4:0] burst_read_beats, burst_write_beats;
  logic burst_write_valid, burst_write_ready, word_ready, written;
  logic profile_burst_valid, profile_burst_ready, profile_word_ready;
  logic [8*PI-1:0] word, profile_word;
  logic pad_load_claim, pad_load_valid, pad_load_ready, pad_store_valid, pad_store_ready, pad_store_rvalid;
  logic [15:0] pad_load_line, pad_store_line, wload_line;
  logic [3:0] pad_load_bank, pad_store_bank;
  logic [8*PI-1:0] pad_load_data, pad_store_rdata;
  logic wload_valid, compute_valid, compute_ready, compute_done;
  logic [PI*PO/8-1:0] wload_mask;
  logic [8*PI*PO-1:0] wload_data;
  logic table_valid, table_ready;
  logic [9:0] table_line;
  logic [15:0] table_data;

  load_unit #(
      .PI(PI), .PO(PO), .Banks(Banks), .BankLines(BankLines), .WeightLines(WeightLines)
  ) u_load (
      .clk_i, .rst_ni, .clear_i(clear), .stop_i(stop), .busy_o(load_busy),
      .now_i(cycles[31:0]), .profile_on_i(profile_on),
      .space_base_i(space_base), .space_bytes_i(space_bytes),
      .desc_valid_i(load_valid), .desc_ready_o(load_ready), .desc_i(load_desc),
      .desc_index_i(load_index), .desc_advance_i(load_advance), .desc_skip_i(load_skip),
      .burst_valid_o(burst_read_valid), .burst_ready_i(burst_read_ready),
      .burst_address_o(burst_read_address), .burst_beats_o(burst_read_beats),
      .rvalid_i(load_rvalid), .rready_o(load_rready), .rdata_i(rdata), .rerror_i(rerror),
      .load_claim_o(pad_load_claim), .load_valid_o(pad_load_valid), .load_ready_i(pad_load_ready),
      .load_line_o(pad_load_line), .load_bank_o(pad_load_bank), .load_data_o(pad_load_data),
      .wload_valid_o(wload_valid), .wload_line_o(wload_line),
      .wload_mask_o(wload_mask), .wload_data_o(wload_data),
      .table_valid_o(table_valid), .table_ready_i(table_ready),
      .table_line_o(table_line), .table_data_o(table_data),
      .done_o(load_done), .record_valid_o(record_valid[0]), .record_ready_i(record_ready[0]),
      .record_o(record[0+:80]),
      .error_o(load_error), .error_code_o(load_error_code), .error_index_o(load_error_index)
  );

  store_unit #(.PI(PI), .Banks(Banks), .BankLines(BankLines)) u_store (
      .clk_i, .rst_ni, .clear_i(clear), .stop_i(stop), .busy_o(store_busy),
      .now_i(cycles[31:0]), .profile_on_i(profile_on),
      .space_base_i(space_base), .space_bytes_i(space_bytes),
      .desc_valid_i(store_valid), .desc_ready_o(store_ready), .desc_i(store_desc),
      .desc_index_i(store_pending_index), .desc_advance_i(store_advance),
      .store_valid_o(pad_store_valid), .store_ready_i(pad_store_ready),
      .store_line_o(pad_store_line), .store_bank_o(pad_store_bank),
      .store_rvalid_i(pad_store_rvalid), .store_rdata_i(pad_store_rdata),
      .burst_valid_o(burst_write_valid), .burst_ready_i(burst_write_ready),
      .burst_address_o(burst_write_address), .burst_beats_o(burst_write_beats),
      .word_o(word), .word_ready_i(word_ready), .written_i(written),
      .done_o(store_done), .record_valid_o(record_valid[1]), .record_ready_i(record_ready[1]),
      .record_o(record[80+:80]), .error_o(store_error), .index_o(store_index)
  );

  exec_unit u_exec (
      .clk_i, .rst_ni, .clear_i(clear || stop), .busy_o(exec_busy),
      .now_i(cycles[31:0]), .profile_on_i(profile_on),
      .desc_valid_i(exec_valid), .desc_ready_o(exec_ready), .desc_index_i(exec_pending_index),
      .exec_valid_o(compute_valid), .exec_ready_i(compute_ready), .exec_done_i(compute_done),
      .done_o(exec_done), .index_o(exec_index),
      .record_valid_o(record_valid[2]), .record_ready_i(record_ready[2]), .record_o(record[160+:80])
  );

  compute #(
      .PI(PI), .PO(PO), .PP(PP), .Banks(Banks), .BankLines(BankLines), .WeightLines(WeightLines)
  ) u_compute (
      .clk_i, .rst_ni, .abort_i(stop),
      .exec_valid_i(compute_valid), .exec_ready_o(compute_ready), .exec_desc_i(exec_desc),
      .exec_done_o(compute_done), .exec_bad_field_o(exec_bad_field), .exec_beyond_o(exec_beyond),
      .load_claim_i(pad_load_claim), .load_valid_i(pad_load_valid), .load_ready_o(pad_load_ready),
      .load_line_i(pad_load_line), .load_bank_i(pad_load_bank), .load_data_i(pad_load_data),
      .store_valid_i(pad_store_valid), .store_ready_o(pad_store_ready),
      .store_line_i(pad_store_line), .store_bank_i(pad_store_bank),
      .store_rvalid_o(pad_store_rvalid), .store_rdata_o(pad_store_rdata),
      .wload_valid_i(wload_valid), .wload_line_i(wload_line),
      .wload_mask_i(wload_mask), .wload_data_i(wload_data),
      .table_valid_i(table_valid), .table_ready_o(table_ready),
      .table_line_i(table_line), .table_data_i(table_data)
  );

  // ---- Memory
  axi_read #(.PI(PI)) u_read (
      .clk_i, .rst_ni, .stop_i(stop), .busy_o(read_busy),
      .fetch_valid_i(fetch_read_valid), .fetch_ready_o(fetch_read_ready),
      .fetch_address_i(fetch_read_address), .fetch_beats_i(5'(64 / PI)),
      .fetch_rvalid_o(fetch_rvalid),
      .load_valid_i(burst_read_valid), .load_ready_o(burst_read_ready),
      .load_address_i(burst_read_address), .load_beats_i(burst_read_beats),
      .load_rvalid_o(load_rvalid), .load_rready_i(load_rready),
      .rdata_o(rdata), .rerror_o(rerror),
      .m_axi_araddr, .m_axi_arlen, .m_axi_arvalid, .m_axi_arready,
      .m_axi_rdata, .m_axi_rresp, .m_axi_rlast, .m_axi_rvalid, .m_axi_rready
  );

  axi_write #(.PI(PI)) u_write (
      .clk_i, .rst_ni, .stop_i(stop), .busy_o(write_busy),
      .store_valid_i(burst_write_valid), .store_ready_o(burst_write_ready),
      .store_address_i(burst_write_address), .store_beats_i(burst_write_beats),
      .store_data_i(word), .store_data_ready_o(word_ready), .store_written_o(written),
      .profile_valid_i(profile_burst_valid), .profile_ready_o(profile_burst_ready),
      .profile_address_i(profile_burst_address), .profile_data_i(profile_word),
      .profile_data_ready_o(profile_word_ready),
      .error_o(write_error), .error_store_o(write_error_store),
      .m_axi_awaddr, .m_axi_awlen, .m_axi_awvalid, .m_axi_awready,
      .m_axi_wdata, .m_axi_wstrb, .m_axi_wlast, .m_axi_wvalid, .m_axi_wready,
      .m_axi_bresp, .m_axi_bvalid, .m_axi_bready
  );

  profile #(.PI(PI)) u_profile (
      .clk_i, .rst_ni, .clear_i(clear), .busy_o(profile_busy), .base_i(profile_address),
      .record_valid_i(record_valid), .record_ready_o(record_ready), .record_i(record),
      .burst_valid_o(profile_burst_valid), .burst_ready_i(profile_burst_ready),
      .burst_address_o(profile_burst_address),
      .word_o(profile_word), .word_ready_i(profile_word_ready)
  );
endmodule
`default_nettype wire
