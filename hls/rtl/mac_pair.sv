// mac_pair: dot products of one pixel with two output channels (8 bit), or of two pixels with two (packed 4 bit).
// Function:   8 bit: sum0 = sum(act * w0), sum1 = sum(act * w1); weight_i = (w1 << 17) + w0
//             packed: sum0 = (sum(a1 * w0) << 12) + sum(a0 * w0), sum1 the same with w1;
//             act_i = (a1 << 10) + a0, weight_i = (w1 << 20) + w0
//             max: sum0, sum1 = the two candidates
// Interface:  registered operands in, sums out; modes are held during a descriptor
// Latency:    4 cycles, constant.   Throughput: 1 pair of sums per cycle (II = 1).
// Reset:      none, data only
// Reference:  model/graph/nodes.py, Conv2d; exactness of the packing: rtl_tb/mac_array
`default_nettype none
module mac_pair #(
    parameter int PI = 8
) (
    input  wire logic             clk_i,
    input  wire logic             packed_i,
    input  wire logic             is_max_i,
    input  wire logic [15*PI-1:0] act_i,
    input  wire logic [25*PI-1:0] weight_i,
    input  wire logic [     17:0] candidate_i,  // 2 signed codes, in the cycle of the operands
    output logic signed [23:0]    sum0_o,
    output logic signed [23:0]    sum1_o
);
  // Chains of two products: 8-bit ones stay below 2**16 in the low field for either sign of the codes,
  // 4-bit ones below 2**8 in each of their four fields.
  localparam int Chains = PI / 2;

  logic [24*Chains-1:0] term0, term1;
  logic [17:0] candidate_q, candidate_q2;
  always_ff @(posedge clk_i) begin
    candidate_q  <= candidate_i;
    candidate_q2 <= candidate_q;
  end

  for (genvar k = 0; k < Chains; k++) begin : gen_chain
    logic signed [14:0] act0, act1;
    logic signed [24:0] weight0, weight1;
    logic signed [39:0] prod0_q, prod1_q, chain_q;
    logic [23:0] low, high, term0_q, term1_q;
    logic borrow;

    assign act0 = act_i[15*(2*k)+:15];
    assign act1 = act_i[15*(2*k+1)+:15];
    assign weight0 = weight_i[25*(2*k)+:25];
    assign weight1 = weight_i[25*(2*k+1)+:25];

    // 10-bit fields move to 12 bits, where eight terms fit; a plain copy keeps the value of the pair.
    assign low = packed_i ? {12'($signed(chain_q[19:10])), 12'($signed(chain_q[9:0]))} : 24'($signed(chain_q[16:0]));
    assign high = packed_i ? {12'($signed(chain_q[39:30])), 12'($signed(chain_q[29:20]))}
        : 24'($signed(chain_q[34:17]));
    assign borrow = packed_i ? chain_q[19] : chain_q[16];  // a negative lower part took one from the higher

    always_ff @(posedge clk_i) begin
      prod0_q <= 40'(act0 * weight0);
      prod1_q <= 40'(act1 * weight1);
      chain_q <= prod0_q + prod1_q;
      if (is_max_i) begin
        term0_q <= k == 0 ? 24'($signed(candidate_q2[8:0])) : '0;
        term1_q <= k == 0 ? 24'($signed(candidate_q2[17:9])) : '0;
      end else begin
        term0_q <= low;
        term1_q <= high + 24'(borrow);
      end
    end
    assign term0[24*k+:24] = term0_q;
    assign term1[24*k+:24] = term1_q;
  end

  logic signed [23:0] sum0_d, sum1_d;
  always_comb begin
    sum0_d = '0;
    sum1_d = '0;
    for (int k = 0; k < Chains; k++) begin
      sum0_d = sum0_d + $signed(term0[24*k+:24]);
      sum1_d = sum1_d + $signed(term1[24*k+:24]);
    end
  end
  always_ff @(posedge clk_i) begin
    sum0_o <= sum0_d;
    sum1_o <= sum1_d;
  end
endmodule
`default_nettype wire
