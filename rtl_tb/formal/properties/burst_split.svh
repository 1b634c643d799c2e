// The job as it was taken, and the word at which its next burst must begin, in numbers that hold any sum.
logic f_started_q, f_busy_q, f_was_waiting_q;
logic [44:0] f_was_burst_q;
logic [AddressW-1:0] f_base_q, f_address;
logic [63:0] f_limit_q, f_segment_q, f_stride_q, f_words_q, f_done_q, f_beats;  // words
logic [15:0] f_segments_q;
logic [1:0] f_idle_cycles_q;
logic f_burst, f_segment_ends;

initial assume (!rst_ni);
initial f_started_q = 1'b0;
assign f_burst = burst_valid_o && burst_ready_i;
assign f_beats = 64'(burst_beats_o);
assign f_address = f_base_q + f_segment_q[AddressW-1:0] + f_done_q[AddressW-1:0];
assign f_segment_ends = f_done_q + f_beats == f_words_q;

always_comb if (job_valid_i) assume (job_words_i != '0 && job_segments_i != '0);

always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  f_was_waiting_q <= rst_ni && !clear_i && burst_valid_o && !burst_ready_i;
  f_was_burst_q <= {burst_address_o, burst_beats_o};
  f_idle_cycles_q <= !rst_ni || clear_i || burst_valid_o || job_ready_o || out_of_bounds_o ? 2'd0 : f_idle_cycles_q + 2'd1;
  if (!rst_ni || clear_i) f_busy_q <= 1'b0;
  else if (job_valid_i && job_ready_o) begin
    f_busy_q <= 1'b1;
    f_base_q <= space_base_i[40*job_space_i+WordLog+:AddressW];
    f_limit_q <= 64'(space_bytes_i[32*job_space_i+WordLog+:SpaceW]);
    f_segment_q <= 64'(job_advance_i) + 64'(job_offset_i);
    f_stride_q <= 64'(job_stride_i);
    f_words_q <= 64'(job_words_i);
    f_segments_q <= job_segments_i;
    f_done_q <= '0;
  end else if (f_burst) begin
    f_busy_q <= !burst_last_o;
    f_done_q <= f_segment_ends ? '0 : f_done_q + f_beats;
    if (f_segment_ends) begin
      f_segment_q <= f_segment_q + f_stride_q;
      f_segments_q <= f_segments_q - 16'd1;
    end
  end
end

always_comb
  if (f_started_q) begin
    if (burst_valid_o) begin
      beats: assert (burst_beats_o >= 5'd1 && burst_beats_o <= 5'd16);
      page: assert (64'(burst_address_o[11:0]) + f_beats * 64'(PI) <= 64'd4096);
      inside: assert (f_segment_q + f_done_q + f_beats <= f_limit_q);
      address: assert (f_busy_q && burst_address_o == {f_address, WordLog'(0)});
      covers: assert (f_done_q + f_beats <= f_words_q && burst_last_o == (f_segment_ends && f_segments_q == 16'd1));
    end
    ends: assert (job_ready_o == !f_busy_q);
    stable: assert (!f_was_waiting_q || (burst_valid_o && f_was_burst_q == {burst_address_o, burst_beats_o}));
    refused: assert (!out_of_bounds_o || (f_busy_q && f_done_q == '0 && f_segment_q + f_words_q > f_limit_q));
    prompt: assert (burst_valid_o || job_ready_o || out_of_bounds_o || f_idle_cycles_q <= 2'd2);

    inv_sizes: assert (!f_busy_q || (f_words_q != '0 && f_words_q[63:32] == '0 && f_segments_q != '0 &&
        f_done_q < f_words_q && f_limit_q[63:SpaceW] == '0 && f_stride_q[63:SpaceW] == '0));
    inv_segment: assert (!f_busy_q || (f_segment_q[63:OffsetW] == '0 && f_segment_q < 64'd3 << SpaceW));
    inv_passed: assert (!(state_q == Length || state_q == Send) || f_segment_q + f_words_q <= f_limit_q);
    inv_job: assert (!f_busy_q || (64'(offset_q) == f_segment_q && 64'(words_q) == f_words_q &&
        segments_q == f_segments_q && 64'(stride_q) == f_stride_q && base_q == f_base_q && 64'(limit_q) == f_limit_q));
    inv_place: assert (!(state_q == Check || state_q == Length || state_q == Send) || (64'(left_q) == f_words_q - f_done_q &&
        address_q == f_address));
    inv_end: assert (state_q != Check || (f_done_q == '0 && 64'(end_q) == f_segment_q + f_words_q));
    inv_states: assert (state_q <= Fault && (state_q != Bound || (f_done_q == '0 && f_idle_cycles_q == 2'd0)) &&
        (state_q != Check || f_idle_cycles_q == 2'd1) && (state_q != Length || f_idle_cycles_q <= 2'd2));
    inv_burst: assert (state_q != Send || (burst_beats_o == (left_q > 32'(room) ? room : left_q[4:0]) &&
        final_q == (left_q <= 32'(room))));

    long: cover (f_burst && f_beats == 64'd16 && f_done_q != '0);
    page_ends: cover (f_burst && !f_segment_ends && f_beats < 64'd16);
    second: cover (f_burst && f_segment_ends && burst_last_o && f_stride_q != '0 && f_done_q != '0);
    refuses: cover (out_of_bounds_o && f_segments_q == 16'd1 && f_stride_q != '0);
  end
