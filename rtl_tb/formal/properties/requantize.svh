// The operands of each cycle go along with the pipeline, and each stage is what the formula says of them. The sum
// is written in 64 bits, which hold any; the theorem is of those that fit the accumulator's 32.
logic [2:0] f_age_q;
logic signed [31:0] f_acc_q1, f_acc_q2, f_acc_q3, f_acc_q4, f_acc_q5, f_bias_q1, f_bias_q2, f_bias_q3, f_bias_q4, f_bias_q5;
logic [4:0] f_shift_q1, f_shift_q2, f_shift_q3, f_shift_q4, f_shift_q5, f_shift_q6;
logic [4:0] f_by_q1, f_by_q2, f_by_q3, f_by_q4, f_by_q5;  // the residual's shift
logic signed [8:0] f_residual_q4, f_residual_q5;
logic signed [63:0] f_exact, f_exact_q6, f_half, f_half_q6, f_y, f_even, f_code;
logic f_is_tie, f_fits_q6;

initial f_age_q = 3'd0;

// What is held during a descriptor.
(* anyconst *) logic signed [8:0] f_lo, f_hi;
(* anyconst *) logic f_half_even, f_is_product;
always_comb begin
  assume (lo_i == f_lo && hi_i == f_hi && half_even_i == f_half_even && is_product_i == f_is_product);
  assume (f_lo <= f_hi);
  if (is_product_i) assume (acc_i >= -32'sd256 && acc_i <= 32'sd255);
end

always_ff @(posedge clk_i) begin
  if (f_age_q != 3'd7) f_age_q <= f_age_q + 3'd1;
  {f_acc_q5, f_acc_q4, f_acc_q3, f_acc_q2, f_acc_q1} <= {f_acc_q4, f_acc_q3, f_acc_q2, f_acc_q1, acc_i};
  {f_bias_q5, f_bias_q4, f_bias_q3, f_bias_q2, f_bias_q1} <= {f_bias_q4, f_bias_q3, f_bias_q2, f_bias_q1, bias_i};
  {f_shift_q6, f_shift_q5, f_shift_q4, f_shift_q3, f_shift_q2, f_shift_q1} <=
      {f_shift_q5, f_shift_q4, f_shift_q3, f_shift_q2, f_shift_q1, shift_i};
  {f_by_q5, f_by_q4, f_by_q3, f_by_q2, f_by_q1} <= {f_by_q4, f_by_q3, f_by_q2, f_by_q1, residual_shift_i};
  {f_residual_q5, f_residual_q4} <= {f_residual_q4, residual_i};
  f_exact_q6 <= f_exact;
  f_half_q6 <= f_half;
  f_fits_q6 <= f_exact + f_half >= -64'sd2147483648 && f_exact + f_half <= 64'sd2147483647;
end

// A product of 9 and 17 bits fits 26. Its factor stands here as the block's register, which inv_3 says is the code
// or the power of two: solvers do not see that products of equal factors are equal.
logic signed [25:0] f_product_q4, f_product_q5;
always_ff @(posedge clk_i) begin
  f_product_q4 <= residual_i * factor_q3;
  f_product_q5 <= f_product_q4;
end

// ---- The formula.
logic signed [63:0] f_acc64, f_bias64, f_residual64;
assign f_acc64 = f_acc_q5;
assign f_bias64 = f_bias_q5;
assign f_residual64 = f_residual_q5;
assign f_half = f_shift_q5 == '0 ? 64'sd0 : 64'sd1 <<< (f_shift_q5 - 5'd1);
assign f_exact = f_is_product ? f_bias64 + 64'(f_product_q5) : f_acc64 + f_bias64 + (f_residual64 <<< f_by_q5);
assign f_y = (f_exact_q6 + f_half_q6) >>> f_shift_q6;
assign f_is_tie = f_shift_q6 != '0 && f_exact_q6 + f_half_q6 == f_y <<< f_shift_q6;
assign f_even = f_y - 64'(f_half_even && f_is_tie && f_y[0]);
assign f_code = f_even < 64'(f_lo) ? 64'(f_lo) : f_even > 64'(f_hi) ? 64'(f_hi) : f_even;

logic signed [31:0] f_biased_q1_, f_biased_q2_, f_biased_q3_, f_biased_q4_;
logic signed [16:0] f_factor_q3_;
assign f_biased_q1_ = (f_is_product ? 32'sd0 : f_acc_q1) + f_bias_q1;
assign f_biased_q2_ = (f_is_product ? 32'sd0 : f_acc_q2) + f_bias_q2 + ((32'd1 << f_shift_q2) >> 1);
assign f_biased_q3_ = (f_is_product ? 32'sd0 : f_acc_q3) + f_bias_q3 + ((32'd1 << f_shift_q3) >> 1);
assign f_biased_q4_ = (f_is_product ? 32'sd0 : f_acc_q4) + f_bias_q4 + ((32'd1 << f_shift_q4) >> 1);
assign f_factor_q3_ = f_is_product ? 17'($signed(f_acc_q3[8:0])) : 17'sd1 <<< f_by_q3[3:0];

always_comb begin
  if (f_age_q >= 3'd1)
    inv_1: assert (biased_q == f_biased_q1_ && shift_q == f_shift_q1 &&
        factor_q == (f_is_product ? f_acc_q1[8:0] : {4'd0, f_by_q1}) &&
        (!f_is_product || (f_acc_q1 >= -32'sd256 && f_acc_q1 <= 32'sd255)));
  if (f_age_q >= 3'd2)
    inv_2: assert (rounded_q == f_biased_q2_ && shift_q2 == f_shift_q2 &&
        factor_q2 == (f_is_product ? f_acc_q2[8:0] : {4'd0, f_by_q2}) &&
        (!f_is_product || (f_acc_q2 >= -32'sd256 && f_acc_q2 <= 32'sd255)));
  if (f_age_q >= 3'd3)
    inv_3: assert (rounded_q2 == f_biased_q3_ && shift_q3 == f_shift_q3 && factor_q3 == f_factor_q3_ &&
        is_high_q3 == (!f_is_product && f_by_q3[4]) &&
        (!f_is_product || (f_acc_q3 >= -32'sd256 && f_acc_q3 <= 32'sd255)));
  if (f_age_q >= 3'd4)
    inv_4: assert (rounded_q3 == f_biased_q4_ && shift_q4 == f_shift_q4 && product_q4 == f_product_q4 &&
        (f_is_product || f_product_q4 == 26'(f_residual_q4) <<< f_by_q4[3:0]) &&
        is_high_q4 == (!f_is_product && f_by_q4[4]) &&
        (!f_is_product || (f_acc_q4 >= -32'sd256 && f_acc_q4 <= 32'sd255)));
  if (f_age_q >= 3'd5) sum: assert (shift_q5 == f_shift_q5 && sum_q == f_exact[31:0] + f_half[31:0]);
  if (f_age_q >= 3'd6) begin
    formula: assert (!f_fits_q6 || next_code_o == f_code[7:0]);
    rounds_down: cover (f_half_even && f_is_tie && f_y[0] && f_fits_q6 && f_even > 64'(f_lo) && f_even < 64'(f_hi));
    clamps: cover (f_fits_q6 && f_even > 64'(f_hi) && f_exact_q6 > 64'sd1000000);
    products: cover (f_fits_q6 && f_is_product && f_exact_q6 > 64'sd1000);
    inv_6: assert (!f_fits_q6 || 64'(shifted_q) == f_y);
    to_even: assert (was_half_q == (f_half_even && f_is_tie));
  end
end
