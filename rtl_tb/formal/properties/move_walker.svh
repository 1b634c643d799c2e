// The move's positions in lines that do not wrap, and banks. A position that no bank has is seen as one as long as the move was never at one
// before: what runs stops there.
logic f_active_q, f_inside_q, f_take, f_row_end, f_segment_end, f_last, f_is_inside;
logic [31:0] f_words_q, f_word_q;
logic [15:0] f_segments_q, f_segment_q, f_row_words_q, f_in_row_q;
logic signed [19:0] f_line_q, f_first_q, f_plane_q, f_row_line_q;
logic [3:0] f_bank_q, f_first_bank_q, f_row_bank_q;

// A step is lines and banks; past the last bank the line moves on (bank_step: as numbers, line * Banks + bank add up).
logic [4:0] f_bank_sum;
logic f_wraps;
assign f_bank_sum = 5'(f_bank_q) + 5'(f_row_end ? f_row_bank_q : 4'd1);
assign f_wraps = f_bank_sum >= 5'(Banks);

initial assume (!rst_ni);
initial f_active_q = 1'b0;
assign f_take = job_valid_i && job_ready_o;
assign f_row_end = f_in_row_q == f_row_words_q - 16'd1;
assign f_segment_end = f_word_q == f_words_q - 32'd1;
assign f_last = f_segment_end && f_segment_q == f_segments_q - 16'd1;
assign f_is_inside = f_line_q >= 0 && f_line_q < 20'(Lines);

always_comb begin
  if (job_valid_i) assume (job_words_i != '0 && job_segments_i != '0 && job_row_words_i != '0 &&
      job_bank_i < 4'(Banks) && job_row_bank_i < 4'(Banks));
  if (step_i) assume (active_o);
end

always_ff @(posedge clk_i) begin
  if (!rst_ni || clear_i) f_active_q <= 1'b0;
  else if (f_take) f_active_q <= 1'b1;
  else if (step_i && f_last) f_active_q <= 1'b0;
  if (f_take) begin
    f_inside_q <= 1'b1;
    {f_words_q, f_segments_q, f_row_words_q} <= {job_words_i, job_segments_i, job_row_words_i};
    {f_word_q, f_segment_q, f_in_row_q} <= '0;
    f_line_q <= 20'(job_line_i);
    f_first_q <= 20'(job_line_i);
    {f_bank_q, f_first_bank_q} <= {job_bank_i, job_bank_i};
    f_plane_q <= 20'(job_plane_i);
    f_row_line_q <= 20'($signed(job_row_line_i));
    f_row_bank_q <= job_row_bank_i;
  end else if (step_i) begin
    f_inside_q <= f_inside_q && f_is_inside;
    if (f_segment_end) begin
      f_segment_q <= f_segment_q + 16'd1;
      f_word_q <= '0;
      f_in_row_q <= '0;
      f_line_q <= f_first_q + f_plane_q;
      f_bank_q <= f_first_bank_q;
      f_first_q <= f_first_q + f_plane_q;
    end else begin
      f_word_q <= f_word_q + 32'd1;
      f_in_row_q <= f_row_end ? '0 : f_in_row_q + 16'd1;
      f_line_q <= f_line_q + (f_row_end ? f_row_line_q : 20'sd0) + 20'(f_wraps);
      f_bank_q <= 4'(f_wraps ? f_bank_sum - 5'(Banks) : f_bank_sum);
    end
  end
end

logic f_started_q;
initial f_started_q = 1'b0;
always_ff @(posedge clk_i) f_started_q <= 1'b1;

always_comb
  if (f_started_q) begin
    active: assert (active_o == f_active_q && job_ready_o == (!f_active_q || (step_i && f_last)));
    if (f_active_q) begin
      last: assert (last_o == f_last);
      outside: assert (!f_inside_q || outside_o == !f_is_inside);
      position: assert (!(f_inside_q && f_is_inside) || (20'(line_o) == f_line_q && bank_o == f_bank_q));
      below: assert (bank_o < 4'(Banks));
      inv_counts: assert (f_word_q < f_words_q && f_segment_q < f_segments_q && f_in_row_q < f_row_words_q &&
          words_q == f_words_q && row_words_q == f_row_words_q && words_left_q == f_words_q - f_word_q &&
          row_left_q == f_row_words_q - f_in_row_q && segments_left_q == f_segments_q - f_segment_q);
      inv_flags: assert (row_ends_q == f_row_end && segment_ends_q == f_segment_end &&
          last_segment_q == (f_segment_q == f_segments_q - 16'd1));
      inv_steps: assert (20'(plane_q) == f_plane_q && 20'($signed(row_line_q)) == f_row_line_q && row_bank_q == f_row_bank_q &&
          first_bank_q == f_first_bank_q && row_bank_q < 4'(Banks) && first_bank_q < 4'(Banks) && bank_o == f_bank_q &&
          f_plane_q >= 0 && f_plane_q <= 20'sd65535 && f_row_line_q >= -20'sd32768 && f_row_line_q <= 20'sd32767);
      inv_line: assert (!f_inside_q || (20'(f_signed_line) == f_line_q && 20'(segment_line_q) == f_first_q));
      inv_first: assert (!f_inside_q || (f_first_q >= 0 && f_first_q < 20'sd98304 &&
          (f_first_q < 20'(Lines) || (f_word_q == '0 && f_line_q == f_first_q))));
      leaves: cover (outside_o && f_inside_q && f_segment_q == 16'd1 && f_word_q == 32'd1);
      back: cover (f_inside_q && f_is_inside && $signed(row_line_q) < 0 && f_in_row_q == '0 && f_word_q == 32'd2);
      over: cover (last_o && f_segments_q == 16'd2 && f_words_q == 32'd2 && f_inside_q && f_is_inside);
    end
  end

// A line that a step back brought below 0 is one of the upper quarter.
logic signed [17:0] f_signed_line;
assign f_signed_line = line_q >= 17'd98304 ? 18'(line_q) - 18'd131072 : 18'(line_q);
