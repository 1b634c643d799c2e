// Two lemmas, which a macro chooses. Products at their places (placed_product.sv) come apart into exact sums, whatever they
// are within their ranges (F_SUMS); a maximum's candidates go through.
logic [2:0] f_age_q;
initial f_age_q = 3'd0;
always_ff @(posedge clk_i) if (f_age_q != 3'd7) f_age_q <= f_age_q + 3'd1;

`ifdef F_SUMS
// The operands' products, of two multipliers a chain: p0 at bit 0, then one a spacing further.
localparam int F_PLACES = `F_NARROW ? 4 : 2;
localparam int F_SPACING = `F_NARROW ? Narrow : Wide;
localparam int F_MOST = `F_NARROW ? 120 : 255 * 127;  // of a product, either sign
(* keep *) logic [ProductBits*Chains-1:0] f_prods0, f_prods1;  // probes of the chains
(* keep *) logic [ChainBits*Chains-1:0] f_chains;
(* anyseq *) logic [17*F_PLACES*Chains-1:0] f_products0, f_products1;
logic signed [SumBits-1:0] f_sum0, f_sum1, f_sum0_q, f_sum1_q;
logic [2*SumBits*Chains-1:0] f_terms;
logic [Chains-1:0] f_chain_ok, f_term_ok, f_range_ok;
always_comb assume (packed_i == (`F_NARROW == 1) && !is_max_i);

for (genvar k = 0; k < Chains; k++) begin : gen_f
  logic signed [ProductBits-1:0] placed0, placed1;
  logic signed [ChainBits-1:0] chain;
  logic signed [17:0] sum_q[F_PLACES];
  logic signed [17:0] sum_q2[F_PLACES];
  logic signed [SumBits-1:0] own0, own1;
  logic [F_PLACES-1:0] in_range;
  for (genvar s = 0; s < F_PLACES; s++) begin : gen_place
    logic signed [16:0] p0, p1;
    assign p0 = f_products0[17*(F_PLACES*k+s)+:17];
    assign p1 = f_products1[17*(F_PLACES*k+s)+:17];
    always_comb assume (32'(p0) <= F_MOST && 32'(p0) >= -F_MOST && 32'(p1) <= F_MOST && 32'(p1) >= -F_MOST);
    always_ff @(posedge clk_i) begin
      sum_q[s] <= 18'(p0) + 18'(p1);
      sum_q2[s] <= sum_q[s];
    end
    assign in_range[s] = 32'(sum_q[s]) <= 2 * F_MOST && 32'(sum_q[s]) >= -2 * F_MOST;
  end
  always_comb begin
    placed0 = '0;
    placed1 = '0;
    chain = '0;
    for (int s = 0; s < F_PLACES; s++) begin
      placed0 = placed0 + (ProductBits'($signed(f_products0[17*(F_PLACES*k+s)+:17])) <<< F_SPACING * s);
      placed1 = placed1 + (ProductBits'($signed(f_products1[17*(F_PLACES*k+s)+:17])) <<< F_SPACING * s);
      chain = chain + (ChainBits'(sum_q[s]) <<< F_SPACING * s);
    end
    assume (f_prods0[ProductBits*k+:ProductBits] == placed0 && f_prods1[ProductBits*k+:ProductBits] == placed1);
  end
  assign f_range_ok[k] = &in_range;
  assign f_chain_ok[k] = f_chains[ChainBits*k+:ChainBits] == chain;
  if (`F_NARROW) begin : gen_pair
    assign own0 = (SumBits'(sum_q2[F_PLACES-3]) <<< FieldBits) + SumBits'(sum_q2[0]);
    assign own1 = (SumBits'(sum_q2[F_PLACES-1]) <<< FieldBits) + SumBits'(sum_q2[F_PLACES-2]);
  end else begin : gen_single
    assign own0 = SumBits'(sum_q2[0]);
    assign own1 = SumBits'(sum_q2[1]);
  end
  assign f_term_ok[k] = term0[SumBits*k+:SumBits] == own0 && term1[SumBits*k+:SumBits] == own1;
  assign f_terms[2*SumBits*k+:SumBits] = own0;
  assign f_terms[2*SumBits*k+SumBits+:SumBits] = own1;
end
always_comb begin
  f_sum0 = '0;
  f_sum1 = '0;
  for (int k = 0; k < Chains; k++) begin
    f_sum0 = f_sum0 + $signed(f_terms[2*SumBits*k+:SumBits]);
    f_sum1 = f_sum1 + $signed(f_terms[2*SumBits*k+SumBits+:SumBits]);
  end
end
always_ff @(posedge clk_i) begin
  f_sum0_q <= f_sum0;
  f_sum1_q <= f_sum1;
end
always_comb begin
  if (f_age_q >= 3'd1) chains: assert (&f_chain_ok && &f_range_ok);
  if (f_age_q >= 3'd2) terms: assert (&f_term_ok);
  if (f_age_q >= 3'd3) begin
    sums: assert (sum0_o == f_sum0_q && sum1_o == f_sum1_q);
    negative: cover (sum0_o < 0 && sum1_o > 0);
  end
end
`else
(* keep *) logic [2*CodeBits-1:0] f_first_q, f_second_q, f_third_q, f_fourth_q;
always_comb assume (is_max_i);
always_ff @(posedge clk_i)
  {f_fourth_q, f_third_q, f_second_q, f_first_q} <= {f_third_q, f_second_q, f_first_q, candidate_i};
always_comb
  if (f_age_q >= 3'd4) begin
    candidates: assert (sum0_o == SumBits'($signed(f_fourth_q[0+:CodeBits])) &&
        sum1_o == SumBits'($signed(f_fourth_q[CodeBits+:CodeBits])));
    least: cover (sum0_o == -SumBits'(256));
  end
`endif
