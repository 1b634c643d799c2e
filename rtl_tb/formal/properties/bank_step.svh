always_comb
  if (bank_i < 4'(Banks) && step_i < 4'(Banks)) begin
    exact: assert (6'(bank_i) + 6'(step_i) == 6'(bank_o) + (wraps_o ? 6'(Banks) : 6'd0));
    below: assert (bank_o < 4'(Banks));
    wraps: cover (wraps_o && bank_o == 4'(Banks - 2));
  end
