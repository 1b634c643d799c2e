// The first error since the start, in the order of the sources, and how long the run could have ended already.
logic f_started_q, f_busy_q, f_failed_q, f_was_done_q, f_errs, f_quiet, f_ends_q;
logic [7:0] f_code, f_code_q;
logic [15:0] f_index, f_index_q;
logic [63:0] f_cycles_q;
logic [4:0] f_wait_q;

initial assume (!rst_ni);
initial f_started_q = 1'b0;
assign f_errs = f_busy_q && error_i != '0 && !f_failed_q;
assign f_quiet = !flying_i && !profile_busy_i;

always_comb begin
  f_code = error_i[0] ? error_codes_i[7:0] : error_i[1] ? error_codes_i[15:8] : error_i[2] ? error_codes_i[23:16] :
      error_i[3] ? error_codes_i[31:24] : error_codes_i[39:32];
  f_index = error_i[0] ? error_indices_i[15:0] : error_i[1] ? error_indices_i[31:16] : error_i[2] ? error_indices_i[47:32] :
      error_i[3] ? error_indices_i[63:48] : error_indices_i[79:64];
end

always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  f_was_done_q <= rst_ni && done_o;
  if (!rst_ni) begin
    f_busy_q <= 1'b0;
    f_failed_q <= 1'b0;
    f_code_q <= '0;
    f_wait_q <= '0;
    f_ends_q <= 1'b0;
  end else begin
    if (!f_busy_q && start_i) begin
      f_busy_q <= 1'b1;
      f_failed_q <= 1'b0;
      f_code_q <= '0;
      f_index_q <= '1;
      f_cycles_q <= '0;
      f_ends_q <= 1'b0;
    end else if (f_busy_q) begin
      f_busy_q <= !done_o;
      f_cycles_q <= f_cycles_q + 64'd1;
      f_ends_q <= f_ends_q || f_failed_q || finished_i;  // there was an error or the program's end
      if (f_errs) begin
        f_failed_q <= 1'b1;
        f_code_q <= f_code;
        f_index_q <= f_index;
      end
    end
    f_wait_q <= f_busy_q && f_ends_q && f_quiet && !done_o ? f_wait_q + 5'd1 : '0;
  end
end

logic f_named_q;  // a run began since the reset
initial f_named_q = 1'b0;
always_ff @(posedge clk_i) f_named_q <= rst_ni && (f_named_q || start_i);

always_comb
  if (f_started_q) begin
    first_code: assert (error_code_o == f_code_q);
    first_index: assert (!f_named_q || error_index_o == {{16{&f_index_q}}, f_index_q});
    stops: assert (stop_o == (f_failed_q && f_busy_q));
    idle: assert (idle_o == !f_busy_q && !(done_o && !f_busy_q));
    done: assert (f_wait_q <= 5'd16);
    ended_all: assert (!(done_o && !f_was_quiet_q));
    clears: assert (!f_was_done_q || (idle_o && !done_o));
    cycles: assert (!f_named_q || cycles_o == f_cycles_q);
    inv_states: assert ((state_q == Idle) == !f_busy_q && (!f_named_q || f_busy_q == (state_q != Idle)) && (!f_busy_q || f_named_q));
    inv_ends: assert (!f_busy_q || ((state_q == Drain || state_q == Clear) == (f_ends_q && (state_q != Run))));
    inv_run: assert (state_q != Run || (!f_ends_q && settle_q == '0));
    inv_drain: assert (!(state_q == Drain || state_q == Clear) || f_ends_q);
    inv_wait: assert (f_wait_q <= (state_q == Clear ? 5'd16 : state_q == Drain && stop_o ? 5'(settle_q) : 5'd0));
    failed: cover (done_o && f_failed_q && error_i != '0 && error_code_o != f_code && f_index_q == 16'd3);
    ended: cover (done_o && !f_failed_q && f_cycles_q == 64'd5);
    late: cover (state_q == Drain && f_errs);
  end

logic f_was_quiet_q;  // in the cycle before done, nothing was in flight, and no record of a run that went well
always_ff @(posedge clk_i) f_was_quiet_q <= !flying_i && (stop_o || !profile_busy_i);
