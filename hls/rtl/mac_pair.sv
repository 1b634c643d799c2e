// mac_pair: dot products of one pixel with two output channels, two 8-bit products a multiplier.
// Function:   sum0 = sum(act * w0), sum1 = sum(act * w1) over PI lanes, weight_i = (w1 << 17) + w0
// Interface:  registered operands in, sums out; act signed 9 bit, weights within +-127
// Latency:    4 cycles, constant.   Throughput: 1 pair of sums per cycle (II = 1).
// Reset:      none, data only
// Reference:  model/graph/nodes.py, Conv2d; exactness of the packing: rtl_tb/mac_array
`default_nettype none
module mac_pair #(
    parameter int PI = 8
) (
    input  wire logic               clk_i,
    input  wire logic [ 9*PI-1:0]   act_i,
    input  wire logic [25*PI-1:0]   weight_i,
    output logic signed [23:0]      sum0_o,
    output logic signed [23:0]      sum1_o
);
  // A chain of two products keeps the low field exact for either sign: 2 * 255 * 127 < 2**16.
  localparam int Chains = PI / 2;

  logic [18*Chains-1:0] low_all, high_all;

  for (genvar k = 0; k < Chains; k++) begin : gen_chain
    logic signed [8:0] act0, act1;
    logic signed [24:0] weight0, weight1;
    logic signed [33:0] prod0_q, prod1_q;
    logic signed [34:0] chain_q;
    logic signed [17:0] low_q, high_q;

    assign act0 = act_i[9*(2*k)+:9];
    assign act1 = act_i[9*(2*k+1)+:9];
    assign weight0 = weight_i[25*(2*k)+:25];
    assign weight1 = weight_i[25*(2*k+1)+:25];

    always_ff @(posedge clk_i) begin
      prod0_q <= act0 * weight0;
      prod1_q <= act1 * weight1;
      chain_q <= 35'(prod0_q) + 35'(prod1_q);
      // The high field was lowered by one wherever the low one is negative.
      low_q <= 18'($signed(chain_q[16:0]));
      high_q <= $signed(chain_q[34:17]) + $signed({17'd0, chain_q[16]});
    end
    assign low_all[18*k+:18] = low_q;
    assign high_all[18*k+:18] = high_q;
  end

  logic signed [23:0] sum0_d, sum1_d;
  always_comb begin
    sum0_d = '0;
    sum1_d = '0;
    for (int k = 0; k < Chains; k++) begin
      sum0_d = sum0_d + 24'($signed(low_all[18*k+:18]));
      sum1_d = sum1_d + 24'($signed(high_all[18*k+:18]));
    end
  end
  always_ff @(posedge clk_i) begin
    sum0_o <= sum0_d;
    sum1_o <= sum1_d;
  end
endmodule
`default_nettype wire
