logic f_started_q;
logic [Width-1:0] f_step_q;
initial f_started_q = 1'b0;
always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  f_step_q <= step_i;
end
always_comb
  if (f_started_q) begin
    split: assert (line_o >= 0 && 32'(line_o) * 32'(Banks) + 32'(bank_o) == 32'(f_step_q));
    below: assert (bank_o < 4'(Banks));
    lines: cover (line_o == 16'sd2 && bank_o == 4'd1);
  end
