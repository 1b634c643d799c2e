// move_walker: scratchpad positions of a move's words, in the order its bursts bring them.
// Function:   bank + 1 a word; row step after row_words words; a segment later: first pixel + plane
// Interface:  job (valid/ready) -> line_o, bank_o while active_o; step_i moves on
// Latency:    1 cycle.   Throughput: 1 word per cycle.
// Reset:      synchronous, active low; active only
// Reference:  hls/moves.py, pixel_positions()
`default_nettype none
module move_walker #(
    parameter int Banks = 7
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
    output logic      [16:0] line_o,           // a bit more than a line: out of range stays so
    output logic      [ 3:0] bank_o
);
  logic [31:0] words_q, words_left_q;
  logic [15:0] segments_left_q, row_words_q, row_left_q, plane_q, row_line_q;
  logic [16:0] segment_line_q, line_step, stepped_line;
  logic [3:0] first_bank_q, row_bank_q;
  logic [4:0] bank_sum;
  logic wraps, row_ends, segment_ends, take;

  assign row_ends = row_left_q == 16'd1;
  assign segment_ends = words_left_q == 32'd1;
  assign last_o = segment_ends && segments_left_q == 16'd1;
  assign job_ready_o = !active_o || (step_i && last_o);
  assign take = job_valid_i && job_ready_o;

  assign bank_sum = 5'(bank_o) + (row_ends ? 5'(row_bank_q) : 5'd1);
  assign wraps = bank_sum >= 5'(Banks);
  assign line_step = row_ends ? {row_line_q[15], row_line_q} : 17'd0;
  assign stepped_line = line_o + line_step + 17'(wraps);

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
      line_o <= 17'(job_line_i);
      bank_o <= job_bank_i;
      words_left_q <= job_words_i;
      row_left_q <= job_row_words_i;
      segments_left_q <= job_segments_i;
    end else if (step_i && segment_ends) begin
      segment_line_q <= segment_line_q + 17'(plane_q);
      line_o <= segment_line_q + 17'(plane_q);
      bank_o <= first_bank_q;
      words_left_q <= words_q;
      row_left_q <= row_words_q;
      segments_left_q <= segments_left_q - 16'd1;
    end else if (step_i) begin
      line_o <= stepped_line;
      bank_o <= wraps ? 4'(bank_sum - 5'(Banks)) : bank_sum[3:0];
      words_left_q <= words_left_q - 32'd1;
      row_left_q <= row_ends ? row_words_q : row_left_q - 16'd1;
    end
  end
endmodule
`default_nettype wire
