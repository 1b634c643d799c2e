// A word is chosen at will and followed: it leaves after exactly the words that were in front of it.
(* anyseq *) logic f_choose;
logic f_started_q, f_held_q, f_ahead_q, f_was_held_q;
logic [1:0] f_level_q;
logic [Width-1:0] f_word_q, f_was_data_q;
logic f_put, f_take;

initial assume (!rst_ni);
initial f_started_q = 1'b0;
assign f_put = valid_i && ready_o;
assign f_take = valid_o && ready_i;

always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  f_was_held_q <= rst_ni && !clear_i && valid_o && !ready_i;
  f_was_data_q <= data_o;
  if (!rst_ni || clear_i) begin
    f_level_q <= '0;
    f_held_q <= 1'b0;
  end else begin
    f_level_q <= f_level_q + 2'(f_put) - 2'(f_take);
    if (!f_held_q) begin
      f_held_q <= f_put && f_choose;
      f_ahead_q <= f_level_q[0] && !f_take;
      f_word_q <= data_i;
    end else if (f_take) begin
      f_held_q <= f_ahead_q;
      f_ahead_q <= 1'b0;
    end
  end
end

always_comb
  if (f_started_q) begin
    order: assert (!(f_held_q && !f_ahead_q) || (valid_o && data_o == f_word_q));
    levels: assert (valid_o == (f_level_q != 2'd0) && ready_o == (f_level_q != 2'd2));
    stable: assert (!f_was_held_q || (valid_o && data_o == f_was_data_q));
    inv_level: assert (f_level_q != 2'd3);
    inv_followed: assert (!f_held_q || (f_level_q > 2'(f_ahead_q) && (!f_ahead_q || spare_q == f_word_q)));
    full: cover (!ready_o && f_held_q && f_ahead_q);
    followed: cover (f_held_q && !f_ahead_q && ready_o);
  end
