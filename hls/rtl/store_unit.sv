// store_unit: STORE: words from the scratchpad to DDR.
// Function:   reads ahead into a queue; a burst is offered once all its words are queued
// Interface:  descriptor -> scratchpad reads, data 3 cycles later -> write bursts, words; done_o
// Latency:    1 cycle from a descriptor to the first read.   Throughput: 1 word per cycle.
// Reset:      synchronous, active low; control only
// Reference:  hls/program/moves.py
`default_nettype none
module store_unit #(
    parameter int PI = 8,
    parameter int Banks = 7,
    parameter int BankLines = 4096
) (
    input  wire logic                         clk_i,
    input  wire logic                         rst_ni,
    input  wire logic                         clear_i,
    input  wire logic                         stop_i,          // read nothing more, offer no burst
    output logic                              busy_o,
    input  wire logic [                 31:0] now_i,           // cycle of the run
    input  wire logic                         profile_on_i,
    input  wire logic [                159:0] space_base_i,
    input  wire logic [                127:0] space_bytes_i,
    input  wire logic                         desc_valid_i,
    output logic                              desc_ready_o,
    input  wire logic [program_pkg::MOVE_BITS-1:0] desc_i,
    input  wire logic [                 15:0] desc_index_i,
    input  wire logic [      32-$clog2(PI):0] desc_advance_i,   // words, of its input in its space
    output logic                              store_valid_o,
    input  wire logic                         store_ready_i,
    output logic      [                 15:0] store_line_o,
    output logic      [                  3:0] store_bank_o,
    input  wire logic                         store_rvalid_i,
    input  wire logic [             8*PI-1:0] store_rdata_i,
    output logic                              burst_valid_o,
    input  wire logic                         burst_ready_i,
    output logic      [                 39:0] burst_address_o,
    output logic      [                  4:0] burst_beats_o,
    output logic      [             8*PI-1:0] word_o,
    input  wire logic                         word_ready_i,
    input  wire logic                         written_i,       // a burst was answered
    output logic                              done_o,
    output logic                              record_valid_o,
    input  wire logic                         record_ready_i,
    output logic      [                 79:0] record_o,
    output logic                              error_o,         // out of bounds
    output logic      [                 15:0] index_o          // descriptor in progress
);
  localparam int WordLog = $clog2(PI);
  localparam int Depth = 32;  // two bursts: one leaves while the next one is read

  program_pkg::move_t move;
  assign move = program_pkg::DESCRIPTOR_BITS'(desc_i);

  logic take, active, out_of_bounds, beyond, outside;
  logic split_valid, split_last, sent_all_q, busy_q, done, record_free, read, claim;
  logic [31:0] segment_words;
  logic [31:0] start_q;
  logic [5:0] room_q, queued_q;  // words not asked for yet; words that no burst has claimed
  logic [7:0] unanswered_q;

  // Credits keep the queue from overflowing, claims from running dry; walker and splitter are idle
  // when the unit is.
  logic unused_word_valid, unused_queue_ready, unused_split_ready, unused_walker_ready, unused_last;
  logic unused_bits;
  assign unused_bits = &{1'b0, move};  // LOAD_WEIGHTS has fields that a STORE has not

  assign desc_ready_o = !busy_q && !stop_i;
  assign take = desc_valid_i && desc_ready_o;
  assign busy_o = busy_q;
  assign segment_words = 32'(move.segment_words);

  always_ff @(posedge clk_i) begin
    if (take) begin
      index_o <= desc_index_i;
      start_q <= now_i;
    end
  end

  // ---- Reads
  move_walker #(.Banks(Banks), .Lines(BankLines)) u_walker (
      .clk_i, .rst_ni, .clear_i,
      .job_valid_i(take), .job_ready_o(unused_walker_ready),
      .job_words_i(segment_words),
      .job_segments_i(move.segments),
      .job_row_words_i(move.row_words),
      .job_line_i(move.line),
      .job_bank_i(move.bank),
      .job_plane_i(move.plane),
      .job_row_line_i(move.row_line),
      .job_row_bank_i(move.row_bank),
      .step_i(read), .active_o(active), .last_o(unused_last),
      .line_o(store_line_o), .bank_o(store_bank_o), .outside_o(beyond)
  );
  assign outside = active && beyond;
  assign store_valid_o = active && !outside && room_q != '0 && !stop_i;
  assign read = store_valid_o && store_ready_i;

  fifo #(.Width(8 * PI), .Depth(Depth)) u_words (
      .clk_i, .rst_ni, .clear_i,
      .valid_i(store_rvalid_i), .ready_o(unused_queue_ready), .data_i(store_rdata_i),
      .valid_o(unused_word_valid), .ready_i(word_ready_i), .data_o(word_o)
  );

  // ---- Bursts
  burst_split #(.PI(PI)) u_split (
      .clk_i, .rst_ni,
      .clear_i(clear_i || stop_i),
      .space_base_i, .space_bytes_i,
      .job_valid_i(take), .job_ready_o(unused_split_ready),
      .job_space_i(move.space[1:0]),
      .job_advance_i(desc_advance_i),
      .job_offset_i(move.offset[31:WordLog]),
      .job_stride_i(move.segment_stride[31:WordLog]),
      .job_words_i(segment_words),
      .job_segments_i(move.segments),
      .burst_valid_o(split_valid), .burst_ready_i(claim),
      .burst_address_o, .burst_beats_o, .burst_last_o(split_last),
      .out_of_bounds_o(out_of_bounds)
  );
  assign claim = burst_valid_o && burst_ready_i;
  assign burst_valid_o = split_valid && queued_q >= 6'(burst_beats_o) && !stop_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      room_q <= 6'(Depth);
      queued_q <= '0;
      unanswered_q <= '0;
      busy_q <= 1'b0;
      sent_all_q <= 1'b0;
    end else begin
      room_q <= room_q + 6'(word_ready_i) - 6'(read);
      queued_q <= queued_q + 6'(store_rvalid_i) - (claim ? 6'(burst_beats_o) : '0);
      unanswered_q <= unanswered_q + 8'(claim) - 8'(written_i);
      busy_q <= take || (busy_q && !done);
      sent_all_q <= !done && (sent_all_q || (claim && split_last));
    end
  end

  assign done = sent_all_q && unanswered_q == '0 && record_free;
  assign done_o = done;

  recorder u_recorder (
      .clk_i, .rst_ni, .clear_i,
      .enable_i(profile_on_i),
      .done_i(done), .ready_o(record_free),
      .index_i(index_o), .start_i(start_q), .now_i,
      .record_valid_o, .record_ready_i, .record_o
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) error_o <= 1'b0;
    else error_o <= error_o || out_of_bounds || outside;
  end

endmodule
`default_nettype wire
