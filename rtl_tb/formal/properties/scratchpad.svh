// Who has the second port of each bank; and a word, chosen at will in bank 1, from its writes to its reads.
logic [2:0] f_age_q;
initial f_age_q = 3'd0;
always_ff @(posedge clk_i) if (f_age_q != 3'd7) f_age_q <= f_age_q + 3'd1;

(* keep *) logic [Banks-1:0] f_result, f_residual, f_load, f_store;  // probes
(* keep *) logic [LineW-1:0] f_line_low, f_line_high;
(* keep *) logic f_known_low, f_known_high;
(* keep *) logic [4*PI-1:0] f_word_low, f_word_high;
(* keep *) logic [LineW-1:0] f_array_line, f_other_line;
(* keep *) logic f_array_en, f_other_read;
(* keep *) logic [1:0] f_other_write;
(* keep *) logic [Word-1:0] f_other_data;
(* anyconst *) logic [LineW-1:0] f_line;
(* anyconst *) logic [7:0] f_lane;
(* anyconst *) logic [7:0] f_padding;

// What the interface demands: no two lanes and no two words of the output stage in one bank, banks that there are.
always_comb begin
  assume (f_line_low == f_line && f_line_high == f_line && f_lane < 8'(PP) && padding_i == f_padding);
  for (int i = 0; i < PP; i++)
    for (int j = 0; j < i; j++)
      assume (!(lane_on_i[i] && lane_on_i[j] && lane_bank_i[4*i+:4] == lane_bank_i[4*j+:4]));
  assume (!(result_valid && residual_valid_i && result_bank_i == residual_bank_i));
  assume (result_bank_i < 4'(Banks) && residual_bank_i < 4'(Banks) && load_bank_i < 4'(Banks) && store_bank_i < 4'(Banks));
  if (load_valid_i) assume (load_claim_i);
end
initial assume (!rst_ni);

function automatic logic f_here(input logic [3:0] bank, input logic [15:0] line);
  f_here = bank == 4'd1 && line[LineW-1:0] == f_line;
endfunction

logic [1:0] f_writes, f_known_q;  // halves
logic [Word-1:0] f_data, f_word_q, f_expected_q, f_expected_q2, f_expected_q3;
logic f_lane_reads, f_lane_off, f_residual_reads, f_store_reads, f_quiet;
logic [2:0] f_lane_q, f_off_q, f_residual_q, f_store_q, f_store_any_q;
initial f_known_q = 2'b00;
assign f_data = result_valid && f_here(result_bank_i, result_line_i) ? result_data_i : load_data_i;
assign f_writes = result_valid && f_here(result_bank_i, result_line_i) ? result_halves_i :
    {2{load_valid_i && load_ready_o && f_here(load_bank_i, load_line_i)}};
assign f_quiet = f_known_q == 2'b11 && f_writes == 2'b00;
assign f_lane_reads = f_quiet && lane_on_i[f_lane] && f_here(lane_bank_i[4*f_lane+:4], lane_line_i[16*f_lane+:16]);
assign f_lane_off = !lane_on_i[f_lane];
assign f_residual_reads = f_quiet && residual_valid_i && f_here(residual_bank_i, residual_line_i);
assign f_store_reads = f_quiet && store_valid_i && store_ready_o && f_here(store_bank_i, store_line_i);

always_ff @(posedge clk_i) begin
  f_known_q <= f_known_q | f_writes;
  for (int i = 0; i < 2 * PI; i++) if (f_writes[i%2]) f_word_q[4*i+:4] <= f_data[4*i+:4];
  {f_expected_q3, f_expected_q2, f_expected_q} <= {f_expected_q2, f_expected_q, f_word_q};
  f_lane_q <= {f_lane_q[1:0], f_lane_reads};
  f_off_q <= {f_off_q[1:0], f_lane_off};
  f_residual_q <= {f_residual_q[1:0], f_residual_reads};
  f_store_q <= {f_store_q[1:0], f_store_reads};
  f_store_any_q <= rst_ni ? {f_store_any_q[1:0], store_valid_i && store_ready_o} : 3'd0;
end

// A word is written a cycle after it was granted the port; until then it is in the port's registers.
logic [Word-1:0] f_stored;
logic [1:0] f_pending, f_stored_known;
assign f_pending = f_other_line == f_line ? f_other_write : 2'b00;
assign f_stored_known = f_pending | {f_known_high, f_known_low};
for (genvar i = 0; i < PI; i++) begin : gen_formal
  assign f_stored[8*i+:4] = f_pending[0] ? f_other_data[8*i+:4] : f_word_low[4*i+:4];
  assign f_stored[8*i+4+:4] = f_pending[1] ? f_other_data[8*i+4+:4] : f_word_high[4*i+:4];
end

logic f_result_or_residual_at_load, f_other_at_store;
assign f_result_or_residual_at_load = f_result[load_bank_i] || f_residual[load_bank_i];
assign f_other_at_store = f_result[store_bank_i] || f_residual[store_bank_i] || (load_claim_i && load_bank_i == store_bank_i);

always_comb begin
  one_port: assert ((f_result & f_residual) == '0 && (f_load & f_store) == '0 && ((f_result | f_residual) & (f_load | f_store)) == '0);
  first: assert ((!result_valid || f_result[result_bank_i]) && (!residual_valid_i || f_residual[residual_bank_i]));
  granted: assert (!(load_valid_i && load_ready_o) || f_load[load_bank_i]);
  granted_store: assert (!(store_valid_i && store_ready_o) || f_store[store_bank_i]);
  load_waits: assert (!(load_valid_i && !load_ready_o) || f_result_or_residual_at_load);
  store_waits: assert (!(store_valid_i && !store_ready_o) || f_other_at_store);
  refused: assert ((f_load == '0 || load_ready_o) && (f_store == '0 || store_ready_o));
  all_busy: cover (result_valid && residual_valid_i && load_valid_i && load_ready_o && store_valid_i && !store_ready_o);
  if (f_age_q != 3'd0) begin
    inv_known: assert ((f_known_q & ~f_stored_known) == 2'b00);
    inv_stored: assert (((f_word_q ^ f_stored) & {PI{{4{f_known_q[1]}}, {4{f_known_q[0]}}}}) == '0);
  end
  if (f_age_q >= 3'd4) begin
    lane_read: assert (!f_lane_q[2] || lane_data_o[Word*f_lane+:Word] == f_expected_q3);
    lane_pads: assert (!f_off_q[2] || lane_data_o[Word*f_lane+:Word] == {PI{f_padding}});
    residual_read: assert (!f_residual_q[2] || residual_data_o == f_expected_q3);
    store_read: assert (!f_store_q[2] || store_rdata_o == f_expected_q3);
    store_marked: assert (store_rvalid_o == f_store_any_q[2]);
    reads: cover (f_lane_q[2] && f_store_q[2]);
    halves: cover (f_lane_q[2] && f_residual_q[2]);
  end
end
