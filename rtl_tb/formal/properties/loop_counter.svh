// The number of the present step, counted from 1; the count is held while the loop runs.
logic f_running_q;
logic [Width-1:0] f_step_q, f_count_q;
initial f_running_q = 1'b0;
always_comb begin
  if (restart_i) assume (count_i != '0);
  if (f_running_q && !restart_i) assume (count_i == f_count_q);
end
always_ff @(posedge clk_i) begin
  if (restart_i) begin
    f_running_q <= 1'b1;
    f_step_q <= Width'(1);
    f_count_q <= count_i;
  end else if (step_i) f_step_q <= f_step_q == f_count_q ? Width'(1) : f_step_q + Width'(1);
end
always_comb
  if (f_running_q) begin
    last: assert (last_o == (f_step_q == f_count_q));
    inv_left: assert (left_q == f_count_q - f_step_q + Width'(1) && f_step_q != '0 && f_step_q <= f_count_q);
    again: cover (f_count_q == Width'(3) && last_o && step_i);
    one: cover (f_count_q == Width'(1) && step_i);
  end
