// A word is chosen at will and followed: it leaves after exactly the words that were in front of it.
(* anyseq *) logic f_choose;
logic f_held_q;  // the chosen word is inside
logic [PointerW:0] f_level_q, f_ahead_q;
logic [Width-1:0] f_word_q;

initial assume (!rst_ni);
initial f_held_q = 1'b0;

always_ff @(posedge clk_i) begin
  if (!rst_ni || clear_i) begin
    f_level_q <= '0;
    f_held_q <= 1'b0;
  end else begin
    f_level_q <= f_level_q + (PointerW + 1)'(put) - (PointerW + 1)'(take);
    if (!f_held_q) begin
      f_held_q <= put && f_choose;
      f_ahead_q <= f_level_q - (PointerW + 1)'(take);
      f_word_q <= data_i;
    end else if (take) begin
      f_held_q <= f_ahead_q != '0;
      f_ahead_q <= f_ahead_q - (PointerW + 1)'(1);
    end
  end
end

logic f_started_q;
initial f_started_q = 1'b0;
always_ff @(posedge clk_i) f_started_q <= 1'b1;

logic [PointerW-1:0] f_place;
assign f_place = read_q + PointerW'(f_ahead_q);

always_comb
  if (f_started_q) begin
    order: assert (!(f_held_q && f_ahead_q == '0) || (valid_o && data_o == f_word_q));
    levels: assert (valid_o == (f_level_q != '0) && ready_o == (f_level_q != (PointerW + 1)'(Depth)));
    bounds: assert (f_level_q <= (PointerW + 1)'(Depth));
    inv_level: assert (level_q == f_level_q && PointerW'(level_q) == PointerW'(write_q - read_q));
    inv_followed: assert (!f_held_q || (f_ahead_q < level_q && memory[f_place] == f_word_q));
    full: cover (!ready_o && f_held_q && f_ahead_q == (PointerW + 1)'(Depth - 1));
    emptied: cover (f_held_q && valid_o && f_ahead_q == '0 && f_level_q == (PointerW + 1)'(1));
  end
