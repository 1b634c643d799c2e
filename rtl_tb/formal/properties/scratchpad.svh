// Who has the second port of each bank, and that no cycle of it is refused in vain.
logic f_started_q;
initial f_started_q = 1'b0;
always_ff @(posedge clk_i) f_started_q <= 1'b1;

logic [Banks-1:0] f_result, f_residual, f_load, f_store;
logic [15:0] f_array_lane[Banks];
for (genvar b = 0; b < Banks; b++) begin : gen_formal
  assign f_result[b] = gen_bank[b].result_here;
  assign f_residual[b] = gen_bank[b].residual_here;
  assign f_load[b] = gen_bank[b].load_here;
  assign f_store[b] = gen_bank[b].store_here;
end
