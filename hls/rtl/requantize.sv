// requantize: one lane of the output stage: bias, residual, rounding shift, clamp.
// Function:   y = clamp((acc + bias + (r << ResidualShift) + half) >>> shift, lo, hi), half = 2**(shift-1) or 0;
//             half_even: an odd y that was half a step below is the even one below it instead;
//             is_product: acc * r in place of acc + (r << ResidualShift), of a code acc
// Interface:  acc, bias, shifts in one cycle; residual 3 cycles later; code 7 cycles later; lo, hi and flags are held;
//             next_code_o is code_o a cycle early, combinational
// Latency:    7 cycles, constant.   Throughput: 1 code per cycle (II = 1).
// Reset:      none, data only
// Reference:  model/graph/fixed_point.py, requantize()
`default_nettype none
module requantize (
    input  wire logic               clk_i,
    input  wire logic signed [31:0] acc_i,
    input  wire logic signed [31:0] bias_i,
    input  wire logic        [ 4:0] shift_i,
    input  wire logic        [ 4:0] residual_shift_i,
    input  wire logic signed [ 8:0] residual_i,
    input  wire logic signed [ 8:0] lo_i,
    input  wire logic signed [ 8:0] hi_i,
    input  wire logic               half_even_i,
    input  wire logic               is_product_i,
    output logic             [ 7:0] next_code_o,
    output logic             [ 7:0] code_o
);
  logic signed [31:0] biased_q, rounded_q, rounded_q2, rounded_q3, residual, sum_q, shifted_q;
  logic [31:0] half;
  logic was_half, was_half_q;
  logic [4:0] shift_q, shift_q2, shift_q3, shift_q4, shift_q5;

  // The residual's factor is a code or a power of two, of which the multiplier takes the lower sixteen.
  logic signed [8:0] factor_q, factor_q2;  // a code, or the power's exponent
  logic signed [16:0] factor_q3;
  logic signed [25:0] product_q4;
  logic is_high_q3, is_high_q4;

  assign residual = is_high_q4 ? 32'(product_q4) <<< 16 : 32'(product_q4);
  assign half = (32'd1 << shift_q) >> 1;  // 0 when the shift is 0
  // With `half` added a half is a multiple of the step.
  assign was_half = half_even_i && shift_q5 != '0 && (sum_q & ~(32'hFFFF_FFFF << shift_q5)) == '0;

  always_comb begin
    if (shifted_q <= 32'(lo_i)) next_code_o = lo_i[7:0];  // a half at lo stays there
    else if (shifted_q > 32'(hi_i)) next_code_o = hi_i[7:0];
    else next_code_o = {shifted_q[7:1], shifted_q[0] && !was_half_q};
  end

  always_ff @(posedge clk_i) begin
    biased_q <= (is_product_i ? 32'sd0 : acc_i) + bias_i;
    rounded_q <= biased_q + half;
    rounded_q2 <= rounded_q;
    rounded_q3 <= rounded_q2;
    factor_q <= is_product_i ? acc_i[8:0] : 9'(residual_shift_i);
    factor_q2 <= factor_q;
    factor_q3 <= is_product_i ? 17'(factor_q2) : 17'sd1 <<< factor_q2[3:0];
    is_high_q3 <= !is_product_i && factor_q2[4];
    product_q4 <= residual_i * factor_q3;
    is_high_q4 <= is_high_q3;
    sum_q <= rounded_q3 + residual;
    shifted_q <= sum_q >>> shift_q5;
    was_half_q <= was_half;
    code_o <= next_code_o;
  end

  always_ff @(posedge clk_i) begin
    shift_q <= shift_i;
    shift_q2 <= shift_q;
    shift_q3 <= shift_q2;
    shift_q4 <= shift_q3;
    shift_q5 <= shift_q4;
  end
endmodule
`default_nettype wire
