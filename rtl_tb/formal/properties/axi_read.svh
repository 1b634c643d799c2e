// AXI4, the manager's read channels. The memory's side is assumed: data come for bursts whose address it has taken, or
// for none at all (what comes from before a reset, while no burst is in flight). Ours is asserted.
// One burst is chosen at will, and one beat of it, and both are followed.
(* anyseq *) logic f_choose, f_pick;
logic f_started_q, f_reset_q, f_was_stop_q, f_was_ar_q, f_ar, f_r, f_end;
logic f_ar_waits_q, f_new_q;
logic [47:0] f_ar_q;
logic f_followed_q, f_load_q;  // the followed burst
logic [39:0] f_address_q;
logic [3:0] f_last_q;
logic [CountW-1:0] f_flying_q, f_ahead_q;
logic f_mine, f_picked, f_beat_held_q, f_beat_load_q;
logic [8*PI:0] f_beat_q;
logic f_taken, f_head;
logic [4:0] f_count_q;  // beats that came for a burst and are not taken yet

// Probes of the queues, whose own theorems are in fifo.svh.
(* keep *) logic f_owners_choose, f_owners_held, f_beats_choose, f_beats_held, f_owners_word;
(* keep *) logic [CountW-1:0] f_owners_level, f_owners_ahead;
(* keep *) logic [4:0] f_beats_level, f_beats_ahead;
(* keep *) logic [8*PI+1:0] f_beats_word;
always_comb begin
  assume (f_owners_choose == (f_choose && !f_followed_q));
  assume (f_beats_choose == (f_pick && f_mine && !f_beat_held_q));
end

initial assume (!rst_ni);
initial f_started_q = 1'b0;
assign f_ar = m_axi_arvalid && m_axi_arready;
assign f_r = m_axi_rvalid && m_axi_rready && f_flying_q != '0;
assign f_end = f_r && m_axi_rlast;
assign f_mine = f_followed_q && f_r && f_ahead_q == '0;  // this beat is the followed burst's
assign f_picked = f_pick && f_mine && !f_beat_held_q;
assign f_taken = head_valid && (!head_load || load_rready_i || stop_i);
assign f_head = f_beat_held_q && f_beats_ahead == '0;  // the picked beat is shown

always_comb begin
  if (m_axi_rvalid) assume (f_flying_q == '0 || f_flying_q > CountW'(m_axi_arvalid));
  if (fetch_valid_i) assume (fetch_beats_i >= 5'd1 && fetch_beats_i <= 5'd16);
  if (load_valid_i) assume (load_beats_i >= 5'd1 && load_beats_i <= 5'd16);
end

always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  f_reset_q <= !rst_ni;
  f_was_stop_q <= rst_ni && stop_i;
  f_was_ar_q <= m_axi_arvalid;
  f_ar_waits_q <= rst_ni && m_axi_arvalid && !f_ar;
  f_ar_q <= {m_axi_araddr, m_axi_arlen};
  if (!rst_ni) begin
    f_flying_q <= '0;
    f_followed_q <= 1'b0;
    f_new_q <= 1'b0;
    f_beat_held_q <= 1'b0;
    f_count_q <= '0;
  end else begin
    f_count_q <= f_count_q + 5'(f_r) - 5'(f_taken);
    f_flying_q <= f_flying_q + CountW'(request) - CountW'(f_end);
    f_new_q <= 1'b0;
    if (!f_followed_q) begin
      f_followed_q <= request && f_choose;
      f_new_q <= request && f_choose;
      f_load_q <= !fetch_valid_i;
      f_address_q <= fetch_valid_i ? fetch_address_i : load_address_i;
      f_last_q <= fetch_valid_i ? fetch_beats_i[3:0] - 4'd1 : load_beats_i[3:0] - 4'd1;
      f_ahead_q <= f_flying_q - CountW'(f_end);
    end else if (f_end) begin
      f_ahead_q <= f_ahead_q - CountW'(1);
      f_followed_q <= f_ahead_q != '0;
    end
    if (f_picked) begin
      f_beat_held_q <= 1'b1;
      f_beat_load_q <= f_load_q;
      f_beat_q <= {m_axi_rresp[1], m_axi_rdata};
    end else if (f_head && f_taken) f_beat_held_q <= 1'b0;
  end
end

always_comb
  if (f_started_q) begin
    ar_stable: assert (!f_ar_waits_q || (m_axi_arvalid && {m_axi_araddr, m_axi_arlen} == f_ar_q));
    ar_payload: assert (!f_new_q || (m_axi_arvalid && m_axi_araddr == f_address_q && m_axi_arlen == 8'(f_last_q)));
    ar_short: assert (!m_axi_arvalid || m_axi_arlen <= 8'd15);
    ar_flying: assert (f_flying_q <= CountW'(Outstanding));
    ar_prompt: assert (!(!m_axi_arvalid && !stop_i && (fetch_valid_i || load_valid_i) && f_flying_q != CountW'(Outstanding)) ||
        (request && fetch_ready_o && load_ready_o == !fetch_valid_i));
    r_owner: assert (!f_head || (fetch_rvalid_o == !f_beat_load_q && load_rvalid_o == f_beat_load_q &&
        {rerror_o, rdata_o} == f_beat_q));
    r_counted: assert (f_beats_level == f_count_q);
    r_none: assert (f_beats_level != '0 || !(fetch_rvalid_o || load_rvalid_o));
    r_drains: assert (!f_was_stop_q || m_axi_rready);
    r_done: assert (busy_o == (f_flying_q != '0 || f_beats_level != '0) && (busy_o || !m_axi_arvalid));
    ar_stops: assert (!(f_was_stop_q && m_axi_arvalid) || f_was_ar_q);
    r_quiet: assert (!f_reset_q || !(m_axi_arvalid || busy_o || fetch_rvalid_o || load_rvalid_o));

    inv_counts: assert (flying_q == f_flying_q && f_owners_level == f_flying_q && (!m_axi_arvalid || f_flying_q != '0));
    inv_followed: assert (!f_followed_q || (f_ahead_q < f_flying_q && f_owners_ahead == f_ahead_q && f_owners_word == f_load_q));
    inv_held: assert (f_owners_held == f_followed_q && f_beats_held == f_beat_held_q);
    inv_beat: assert (!f_beat_held_q || f_beats_word == {f_beat_load_q, f_beat_q});

    ar_many: cover (f_flying_q == CountW'(Outstanding) && f_mine && f_load_q && f_end);
    r_full: cover (!m_axi_rready && f_head && f_was_stop_q == 1'b0);
    stopped_amid: cover (f_was_stop_q && f_ar_waits_q && f_beat_held_q && f_beat_load_q);
    stray: cover (m_axi_rvalid && f_flying_q == '0 && f_was_ar_q == 1'b0);
  end
