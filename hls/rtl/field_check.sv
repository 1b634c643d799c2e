// field_check: is a descriptor one that the engine can execute?
// Function:   opcode known, END last and only last; counts, banks, alignment, spaces, flags and single steps possible
// Interface:  descriptor in; bad_opcode_o, bad_field_o from registers
// Latency:    1 cycle.   Throughput: 1 descriptor per cycle.
// Reset:      none
// Reference:  hls/checks.py; docs/program.md lists the checks. What takes products, reach_check.sv looks at
`default_nettype none
module field_check #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int PP = 6,
    parameter int Banks = 7
) (
    input  wire logic         clk_i,
    input  wire logic [program_pkg::DESCRIPTOR_BITS-1:0] desc_i,
    input  wire logic         final_i,      // the program's last descriptor
    output logic              bad_opcode_o,
    output logic              bad_field_o
);
  localparam int WordLog = $clog2(PI);
  localparam int SubTiles = PO / PI;

  program_pkg::move_t move;
  program_pkg::weights_t weights;
  program_pkg::exec_t exec;
  assign move = desc_i;
  assign weights = desc_i;
  assign exec = desc_i;
  logic unused_bits;
  assign unused_bits = &{1'b0, move, weights, exec};  // not everything is checked here

  logic sparse, in_passes, bad_space, bad_move, bad_weights, bad_exec, bad_exec_bank, bad_flags, bad_step, short_q, bad_q;
  logic [6:0] words;  // written or read a group: at most 15 lanes * 4 sub-tiles * 2

  // LOAD, LOAD_WEIGHTS and STORE have space and offset at the same place. A STORE never touches
  // what the host gave.
  assign bad_space = move.space > program_pkg::SPACE_SCRATCH ||
      (move.opcode == program_pkg::OP_STORE && move.space < program_pkg::SPACE_OUTPUT) ||
      move.offset[WordLog-1:0] != '0;
  assign bad_move = move.segment_stride[WordLog-1:0] != '0 || move.segment_words == '0 ||
      move.segments == '0 || move.row_words == '0 ||
      move.bank >= 4'(Banks) || move.row_bank >= 4'(Banks);
  assign bad_weights = weights.beats == '0 || weights.encoding > program_pkg::ENCODING_SPARSE ||
      (in_passes && weights.pass_lines == '0) || (weights.lines != '0) != sparse || (weights.narrow && !sparse);
  assign sparse = weights.encoding == program_pkg::ENCODING_SPARSE;
  assign in_passes = sparse || (weights.encoding != program_pkg::ENCODING_COLUMNS &&
      weights.encoding < program_pkg::ENCODING_CODEBOOK);

  assign words = (exec.sub_tiles == 3'd1 ? 7'(exec.group_lanes) : 7'(exec.group_lanes) * 7'(SubTiles)) <<
      (exec.has_residual && !exec.res_fast);
  assign bad_exec = exec.group_lanes == '0 || exec.group_lanes > 4'(exec.in_packed ? PP / 2 * 2 : PP) ||
      (exec.sub_tiles != 3'd1 && exec.sub_tiles != 3'(SubTiles)) ||
      exec.tap_rows == '0 || exec.tap_step == '0 || exec.out_step == '0 ||
      (exec.skip_weights != '0 && exec.tap_rows != 5'd1) ||
      exec.kernel_h <= 8'(exec.skip_weights != '0) || exec.kernel_w == '0 || exec.ci_tiles == '0 ||
      exec.out_h == '0 || exec.out_w == '0 || exec.out_tiles == '0;
  assign bad_exec_bank = exec.in_bank >= 4'(Banks) || exec.pitch_bank >= 4'(Banks) ||
      exec.in_row_bank >= 4'(Banks) || exec.tap_row_bank >= 4'(Banks) ||
      exec.out_bank >= 4'(Banks) || exec.out_row_bank >= 4'(Banks) ||
      exec.res_bank >= 4'(Banks) || exec.res_row_bank >= 4'(Banks);

  assign bad_flags = (exec.table_ != '0 && !exec.has_table) ||
      (exec.is_product && !(exec.is_max && exec.has_residual)) ||
      (exec.is_product && (exec.in_packed || exec.out_packed || exec.res_packed)) ||
      (exec.res_still && !exec.has_residual) ||
      (exec.hold_weights && (exec.is_max || exec.ci_tiles != 12'd1 || exec.skip_weights != '0));

  // A row never comes before the one above it.
  assign bad_step = $signed(exec.out_row_line) < 0 ||
      (exec.has_residual && !exec.res_still && $signed(exec.res_row_line) < 0);

  assign bad_field_o = bad_q || short_q;

  always_ff @(posedge clk_i) begin
    bad_opcode_o <= move.opcode > program_pkg::OP_STORE || (move.opcode == program_pkg::OP_END) != final_i;
    short_q <= move.opcode == program_pkg::OP_EXEC && 17'(exec.group_cycles) < 17'(words) + 17'(exec.skip_weights);
    unique case (move.opcode)
      program_pkg::OP_LOAD, program_pkg::OP_STORE: bad_q <= bad_space || bad_move;
      program_pkg::OP_LOAD_WEIGHTS:   bad_q <= bad_space || bad_weights;
      program_pkg::OP_EXEC:           bad_q <= bad_exec || bad_exec_bank || bad_flags || bad_step;
      default:           bad_q <= 1'b0;
    endcase
  end
endmodule
`default_nettype wire
