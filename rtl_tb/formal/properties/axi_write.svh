// AXI4, the manager's write channels. The memory's side is assumed: it answers bursts whose address and data it has
// taken, or none at all (what comes from before a reset, while no burst is in flight). Ours is asserted.
// One burst is chosen at will and followed from its request to its answer.
(* anyseq *) logic f_choose;
logic f_started_q, f_reset_q, f_was_stop_q, f_aw, f_w, f_b, f_last;
logic f_aw_waits_q, f_w_waits_q, f_was_aw_q;
logic [47:0] f_aw_q;
logic [8*PI:0] f_w_q;
logic [8*PI-1:0] f_data_q;
logic f_loaded_q;
logic f_followed_q, f_data_done_q, f_store_q, f_offered_q;  // the followed burst
logic [39:0] f_address_q;
logic [3:0] f_last_q, f_beat_q;
logic [CountW-1:0] f_flying_q, f_w_open_q, f_w_ahead_q, f_b_ahead_q, f_whole;
logic [2:0] f_dry_q;  // cycles without data on offer, while there are bursts

// Probes of the queues, whose own theorems are in fifo.svh.
(* keep *) logic f_jobs_choose, f_jobs_held, f_owners_choose, f_owners_held;
(* keep *) logic [CountW-1:0] f_jobs_level, f_jobs_ahead, f_owners_level, f_owners_ahead;
(* keep *) logic [4:0] f_jobs_word;
(* keep *) logic f_owners_word;
always_comb begin
  assume (f_owners_choose == (f_choose && !f_followed_q));
  assume (f_jobs_choose == f_offered_q);
end

initial assume (!rst_ni);
initial f_started_q = 1'b0;
assign f_aw = m_axi_awvalid && m_axi_awready;
assign f_w = m_axi_wvalid && m_axi_wready;
assign f_b = m_axi_bvalid && m_axi_bready && f_flying_q != '0;
assign f_last = f_w && m_axi_wlast;
// Bursts that the memory may answer: of those in flight, not the last ones whose address or data it waits for.
assign f_whole = f_flying_q - (f_w_open_q > CountW'(m_axi_awvalid) ? f_w_open_q : CountW'(m_axi_awvalid));

always_comb begin
  if (m_axi_bvalid) assume (f_flying_q == '0 || f_whole != '0);
  if (store_valid_i) assume (store_beats_i >= 5'd1 && store_beats_i <= 5'd16);
end

always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  f_reset_q <= !rst_ni;
  f_was_stop_q <= stop_i;
  f_was_aw_q <= m_axi_awvalid;
  f_aw_waits_q <= rst_ni && m_axi_awvalid && !f_aw;
  f_w_waits_q <= rst_ni && m_axi_wvalid && !f_w;
  f_aw_q <= {m_axi_awaddr, m_axi_awlen};
  f_w_q <= {m_axi_wdata, m_axi_wlast};
  f_loaded_q <= rst_ni && (store_data_ready_o || profile_data_ready_o);
  f_data_q <= store_data_ready_o ? store_data_i : profile_data_i;
  if (!rst_ni) begin
    f_flying_q <= '0;
    f_w_open_q <= '0;
    f_beat_q <= '0;
    f_followed_q <= 1'b0;
    f_offered_q <= 1'b0;
    f_dry_q <= '0;
  end else begin
    f_flying_q <= f_flying_q + CountW'(request) - CountW'(f_b);
    f_w_open_q <= f_w_open_q + CountW'(request) - CountW'(f_last);
    if (f_w) f_beat_q <= m_axi_wlast ? '0 : f_beat_q + 4'd1;
    f_dry_q <= m_axi_wvalid || f_w_open_q == '0 ? '0 : f_dry_q + 3'd1;
    f_offered_q <= 1'b0;
    if (!f_followed_q) begin
      f_followed_q <= request && f_choose;
      f_offered_q <= request && f_choose;
      f_store_q <= !profile_valid_i;
      f_address_q <= profile_valid_i ? profile_address_i : store_address_i;
      f_last_q <= profile_valid_i ? 4'd0 : store_beats_i[3:0] - 4'd1;
      f_data_done_q <= 1'b0;
      f_w_ahead_q <= f_w_open_q - CountW'(f_last);
      f_b_ahead_q <= f_flying_q - CountW'(f_b);
    end else begin
      if (f_last && !f_data_done_q) begin
        f_w_ahead_q <= f_w_ahead_q - CountW'(1);
        f_data_done_q <= f_w_ahead_q == '0;
      end
      if (f_b) begin
        f_b_ahead_q <= f_b_ahead_q - CountW'(1);
        f_followed_q <= f_b_ahead_q != '0;
      end
    end
  end
end

logic f_holds_last, f_mine, f_in_jobs, f_answered;
assign f_holds_last = m_axi_wvalid && m_axi_wlast;
assign f_mine = f_followed_q && !f_data_done_q && f_w_ahead_q == '0;  // data on offer are the followed burst's
assign f_in_jobs = f_followed_q && !f_data_done_q && !f_offered_q && !(f_holds_last && f_w_ahead_q == '0);
assign f_answered = f_followed_q && f_b && f_b_ahead_q == '0;

always_comb
  if (f_started_q) begin
    aw_stable: assert (!f_aw_waits_q || (m_axi_awvalid && {m_axi_awaddr, m_axi_awlen} == f_aw_q));
    w_stable: assert (!f_w_waits_q || (m_axi_wvalid && {m_axi_wdata, m_axi_wlast} == f_w_q));
    aw_payload: assert (!f_offered_q || (m_axi_awvalid && m_axi_awaddr == f_address_q && m_axi_awlen == 8'(f_last_q)));
    aw_short: assert (!m_axi_awvalid || m_axi_awlen <= 8'd15);
    w_last: assert (!(f_mine && m_axi_wvalid) || m_axi_wlast == (f_beat_q == f_last_q));
    w_strobes: assert (&m_axi_wstrb);
    w_data: assert (!f_loaded_q || (m_axi_wvalid && m_axi_wdata == f_data_q));
    w_owed: assert (!m_axi_wvalid || f_w_open_q != '0);
    w_independent: assert (f_dry_q <= 3'd2);
    aw_independent: assert (!(!m_axi_awvalid && !stop_i && (store_valid_i || profile_valid_i) &&
        f_flying_q != CountW'(Outstanding)) || request);
    flying: assert (f_flying_q <= CountW'(Outstanding));
    answers: assert (!f_answered || (store_written_o == f_store_q && error_o == m_axi_bresp[1] &&
        (!error_o || error_store_o == f_store_q)));
    strays: assert (f_flying_q != '0 || !(store_written_o || error_o));
    b_taken: assert (m_axi_bready);
    done: assert (busy_o == (f_flying_q != '0) && (busy_o || !(m_axi_awvalid || m_axi_wvalid || f_w_open_q != '0)));
    stops: assert (!(f_was_stop_q && m_axi_awvalid) || f_was_aw_q);
    w_quiet: assert (!f_reset_q || !(m_axi_awvalid || m_axi_wvalid || busy_o));

    inv_counts: assert (flying_q == f_flying_q && f_owners_level == f_flying_q && awaited == (f_flying_q != '0) &&
        f_w_open_q == f_jobs_level + CountW'(offered_q) + CountW'(f_holds_last) && f_w_open_q <= f_flying_q);
    inv_offered: assert (!offered_q || (m_axi_awvalid && m_axi_awlen <= 8'd15 && f_flying_q != '0));
    inv_aw: assert (!m_axi_awvalid || f_flying_q != '0);
    inv_beat: assert (f_holds_last ? beat_q == '0 : beat_q == f_beat_q + 4'(m_axi_wvalid));
    inv_head: assert (!((m_axi_wvalid && !m_axi_wlast) || beat_q != '0) || f_jobs_level != '0);
    inv_dry: assert (f_dry_q == '0 || m_axi_wvalid || (f_dry_q == 3'd1 && job_valid));
    inv_followed: assert (!f_followed_q || (f_b_ahead_q < f_flying_q && f_owners_held && f_owners_ahead == f_b_ahead_q &&
        f_owners_word == f_store_q));
    inv_free: assert (f_followed_q || (!f_owners_held && !f_jobs_held && !f_offered_q));
    inv_place: assert (!(f_followed_q && !f_data_done_q) || f_w_ahead_q < f_w_open_q);
    inv_whole: assert (!(f_followed_q && !f_data_done_q) || f_flying_q - f_b_ahead_q <= f_w_open_q - f_w_ahead_q);
    inv_order: assert (!(f_followed_q && !f_data_done_q) || f_flying_q - f_b_ahead_q == f_w_open_q - f_w_ahead_q);
    inv_data_done: assert (!(f_followed_q && f_data_done_q) || f_w_open_q < f_flying_q - f_b_ahead_q);
    inv_new: assert (!f_offered_q || (offered_q && f_followed_q && !f_data_done_q && aw_store_q == f_store_q &&
        f_w_ahead_q == f_w_open_q - CountW'(1)));
    inv_jobs: assert (f_jobs_held == f_in_jobs && (!f_in_jobs || (f_w_ahead_q == f_jobs_ahead + CountW'(f_holds_last) &&
        f_jobs_word == {f_store_q, f_last_q} && (f_jobs_ahead != '0 || beat_q <= f_last_q))));

    many: cover (f_flying_q == CountW'(Outstanding) && f_answered && f_last_q == 4'd2);
    data_first: cover (f_followed_q && f_data_done_q && f_aw_waits_q && f_last_q == 4'd1);
    stopped_amid: cover (f_was_stop_q && m_axi_wvalid && f_mine && f_beat_q == 4'd1 && !m_axi_wlast);
  end
