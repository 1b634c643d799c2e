// A line of two codes is chosen at will; whichever lane looks one of them up finds what was last written there.
(* anyconst *) logic [9:0] f_pair;
(* anyconst *) logic [2:0] f_lane;
(* keep *) logic [9:0] f_line0, f_line1, f_line2, f_line3;  // probes of the RAMs
(* keep *) logic f_known0, f_known1, f_known2, f_known3;
(* keep *) logic [15:0] f_word0, f_word1, f_word2, f_word3;
always_comb assume (f_line0 == f_pair && f_line1 == f_pair && f_line2 == f_pair && f_line3 == f_pair && f_lane < 4'(PI));

logic f_known_q, f_was_lookup_q;
logic [15:0] f_word_q, f_found_q;
logic [7:0] f_code, f_code_q;
initial {f_known_q, f_was_lookup_q} = 2'b00;
assign f_code = codes_i[8*f_lane+:8];
always_ff @(posedge clk_i) begin
  if (write_valid_i && write_ready_o && write_line_i == f_pair) begin
    f_known_q <= 1'b1;
    f_word_q <= write_data_i;
  end
  f_was_lookup_q <= f_known_q && lookup_i && {table_i, f_code[7:1]} == f_pair;
  f_code_q <= f_code;
end
always_comb begin
  found: assert (!f_was_lookup_q || codes_o[8*f_lane+:8] == (f_code_q[0] ? f_word_q[15:8] : f_word_q[7:0]));
  waits: assert (write_ready_o == !lookup_i);
  inv_known: assert (!f_known_q || (f_known0 && f_known1 && f_known2 && f_known3));
  inv_words: assert (!f_known_q || (f_word0 == f_word_q && f_word1 == f_word_q && f_word2 == f_word_q && f_word3 == f_word_q));
  looked_up: cover (f_was_lookup_q && f_lane == 3'd5 && f_code_q[0] && f_pair == 10'd777);
end
