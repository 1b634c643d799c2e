// A line is chosen and its last word followed.
(* anyconst *) logic [$clog2(Lines)-1:0] f_line;
logic f_known_q, f_was_read_a_q, f_was_read_b_q;
logic [Width-1:0] f_word_q, f_read_q;
initial {f_known_q, f_was_read_a_q, f_was_read_b_q} = 3'b000;
always_ff @(posedge clk_i) begin
  if (b_en_i && b_write_i && b_line_i == f_line) begin
    f_known_q <= 1'b1;
    f_word_q <= b_data_i;
  end
  // A line that is written in the same cycle is not relied on.
  f_was_read_a_q <= f_known_q && a_en_i && a_line_i == f_line && !(b_en_i && b_write_i && b_line_i == f_line);
  f_was_read_b_q <= f_known_q && b_en_i && !b_write_i && b_line_i == f_line;
  f_read_q <= f_word_q;
end
always_comb begin
  ram_a: assert (!f_was_read_a_q || a_data_o == f_read_q);
  ram_b: assert (!f_was_read_b_q || b_data_o == f_read_q);
  inv_ram: assert (!f_known_q || memory[f_line] == f_word_q);
  ram_read: cover (f_was_read_a_q && f_was_read_b_q);
end
