// What surrounds the multipliers, whose rows give any sums within their ranges (mac_pair.svh says that they are exact):
// operands are placed exactly, fields of two rows join and come apart exactly, and groups accumulate exactly.
localparam int F_MOST = 255 * 127 * PI;  // of a row's wide sum, either sign
localparam int F_MOST_NARROW = 120 * PI;
(* keep *) logic [ActBits*PI-1:0] f_act0, f_act1;  // probes of the rows of the low and of the high channels
(* anyconst *) logic f_packed, f_is_max, f_signed;
(* anyconst *) logic [3:0] f_i;  // an input lane
(* anyseq *) logic signed [15:0] f_even0, f_even1, f_odd0, f_odd1;  // narrow sums of both rows, for the first lane
(* anyseq *) logic signed [SumBits-1:0] f_wide;  // a wide sum of the first row
logic [3:0] f_age_q;
logic f_started_q;

initial assume (!rst_ni);
initial {f_age_q, f_started_q} = 5'd0;
always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  if (f_age_q != 4'd15) f_age_q <= f_age_q + 4'd1;
end

logic signed [SumBits-1:0] f_row0, f_row1;
assign f_row0 = row_sums[0+:SumBits];
assign f_row1 = row_sums[SumBits*2*Pairs*Halves+:SumBits];
function automatic logic f_in(input logic signed [31:0] value, input int most);
  f_in = value <= most && value >= -most;
endfunction
always_comb begin
  assume (packed_i == f_packed && is_max_i == f_is_max && in_signed_i == f_signed && !(f_packed && f_is_max));
  assume (f_i < 5'(PI));
  assume (f_in(32'(f_even0), F_MOST_NARROW) && f_in(32'(f_even1), F_MOST_NARROW));
  assume (f_in(32'(f_odd0), F_MOST_NARROW) && f_in(32'(f_odd1), F_MOST_NARROW));
  assume (f_in(32'(f_wide), f_is_max ? 255 : F_MOST));  // a candidate is a code
  if (f_packed) begin
    assume (f_row0 == (SumBits'(f_odd0) <<< FieldBits) + SumBits'(f_even0));
    assume (f_row1 == (SumBits'(f_odd1) <<< FieldBits) + SumBits'(f_even1));
  end else assume (f_row0 == f_wide);
end

// ---- Operands of lane f_i: the bytes of a cycle ago.
logic [7:0] f_byte0_q, f_byte1_q, f_own_q, f_pixel0_q, f_pixel1_q;
logic signed [3:0] f_n00, f_n01, f_n10, f_n11;
logic signed [4:0] f_even_low, f_odd_low, f_even_high, f_odd_high;
logic signed [WeightBits-1:0] f_operand_low, f_operand_high;
logic signed [ActBits-1:0] f_act_low, f_act_high;
always_ff @(posedge clk_i) begin
  f_byte0_q <= weight_i[8*f_i+:8];
  f_byte1_q <= weight_i[8*(PI+f_i)+:8];
  f_pixel0_q <= act_i[8*f_i+:8];
  f_pixel1_q <= act_i[8*(PI+f_i)+:8];
end
assign {f_n01, f_n00} = f_byte0_q;
assign {f_n11, f_n10} = f_byte1_q;
assign f_even_low = {f_signed & f_pixel0_q[3], f_pixel0_q[3:0]};
assign f_even_high = {f_signed & f_pixel0_q[7], f_pixel0_q[7:4]};
assign f_odd_low = {f_signed & f_pixel1_q[3], f_pixel1_q[3:0]};
assign f_odd_high = {f_signed & f_pixel1_q[7], f_pixel1_q[7:4]};
assign f_operand_low = operands[WeightBits*f_i+:WeightBits];
assign f_operand_high = operands[WeightBits*(Pairs*PI+f_i)+:WeightBits];
assign f_act_low = f_act0[ActBits*f_i+:ActBits];
assign f_act_high = f_act1[ActBits*f_i+:ActBits];

logic signed [39:0] f_weights_wide, f_weights_low, f_weights_high, f_codes_wide, f_codes_low, f_codes_high;
logic signed [8:0] f_code;
logic f_is_legal;
assign f_code = {f_signed & f_pixel0_q[7], f_pixel0_q};
assign f_weights_wide = 40'($signed(f_byte1_q)) * 40'sd131072 + 40'($signed(f_byte0_q));
assign f_weights_low = 40'(f_n10) * 40'sd262144 + 40'(f_n00);
assign f_weights_high = 40'(f_n11) * 40'sd262144 + 40'(f_n01);
assign f_codes_wide = 40'(f_code);
assign f_codes_low = 40'(f_odd_low) * 40'sd512 + 40'(f_even_low);
assign f_codes_high = 40'(f_odd_high) * 40'sd512 + 40'(f_even_high);
assign f_is_legal = f_byte0_q != 8'h80 && f_byte1_q != 8'h80;  // -128 is no weight

// ---- Sums.
logic signed [31:0] f_even, f_odd, f_sum_q, f_acc_q, f_acc, f_odd_sum_q, f_odd_acc_q;
logic [6:0] f_last_q;
logic [5:0] f_first_q, f_valid_q;
logic f_known_q;
initial {f_known_q, f_valid_q, f_last_q} = 14'd0;
logic [5:0] f_mask;  // marks that entered since the reset
assign f_mask = f_age_q >= 4'd6 ? 6'h3F : 6'((7'd1 << f_age_q) - 7'd1);
assign f_even = 32'(f_even0) + 32'(f_even1);
assign f_odd = 32'(f_odd0) + 32'(f_odd1);
always_ff @(posedge clk_i) begin
  f_sum_q <= f_packed ? f_even : 32'(f_wide);
  f_odd_sum_q <= f_odd;
  f_first_q <= {f_first_q[4:0], first_i};
  f_valid_q <= rst_ni ? {f_valid_q[4:0], valid_i} : 6'd0;
  f_last_q <= rst_ni ? {f_last_q[5:0], last_i && valid_i} : 7'd0;
  if (f_valid_q[5]) begin
    f_known_q <= f_known_q || f_first_q[5];
    if (f_first_q[5]) f_acc_q <= f_sum_q;
    else if (!f_is_max) f_acc_q <= f_acc_q + f_sum_q;
    else if (f_sum_q > f_acc_q) f_acc_q <= f_sum_q;
    f_odd_acc_q <= (f_first_q[5] ? 32'sd0 : f_odd_acc_q) + f_odd_sum_q;
  end
end
logic signed [FieldBits-1:0] f_field_even, f_field_odd;
assign f_field_even = fields[0+:FieldBits];
assign f_field_odd = fields[FieldBits*PO+:FieldBits];

logic [31:0] f_first_acc, f_second_acc;
assign f_first_acc = acc_o[0+:32];
assign f_second_acc = acc_o[32*PO+:32];
logic signed [EntryBits-1:0] f_first_entry, f_second_entry;  // probes of the first lane of the first two pixels

always_comb begin
  if (f_started_q) begin
    weights_placed: assert (f_packed ? 40'(f_operand_low) == f_weights_low && 40'(f_operand_high) == f_weights_high :
        !f_is_legal || (40'(f_operand_low) == f_weights_wide && f_operand_high == f_operand_low));
    codes_placed: assert (f_packed ? 40'(f_act_low) == f_codes_low && 40'(f_act_high) == f_codes_high :
        40'(f_act_low) == f_codes_wide);
    entries: assert (32'(f_first_entry) == f_sum_q && (!f_packed || 32'(f_second_entry) == f_odd_sum_q));
    inv_marks: assert (((first_q ^ f_first_q) & f_mask) == '0 && (f_valid_q & ~f_mask) == '0);
    inv_valid: assert (valid_q == f_valid_q && last_q == f_last_q[5:0]);
    done: assert (done_o == f_last_q[6]);
    if (f_known_q) begin
      accumulates: assert (f_first_acc == f_acc_q && (!f_packed || f_second_acc == f_odd_acc_q));
      maxima: cover (f_is_max && f_last_q[6] && f_acc_q < 0);
      groups: cover (f_packed && f_last_q[6] && f_acc_q < -1000 && f_odd_acc_q > 1000);
    end
    inv_max: assert (!(f_known_q && f_is_max) || f_in(f_acc_q, 255));
    inv_sums: assert (f_in(f_sum_q, f_is_max ? 255 : f_packed ? 2 * F_MOST_NARROW : F_MOST));
  end
  fields_exact: assert (!f_packed || (32'(f_field_even) == f_even && 32'(f_field_odd) == f_odd));
end
