// mac_pair: dot products of one pixel with two output channels (8 bit), or of two pixels with two (packed 4 bit).
// Function:   8 bit: sum0 = sum(act * w0), sum1 = sum(act * w1); weight_i = (w1 << WIDE_SPACING) + w0
//             packed: sum0 = (sum(a1 * w0) << FieldBits) + sum(a0 * w0), sum1 the same with w1;
//             act_i = (a1 << NARROW_SPACING) + a0, weight_i = (w1 << 2 * NARROW_SPACING) + w0
//             max: sum0, sum1 = the two candidates
// Interface:  registered operands in, sums out; modes are held during a descriptor
// Latency:    4 cycles, constant.   Throughput: 1 pair of sums per cycle (II = 1).
// Reset:      none, data only
// Reference:  model/graph/nodes.py, Conv2d; every width: hls/datapath.py
`default_nettype none
module mac_pair #(
    parameter int PI = 8,
    parameter int FieldBits = datapath_pkg::PI8_FIELD_BITS,
    parameter int SumBits = datapath_pkg::PI8_SUM_BITS
) (
    input  wire logic             clk_i,
    input  wire logic             packed_i,
    input  wire logic             is_max_i,
    input  wire logic [   datapath_pkg::ACT_BITS*PI-1:0] act_i,
    input  wire logic [datapath_pkg::WEIGHT_BITS*PI-1:0] weight_i,
    input  wire logic [   2*datapath_pkg::CODE_BITS-1:0] candidate_i,  // 2 codes, in the cycle of the operands
    output logic signed [SumBits-1:0]                    sum0_o,
    output logic signed [SumBits-1:0]                    sum1_o
);
  localparam int CodeBits = datapath_pkg::CODE_BITS;
  localparam int ActBits = datapath_pkg::ACT_BITS;
  localparam int WeightBits = datapath_pkg::WEIGHT_BITS;
  localparam int ProductBits = datapath_pkg::PRODUCT_BITS;
  localparam int ChainBits = datapath_pkg::CHAIN_BITS;
  localparam int Wide = datapath_pkg::WIDE_SPACING;
  localparam int Narrow = datapath_pkg::NARROW_SPACING;
  localparam int Chains = PI / 2;  // of two products: what the spacings hold for either sign of the codes

  logic [SumBits*Chains-1:0] term0, term1;
  logic [2*CodeBits-1:0] candidate_q, candidate_q2;
  always_ff @(posedge clk_i) begin
    candidate_q  <= candidate_i;
    candidate_q2 <= candidate_q;
  end

  for (genvar k = 0; k < Chains; k++) begin : gen_chain
    logic signed [ActBits-1:0] act0, act1;
    logic signed [WeightBits-1:0] weight0, weight1;
    logic signed [ProductBits-1:0] prod0_q, prod1_q;
    logic signed [ChainBits-1:0] chain_q;
    logic [SumBits-1:0] low, high, term0_q, term1_q;
    logic borrow;

    assign act0 = act_i[ActBits*(2*k)+:ActBits];
    assign act1 = act_i[ActBits*(2*k+1)+:ActBits];
    assign weight0 = weight_i[WeightBits*(2*k)+:WeightBits];
    assign weight1 = weight_i[WeightBits*(2*k+1)+:WeightBits];

    // Narrow sums move to fields where all terms of an array's cycle fit; a plain copy keeps the value of the pair.
    assign low = packed_i
        ? SumBits'({FieldBits'($signed(chain_q[Narrow+:Narrow])), FieldBits'($signed(chain_q[0+:Narrow]))})
        : SumBits'($signed(chain_q[0+:Wide]));
    assign high = packed_i
        ? SumBits'({FieldBits'($signed(chain_q[3*Narrow+:Narrow])), FieldBits'($signed(chain_q[2*Narrow+:Narrow]))})
        : SumBits'($signed(chain_q[Wide+:Wide]));
    // A negative lower part took one from the higher.
    assign borrow = packed_i ? chain_q[2*Narrow-1] : chain_q[Wide-1];

    always_ff @(posedge clk_i) begin
      prod0_q <= ProductBits'(act0 * weight0);
      prod1_q <= ProductBits'(act1 * weight1);
      chain_q <= ChainBits'(prod0_q) + ChainBits'(prod1_q);
      if (is_max_i) begin
        term0_q <= k == 0 ? SumBits'($signed(candidate_q2[0+:CodeBits])) : '0;
        term1_q <= k == 0 ? SumBits'($signed(candidate_q2[CodeBits+:CodeBits])) : '0;
      end else begin
        term0_q <= low;
        term1_q <= high + SumBits'(borrow);
      end
    end
    assign term0[SumBits*k+:SumBits] = term0_q;
    assign term1[SumBits*k+:SumBits] = term1_q;
  end

  logic signed [SumBits-1:0] sum0_d, sum1_d;
  always_comb begin
    sum0_d = '0;
    sum1_d = '0;
    for (int k = 0; k < Chains; k++) begin
      sum0_d = sum0_d + $signed(term0[SumBits*k+:SumBits]);
      sum1_d = sum1_d + $signed(term1[SumBits*k+:SumBits]);
    end
  end
  always_ff @(posedge clk_i) begin
    sum0_o <= sum0_d;
    sum1_o <= sum1_d;
  end
endmodule
`default_nettype wire
