// The descriptor a cycle ago, and what docs/program.md demands of it, in numbers that hold every product.
logic f_started_q, f_final_q, f_passes;
logic [program_pkg::DESCRIPTOR_BITS-1:0] f_desc_q;
program_pkg::move_t f_move;
program_pkg::weights_t f_weights;
program_pkg::exec_t f_exec;
logic f_is_move, f_is_weights, f_is_exec, f_has_space;
logic [31:0] f_words, f_sub_tiles;
logic f_opcode_ok, f_space_ok, f_move_ok, f_weights_ok, f_counts_ok, f_banks_ok, f_flags_ok, f_rows_ok, f_cycles_ok;

initial f_started_q = 1'b0;
always_ff @(posedge clk_i) begin
  f_started_q <= 1'b1;
  f_final_q <= final_i;
  f_desc_q <= desc_i;
end
assign f_move = f_desc_q;
assign f_weights = f_desc_q;
assign f_exec = f_desc_q;
assign f_is_move = f_move.opcode == program_pkg::OP_LOAD || f_move.opcode == program_pkg::OP_STORE;
assign f_is_weights = f_move.opcode == program_pkg::OP_LOAD_WEIGHTS;
assign f_is_exec = f_move.opcode == program_pkg::OP_EXEC;
assign f_has_space = f_is_move || f_is_weights;
assign f_sub_tiles = 32'(f_exec.sub_tiles);
assign f_words = 32'(f_exec.group_lanes) * f_sub_tiles * (f_exec.has_residual && !f_exec.res_fast ? 32'd2 : 32'd1);

always_comb begin
  f_opcode_ok = f_move.opcode <= 8'd4 && (f_move.opcode == 8'd0) == f_final_q;
  f_space_ok = f_move.space <= 4'd3 && f_move.offset % 32'(PI) == 32'd0 &&
      (f_move.opcode != program_pkg::OP_STORE || f_move.space >= 4'd2);
  f_move_ok = f_move.segment_stride % 32'(PI) == 32'd0 && f_move.segment_words != '0 && f_move.segments != '0 &&
      f_move.row_words != '0 && 32'(f_move.bank) < 32'(Banks) && 32'(f_move.row_bank) < 32'(Banks);
  f_weights_ok = f_weights.beats != '0 && f_weights.encoding <= 3'd6 &&
      (f_weights.encoding == 3'd0 || f_weights.encoding == 3'd4 || f_weights.encoding == 3'd5 || f_weights.pass_lines != '0) &&
      (f_weights.encoding == 3'd6 ? f_weights.lines != '0 : f_weights.lines == '0 && !f_weights.narrow);
  f_counts_ok = f_exec.kernel_h != '0 && f_exec.kernel_w != '0 && f_exec.ci_tiles != '0 && f_exec.out_h != '0 &&
      f_exec.out_w != '0 && f_exec.out_tiles != '0 && f_exec.tap_rows != '0 && f_exec.tap_step != '0 &&
      f_exec.out_step != '0 && f_exec.group_lanes != '0 && 32'(f_exec.group_lanes) <= (f_exec.in_packed ? 32'(PP - PP % 2) : 32'(PP)) &&
      (f_sub_tiles == 32'd1 || f_sub_tiles == 32'(SubTiles)) &&
      (f_exec.skip_weights == '0 || (f_exec.kernel_h >= 8'd2 && f_exec.tap_rows == 5'd1));
  f_banks_ok = 32'(f_exec.in_bank) < 32'(Banks) && 32'(f_exec.pitch_bank) < 32'(Banks) &&
      32'(f_exec.in_row_bank) < 32'(Banks) && 32'(f_exec.tap_row_bank) < 32'(Banks) &&
      32'(f_exec.out_bank) < 32'(Banks) && 32'(f_exec.out_row_bank) < 32'(Banks) &&
      32'(f_exec.res_bank) < 32'(Banks) && 32'(f_exec.res_row_bank) < 32'(Banks);
  f_flags_ok = (f_exec.has_table || f_exec.table_ == '0) && (!f_exec.res_still || f_exec.has_residual) &&
      (!f_exec.is_product || (f_exec.is_max && f_exec.has_residual && !f_exec.in_packed && !f_exec.out_packed &&
      !f_exec.res_packed)) &&
      (!f_exec.hold_weights || (!f_exec.is_max && f_exec.ci_tiles == 12'd1 && f_exec.skip_weights == '0));
  f_rows_ok = !f_exec.out_row_line[15] && (!f_exec.has_residual || f_exec.res_still || !f_exec.res_row_line[15]);
  f_cycles_ok = 32'(f_exec.group_cycles) >= f_words + 32'(f_exec.skip_weights);
end
assign f_passes = !bad_opcode_o && !bad_field_o;

always_comb
  if (f_started_q) begin
    opcodes: assert (bad_opcode_o == !f_opcode_ok);
    if (f_passes) begin
      spaces: assert (!f_has_space || f_space_ok);
      moves: assert (!f_is_move || f_move_ok);
      loads: assert (!f_is_weights || f_weights_ok);
      counts: assert (!f_is_exec || f_counts_ok);
      banks: assert (!f_is_exec || f_banks_ok);
      flags: assert (!f_is_exec || f_flags_ok);
      rows: assert (!f_is_exec || f_rows_ok);
      group: assert (!f_is_exec || f_cycles_ok);
      passes_exec: cover (f_is_exec && f_exec.skip_weights != '0 && f_exec.has_residual && f_exec.sub_tiles != 3'd1);
      passes_store: cover (f_move.opcode == program_pkg::OP_STORE && f_move.bank == 4'(Banks - 1));
      passes_weights: cover (f_is_weights && f_weights.encoding == 3'd6 && f_weights.narrow);
      passes_end: cover (f_final_q);
    end
    nothing_else: assert (!bad_field_o || !(f_is_exec ? f_counts_ok && f_banks_ok && f_flags_ok && f_rows_ok && f_cycles_ok :
        f_is_weights ? f_space_ok && f_weights_ok : !f_is_move || (f_space_ok && f_move_ok)));
  end
