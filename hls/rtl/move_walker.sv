// move_walker: scratchpad positions of a move's words, in the order its bursts bring them.
// Function:   bank + 1 a word; row step after row_words words; a segment later: first pixel + plane
// Interface:  job (valid/ready) -> line_o, bank_o while active_o; step_i moves on
// Latency:    1 cycle.   Throughput: 1 word per cycle.
// Reset:      synchronous, active low; active only
// Reference:  hls/program/moves.py, pixel_positions()
`default_nettype none
module move_walker #(
    parameter int Banks = 7,
    parameter int Lines = 4096
) (
    input  wire logic        clk_i,
    input  wire logic        rst_ni,
    input  wire logic        clear_i,
    input  wire logic        job_valid_i,
    output logic             job_ready_o,
    input  wire logic [31:0] job_words_i,      // words a segment
    input  wire logic [15:0] job_segments_i,
    input  wire logic [15:0] job_row_words_i,
    input  wire logic [15:0] job_line_i,
    input  wire logic [ 3:0] job_bank_i,
    input  wire logic [15:0] job_plane_i,
    input  wire logic [15:0] job_row_line_i,   // signed
    input  wire logic [ 3:0] job_row_bank_i,
    input  wire logic        step_i,
    output logic             active_o,
    output logic             last_o,           // the present word is the job's last
    output logic      [15:0] line_o,
    output logic      [ 3:0] bank_o,
    output logic             outside_o         // no bank has such a line
);
  logic [31:0] words_q, words_left_q;
  logic [15:0] segments_left_q, row_words_q, row_left_q, plane_q, row_line_q;
  logic [16:0] line_q, segment_line_q, line_step, stepped_line;  // a bit more: out of range stays so
  logic [3:0] first_bank_q, row_bank_q;
  logic [3:0] stepped_bank;
  logic wraps, take;
  logic row_ends_q, segment_ends_q, last_segment_q;  // of the present word; decided a cycle ahead

  assign line_o = line_q[15:0];
  assign last_o = segment_ends_q && last_segment_q;
  if (Lines == 1 << $clog2(Lines)) begin : gen_outside
    assign outside_o = |line_q[16:$clog2(Lines)];  // said so, as synthesis would subtract
  end else begin : gen_compare
    assign outside_o = line_q >= 17'(Lines);
  end
  assign job_ready_o = !active_o || (step_i && last_o);
  assign take = job_valid_i && job_ready_o;

  bank_step #(.Banks(Banks)) u_step (
      .bank_i(bank_o), .step_i(row_ends_q ? row_bank_q : 4'd1), .bank_o(stepped_bank), .wraps_o(wraps)
  );
  assign line_step = row_ends_q ? {row_line_q[15], row_line_q} : 17'd0;
  assign stepped_line = line_q + line_step + 17'(wraps);

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) active_o <= 1'b0;
    else if (job_ready_o) active_o <= job_valid_i;
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      words_q <= job_words_i;
      row_words_q <= job_row_words_i;
      plane_q <= job_plane_i;
      row_line_q <= job_row_line_i;
      row_bank_q <= job_row_bank_i;
      first_bank_q <= job_bank_i;
      segment_line_q <= 17'(job_line_i);
      line_q <= 17'(job_line_i);
      bank_o <= job_bank_i;
      words_left_q <= job_words_i;
      row_left_q <= job_row_words_i;
      segments_left_q <= job_segments_i;
      row_ends_q <= job_row_words_i == 16'd1;
      segment_ends_q <= job_words_i == 32'd1;
      last_segment_q <= job_segments_i == 16'd1;
    end else if (step_i && segment_ends_q) begin
      segment_line_q <= segment_line_q + 17'(plane_q);
      line_q <= segment_line_q + 17'(plane_q);
      bank_o <= first_bank_q;
      words_left_q <= words_q;
      row_left_q <= row_words_q;
      segments_left_q <= segments_left_q - 16'd1;
      row_ends_q <= row_words_q == 16'd1;
      segment_ends_q <= words_q == 32'd1;
      last_segment_q <= segments_left_q == 16'd2;
    end else if (step_i) begin
      line_q <= stepped_line;
      bank_o <= stepped_bank;
      words_left_q <= words_left_q - 32'd1;
      row_left_q <= row_ends_q ? row_words_q : row_left_q - 16'd1;
      row_ends_q <= row_ends_q ? row_words_q == 16'd1 : row_left_q == 16'd2;
      segment_ends_q <= words_left_q == 32'd2;
    end
  end
endmodule
`default_nettype wire
