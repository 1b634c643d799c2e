// placed_product: a product of placed operands is the sum of the products, each at its place.
// Function:   Upper: the upper bits of a code, or the whole of the odd one of two narrow codes; the rest is any value
// Interface:  a multiplier of mac_pair, driven with operands as mac_array makes them
// Latency:    1 cycle
// Reset:      none
// Reference:  hls/datapath.py
`default_nettype none
module placed_product #(
    parameter bit IsNarrow = 0,
    parameter int Upper = 0
) (
    input wire logic             clk_i,
    input wire logic signed [7:0] w0_i,
    input wire logic signed [7:0] w1_i,
    input wire logic        [3:0] lower_i,
    input wire logic signed [4:0] even_i
);
  localparam int ActBits = datapath_pkg::ACT_BITS;
  localparam int WeightBits = datapath_pkg::WEIGHT_BITS;
  localparam int ProductBits = datapath_pkg::PRODUCT_BITS;
  localparam int Wide = datapath_pkg::WIDE_SPACING;
  localparam int Narrow = datapath_pkg::NARROW_SPACING;

  logic signed [ActBits-1:0] act;
  logic signed [WeightBits-1:0] weight;
  logic signed [ProductBits-1:0] placed;
  (* keep *) logic signed [ProductBits-1:0] product_q;  // a probe of the multiplier
  logic started_q;
  initial started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  mac_pair #(.PI(2)) u_pair (
      .clk_i,
      .packed_i(IsNarrow), .is_max_i(1'b0),
      .act_i({ActBits'(0), act}), .weight_i({WeightBits'(0), weight}), .candidate_i('0),
      .sum0_o(), .sum1_o()
  );

  if (IsNarrow) begin : gen_narrow
    logic signed [4:0] odd;
    logic signed [3:0] n0, n1;
    logic signed [8:0] even0_q, even1_q, odd0_q, odd1_q;
    assign odd = 5'(Upper);
    assign {n1, n0} = {w1_i[3:0], w0_i[3:0]};
    assign act = (ActBits'(odd) <<< Narrow) + ActBits'(even_i);
    assign weight = (WeightBits'(n1) <<< 2 * Narrow) + WeightBits'(n0);
    always_comb assume (even_i >= -5'sd8);
    always_ff @(posedge clk_i) begin
      even0_q <= even_i * n0;
      even1_q <= even_i * n1;
      odd0_q <= odd * n0;
      odd1_q <= odd * n1;
    end
    assign placed = (ProductBits'(odd1_q) <<< 3 * Narrow) + (ProductBits'(even1_q) <<< 2 * Narrow) +
        (ProductBits'(odd0_q) <<< Narrow) + ProductBits'(even0_q);
  end else begin : gen_wide
    logic signed [8:0] code;
    logic signed [17:0] p0_q, p1_q;
    assign code = {5'(Upper), lower_i};
    assign act = ActBits'(code);
    assign weight = (WeightBits'(w1_i) <<< Wide) + WeightBits'(w0_i);
    always_comb assume (w0_i != -8'sd128 && w1_i != -8'sd128);  // which is no weight
    always_ff @(posedge clk_i) begin
      p0_q <= code * w0_i;
      p1_q <= code * w1_i;
    end
    assign placed = (ProductBits'(p1_q) <<< Wide) + ProductBits'(p0_q);
  end

  always_comb
    if (started_q) begin
      product: assert (product_q == placed);
      products: cover (product_q < 0);
    end
endmodule
`default_nettype wire
