// AXI4-Lite. The manager's side is assumed: an offer stays as it is until it is taken (AMBA AXI, A3.2.1). Ours is asserted.
logic f_started_q, f_settled_q, f_reset_q, f_b_was_owed_q;
logic f_aw_waits_q, f_w_waits_q, f_ar_waits_q, f_b_waits_q, f_r_waits_q;
logic [15:0] f_awaddr_q, f_araddr_q;
logic [35:0] f_w_q;
logic [33:0] f_r_q;
logic f_aw, f_w, f_ar, f_b, f_r;
logic f_write_owed_q, f_read_owed_q;
logic [1:0] f_write_cycles_q, f_read_cycles_q;

initial assume (!rst_ni);
initial {f_started_q, f_settled_q} = 2'b00;
assign f_aw = s_axi_control_awvalid && s_axi_control_awready;
assign f_w = s_axi_control_wvalid && s_axi_control_wready;
assign f_ar = s_axi_control_arvalid && s_axi_control_arready;
assign f_b = s_axi_control_bvalid && s_axi_control_bready;
assign f_r = s_axi_control_rvalid && s_axi_control_rready;

always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  f_settled_q <= f_started_q;  // what was taken before the reset is written
  f_b_was_owed_q <= f_write_owed_q;
  f_reset_q <= !rst_ni;
  f_aw_waits_q <= rst_ni && s_axi_control_awvalid && !f_aw;
  f_w_waits_q <= rst_ni && s_axi_control_wvalid && !f_w;
  f_ar_waits_q <= rst_ni && s_axi_control_arvalid && !f_ar;
  f_b_waits_q <= rst_ni && s_axi_control_bvalid && !f_b;
  f_r_waits_q <= rst_ni && s_axi_control_rvalid && !f_r;
  f_awaddr_q <= s_axi_control_awaddr;
  f_araddr_q <= s_axi_control_araddr;
  f_w_q <= {s_axi_control_wdata, s_axi_control_wstrb};
  f_r_q <= {s_axi_control_rdata, s_axi_control_rresp};
  f_write_owed_q <= rst_ni && (f_aw || (f_write_owed_q && !f_b));
  f_read_owed_q <= rst_ni && (f_ar || (f_read_owed_q && !f_r));
  f_write_cycles_q <= !rst_ni || f_aw || s_axi_control_bvalid || !(s_axi_control_awvalid && s_axi_control_wvalid) ?
      2'd0 : f_write_cycles_q + 2'd1;
  f_read_cycles_q <= !rst_ni || f_ar || s_axi_control_rvalid || !s_axi_control_arvalid ? 2'd0 : f_read_cycles_q + 2'd1;
end

always_comb
  if (f_started_q) begin
    if (f_aw_waits_q) assume (s_axi_control_awvalid && s_axi_control_awaddr == f_awaddr_q);
    if (f_w_waits_q) assume (s_axi_control_wvalid && {s_axi_control_wdata, s_axi_control_wstrb} == f_w_q);
    if (f_ar_waits_q) assume (s_axi_control_arvalid && s_axi_control_araddr == f_araddr_q);

    b_stable: assert (!f_b_waits_q || (s_axi_control_bvalid && s_axi_control_bresp == 2'b00));
    r_stable: assert (!f_r_waits_q || (s_axi_control_rvalid && {s_axi_control_rdata, s_axi_control_rresp} == f_r_q));
    write_together: assert (f_aw == f_w && s_axi_control_awready == f_aw);
    write_answered: assert (s_axi_control_bvalid == f_write_owed_q && !(f_aw && f_write_owed_q));
    read_answered: assert (s_axi_control_rvalid == f_read_owed_q && !(f_ar && f_read_owed_q));
    okay: assert (s_axi_control_bresp == 2'b00 && s_axi_control_rresp == 2'b00);
    write_prompt: assert (f_write_cycles_q <= 2'd1);
    read_prompt: assert (f_read_cycles_q <= 2'd1);
    quiet: assert (!f_reset_q || !(s_axi_control_bvalid || s_axi_control_rvalid || f_aw || f_ar || start_o || abort_o || irq_o));
    inv_taken: assert ((!write_q || f_aw) && (!read_q || f_ar));
    inv_cycles: assert ((f_write_cycles_q == 2'd0 || write_q) && (f_read_cycles_q == 2'd0 || read_q));

    waits: cover (f_b_waits_q && f_r_waits_q && s_axi_control_awvalid && s_axi_control_arvalid);
    reset_amid: cover (f_settled_q && f_reset_q && f_b_was_owed_q && s_axi_control_awvalid);
  end

// One argument is followed: what was written, byte by byte, is what the engine sees and what is read back.
(* anyconst *) logic [3:0] f_choice;
logic [15:0] f_offset;
logic [31:0] f_seen, f_value_q, f_read_q, f_width;
logic [15:0] f_read_offset_q;
logic f_known_q, f_start_q, f_abort_q, f_done_q, f_was_read_q, f_is_known;

always_comb begin
  f_width = '1;
  unique case (f_choice)
    4'd0: {f_offset, f_seen} = {register_pkg::REG_PROGRAM_LO, program_o[31:0]};
    4'd1: {f_offset, f_seen} = {register_pkg::REG_WEIGHTS_LO, space_base_o[31:0]};
    4'd2: {f_offset, f_seen} = {register_pkg::REG_INPUT_LO, space_base_o[71:40]};
    4'd3: {f_offset, f_seen} = {register_pkg::REG_OUTPUT_LO, space_base_o[111:80]};
    4'd4: {f_offset, f_seen} = {register_pkg::REG_SCRATCH_LO, space_base_o[151:120]};
    4'd5: {f_offset, f_seen} = {register_pkg::REG_PROFILE_LO, profile_o[31:0]};
    4'd6: {f_offset, f_seen} = {register_pkg::REG_INPUTS, inputs_o};
    4'd7: {f_offset, f_seen} = {register_pkg::REG_WEIGHTS_BYTES, space_bytes_o[31:0]};
    4'd8: {f_offset, f_seen} = {register_pkg::REG_INPUT_BYTES, space_bytes_o[63:32]};
    4'd9: {f_offset, f_seen} = {register_pkg::REG_OUTPUT_BYTES, space_bytes_o[95:64]};
    4'd10: {f_offset, f_seen} = {register_pkg::REG_SCRATCH_BYTES, space_bytes_o[127:96]};
    4'd11: {f_width, f_offset, f_seen} = {32'hFF, register_pkg::REG_PROGRAM_HI, 24'd0, program_o[39:32]};
    4'd12: {f_width, f_offset, f_seen} = {32'hFF, register_pkg::REG_WEIGHTS_HI, 24'd0, space_base_o[39:32]};
    4'd13: {f_width, f_offset, f_seen} = {32'hFF, register_pkg::REG_INPUT_HI, 24'd0, space_base_o[79:72]};
    4'd14: {f_width, f_offset, f_seen} = {32'hFF, register_pkg::REG_OUTPUT_HI, 24'd0, space_base_o[119:112]};
    default: {f_width, f_offset, f_seen} = {32'h1, register_pkg::REG_FLAGS, 31'd0, resident_o};
  endcase
end

always_ff @(posedge clk_i) begin
  if (!f_settled_q) f_value_q <= f_seen;
  else if (f_aw && s_axi_control_awaddr[15:2] == f_offset[15:2])
    for (int b = 0; b < 4; b++)
      if (s_axi_control_wstrb[b]) f_value_q[8*b+:8] <= s_axi_control_wdata[8*b+:8] & f_width[8*b+:8];
  f_was_read_q <= rst_ni && f_ar;
  f_read_offset_q <= {s_axi_control_araddr[15:2], 2'b00};
  f_read_q <= f_value_q;
  f_start_q <= rst_ni && f_aw && s_axi_control_awaddr[15:2] == 14'd0 && s_axi_control_wstrb[0] && s_axi_control_wdata[0];
  f_abort_q <= rst_ni && f_aw && s_axi_control_awaddr[15:2] == 14'd0 && s_axi_control_wstrb[2] && s_axi_control_wdata[16];
  f_done_q <= rst_ni && (done_i || (f_done_q && !(f_ar && s_axi_control_araddr[15:2] == 14'd0)));
end

always_comb
  if (f_settled_q) begin
    written: assert (f_seen == f_value_q);
    read_back: assert (!(f_was_read_q && f_read_offset_q == f_offset) || s_axi_control_rdata == f_read_q);
    unknown: assert (!(f_was_read_q && f_read_offset_q > register_pkg::REG_EXEC_INDEX) || s_axi_control_rdata == '0);
    starts: assert (start_o == f_start_q && abort_o == f_abort_q);
    done_kept: assert (done_q == f_done_q);
    changed: cover (f_was_read_q && f_read_offset_q == f_offset && f_value_q == 32'h1);
  end
