// sparse_decoder: the words of a sparse LOAD_WEIGHTS as octets of weight lines.
// Function:   1, 2 or 4 octets of 8 weights a cycle, as many as have a word of codes at most
// Interface:  start with the load's fields, which stay; words (valid/ready); octets of a line out, always taken;
//             done_o from the last of both until done_ready_i; bad_o: the words are not those that the masks ask for
// Latency:    about 10 cycles from a mask to its octets.   Throughput: 1 word, or a step, per cycle.
// Reset:      synchronous, active low; control only
// Reference:  hls/program/sparse.py
`default_nettype none
module sparse_decoder #(
    parameter int PI = 8,
    parameter int PO = 8
) (
    input  wire logic               clk_i,
    input  wire logic               rst_ni,
    input  wire logic               clear_i,
    input  wire logic               start_i,
    input  wire logic [       15:0] line_i,
    input  wire logic [       15:0] lines_i,
    input  wire logic [       15:0] pass_lines_i,
    input  wire logic               narrow_i,
    input  wire logic               valid_i,
    output logic                    ready_o,
    input  wire logic [   8*PI-1:0] word_i,
    input  wire logic               last_i,
    output logic                    busy_o,
    output logic                    octets_valid_o,
    output logic      [       15:0] octets_line_o,
    output logic      [PI*PO/8-1:0] octets_mask_o,  // of the line
    output logic      [      255:0] octets_o,       // the octets whose number has these lowest two bits
    output logic                    done_o,
    input  wire logic               done_ready_i,
    output logic                    bad_o
);
  localparam int Quads = PI * PO / 32;  // of a line
  localparam int QuadW = $clog2(Quads);
  localparam int Marks = 16 + QuadW + 4 + 1;

  logic code_valid, code_ready, quad_valid, quad_ready, quad_next, open, written_q;
  logic [31:0] new_mask, mask;
  logic [15:0] new_counts, counts;
  logic new_all, new_low, new_high, new_narrow, new_pass_ends, new_final;
  logic fits_all, fits_low, fits_high, narrow, pass_ends, final_quad, head_valid;

  // A move's walker tells its last word late in the cycle.
  logic taken_valid, taken_ready, taken_last;
  logic [8*PI-1:0] taken;
  skid #(.Width(1 + 8 * PI)) u_words (
      .clk_i, .rst_ni, .clear_i,
      .valid_i, .ready_o, .data_i({last_i, word_i}),
      .valid_o(taken_valid), .ready_i(taken_ready), .data_o({taken_last, taken})
  );
  sparse_masks #(.PI(PI), .PO(PO)) u_masks (
      .clk_i, .rst_ni, .clear_i,
      .start_i, .lines_i, .pass_lines_i, .narrow_i,
      .valid_i(taken_valid), .ready_o(taken_ready), .word_i(taken), .last_i(taken_last),
      .code_valid_o(code_valid), .code_ready_i(code_ready),
      .quad_valid_o(quad_valid), .quad_ready_i(quad_ready),
      .mask_o(new_mask), .counts_o(new_counts),
      .fits_all_o(new_all), .fits_low_o(new_low), .fits_high_o(new_high),
      .narrow_o(new_narrow), .pass_ends_o(new_pass_ends), .final_o(new_final),
      .open_o(open), .bad_o
  );
  fifo #(.Width(54), .Depth(16)) u_quads (
      .clk_i, .rst_ni, .clear_i,
      .valid_i(quad_valid), .ready_o(quad_ready),
      .data_i({new_mask, new_counts, new_all, new_low, new_high, new_narrow, new_pass_ends, new_final}),
      .valid_o(head_valid), .ready_i(quad_next),
      .data_o({mask, counts, fits_all, fits_low, fits_high, narrow, pass_ends, final_quad})
  );

  // ---- Steps: which of four octets go together. `done` of them are past.
  logic [1:0] past_q, past;
  logic [3:0] on;
  logic step_valid_q, step_ready, step_free;
  always_comb begin
    on = 4'b0000;
    unique case (past_q)
      2'd0: on = fits_all ? 4'b1111 : fits_low ? 4'b0011 : 4'b0001;
      2'd1: on = 4'b0010;
      2'd2: on = fits_high ? 4'b1100 : 4'b0100;
      default: on = 4'b1000;
    endcase
    past = on[3] ? 2'd0 : on[2] ? 2'd3 : on[1] ? 2'd2 : 2'd1;
  end

  logic [31:0] step_mask_q;
  logic [15:0] on_counts;
  logic [11:0] step_counts_q;
  logic [5:0] codes;
  logic [6:0] step_halves_q;
  logic step_narrow_q, step_pass_ends_q, step_final_q;
  logic [3:0] step_on_q;
  logic [15:0] line_q, step_line_q;
  logic [QuadW-1:0] quad_q, step_quad_q;
  for (genvar o = 0; o < 4; o++) begin : gen_count
    assign on_counts[4*o+:4] = on[o] ? counts[4*o+:4] : 4'd0;
  end
  assign codes = 6'(on_counts[0+:4]) + 6'(on_counts[4+:4]) + 6'(on_counts[8+:4]) + 6'(on_counts[12+:4]);
  assign step_free = !step_valid_q || step_ready;
  assign quad_next = step_free && on[3];

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i || start_i) begin
      step_valid_q <= 1'b0;
      past_q <= '0;
    end else if (step_free) begin
      step_valid_q <= head_valid;
      if (head_valid) past_q <= past;
    end
    if (start_i) begin
      line_q <= line_i;
      quad_q <= '0;
    end else if (head_valid && quad_next) begin
      quad_q <= quad_q + 1'b1;
      line_q <= line_q + 16'(&quad_q);
    end
    if (step_free) begin
      for (int o = 0; o < 4; o++) step_mask_q[8*o+:8] <= on[o] ? mask[8*o+:8] : 8'd0;
      step_counts_q <= on_counts[11:0];
      step_halves_q <= narrow ? 7'(codes) : {codes, 1'b0};
      step_narrow_q <= narrow;
      step_pass_ends_q <= pass_ends && on[3];
      step_final_q <= final_quad && on[3];
      step_on_q <= on;
      step_line_q <= line_q;
      step_quad_q <= quad_q;
    end
  end

  // ---- Codes.
  logic word_valid, word_ready, octets_final;
  logic [8*PI-1:0] word;
  logic [QuadW-1:0] octets_quad;
  logic [3:0] octets_on;
  fifo #(.Width(8 * PI), .Depth(16)) u_codes (
      .clk_i, .rst_ni, .clear_i,
      .valid_i(code_valid), .ready_o(code_ready), .data_i(taken),
      .valid_o(word_valid), .ready_i(word_ready), .data_o(word)
  );
  sparse_lanes #(.PI(PI), .Marks(Marks)) u_lanes (
      .clk_i, .rst_ni, .clear_i,
      .step_valid_i(step_valid_q), .step_ready_o(step_ready),
      .mask_i(step_mask_q), .counts_i(step_counts_q), .halves_i(step_halves_q),
      .narrow_i(step_narrow_q), .pass_ends_i(step_pass_ends_q),
      .marks_i({step_line_q, step_quad_q, step_on_q, step_final_q}),
      .word_valid_i(word_valid), .word_ready_o(word_ready), .word_i(word),
      .valid_o(octets_valid_o),
      .marks_o({octets_line_o, octets_quad, octets_on, octets_final}),
      .octets_o
  );
  for (genvar q = 0; q < Quads; q++) begin : gen_mask
    assign octets_mask_o[4*q+:4] = octets_quad == QuadW'(q) ? octets_on : 4'b0000;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      busy_o <= 1'b0;
      written_q <= 1'b0;
    end else begin
      busy_o <= start_i || (busy_o && !(done_o && done_ready_i));
      written_q <= (octets_valid_o && octets_final) || (written_q && !(done_o && done_ready_i));
    end
  end
  assign done_o = written_q && !open && !bad_o;
endmodule
`default_nettype wire
