// field_check: is a descriptor one that the engine can execute?
// Function:   opcode known, END last and only last; counts, banks, alignment, spaces and single steps possible
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
    input  wire logic [511:0] desc_i,
    input  wire logic         final_i,      // the program's last descriptor
    output logic              bad_opcode_o,
    output logic              bad_field_o
);
  localparam int WordLog = $clog2(PI);
  localparam int SubTiles = PO / PI;

  logic [7:0] opcode;
  logic bad_space, bad_move, bad_weights, bad_exec, bad_exec_bank, bad_step;
  logic [3:0] lanes, space, stride_w;
  logic [2:0] sub_tiles, encoding;
  logic [15:0] group_cycles, skip_weights;
  logic short_q, bad_q;
  logic [6:0] words;  // written or read a group: at most 15 lanes * 4 sub-tiles * 2

  assign opcode = desc_i[program_pkg::COMMON_OPCODE_LSB+:program_pkg::COMMON_OPCODE_W];

  // LOAD, LOAD_WEIGHTS and STORE have space and offset at the same place. A STORE never touches
  // what the host gave.
  assign space = desc_i[program_pkg::MOVE_SPACE_LSB+:program_pkg::MOVE_SPACE_W];
  assign bad_space = space > program_pkg::SPACE_SCRATCH ||
      (opcode == program_pkg::OP_STORE && space < program_pkg::SPACE_OUTPUT) ||
      desc_i[program_pkg::MOVE_OFFSET_LSB+:WordLog] != '0;
  assign bad_move = desc_i[program_pkg::MOVE_SEGMENT_STRIDE_LSB+:WordLog] != '0 ||
      desc_i[program_pkg::MOVE_SEGMENT_WORDS_LSB+:program_pkg::MOVE_SEGMENT_WORDS_W] == '0 ||
      desc_i[program_pkg::MOVE_SEGMENTS_LSB+:program_pkg::MOVE_SEGMENTS_W] == '0 ||
      desc_i[program_pkg::MOVE_ROW_WORDS_LSB+:program_pkg::MOVE_ROW_WORDS_W] == '0 ||
      desc_i[program_pkg::MOVE_BANK_LSB+:program_pkg::MOVE_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::MOVE_ROW_BANK_LSB+:program_pkg::MOVE_ROW_BANK_W] >= 4'(Banks);
  assign encoding = desc_i[program_pkg::LW_ENCODING_LSB+:program_pkg::LW_ENCODING_W];
  assign bad_weights = desc_i[program_pkg::LW_BEATS_LSB+:program_pkg::LW_BEATS_W] == '0 ||
      encoding > program_pkg::ENCODING_CODEBOOK ||
      (encoding != program_pkg::ENCODING_COLUMNS && encoding != program_pkg::ENCODING_CODEBOOK &&
       desc_i[program_pkg::LW_PASS_LINES_LSB+:program_pkg::LW_PASS_LINES_W] == '0);

  assign lanes = desc_i[program_pkg::EXEC_GROUP_LANES_LSB+:program_pkg::EXEC_GROUP_LANES_W];
  assign sub_tiles = desc_i[program_pkg::EXEC_SUB_TILES_LSB+:program_pkg::EXEC_SUB_TILES_W];
  assign group_cycles = desc_i[program_pkg::EXEC_GROUP_CYCLES_LSB+:16];
  assign skip_weights = 16'(desc_i[program_pkg::EXEC_SKIP_WEIGHTS_LSB+:program_pkg::EXEC_SKIP_WEIGHTS_W]);
  assign words = (sub_tiles == 3'd1 ? 7'(lanes) : 7'(lanes) * 7'(SubTiles)) <<
      (desc_i[program_pkg::EXEC_HAS_RESIDUAL_LSB] && !desc_i[program_pkg::EXEC_RES_FAST_LSB]);
  assign bad_exec = lanes == '0 || lanes > 4'(PP) ||
      (sub_tiles != 3'd1 && sub_tiles != 3'(SubTiles)) ||
      desc_i[program_pkg::EXEC_TAP_STEP_LSB+:program_pkg::EXEC_TAP_STEP_W] == '0 ||
      desc_i[program_pkg::EXEC_KERNEL_H_LSB+:program_pkg::EXEC_KERNEL_H_W] <= 8'(skip_weights != '0) ||
      desc_i[program_pkg::EXEC_KERNEL_W_LSB+:program_pkg::EXEC_KERNEL_W_W] == '0 ||
      desc_i[program_pkg::EXEC_CI_TILES_LSB+:program_pkg::EXEC_CI_TILES_W] == '0 ||
      desc_i[program_pkg::EXEC_OUT_H_LSB+:program_pkg::EXEC_OUT_H_W] == '0 ||
      desc_i[program_pkg::EXEC_OUT_W_LSB+:program_pkg::EXEC_OUT_W_W] == '0 ||
      desc_i[program_pkg::EXEC_OUT_TILES_LSB+:program_pkg::EXEC_OUT_TILES_W] == '0;
  assign bad_exec_bank = desc_i[program_pkg::EXEC_TAP_STEP_LSB+:4] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_IN_BANK_LSB+:program_pkg::EXEC_IN_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_IN_STEP_BANK_LSB+:program_pkg::EXEC_IN_STEP_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_IN_ROW_BANK_LSB+:program_pkg::EXEC_IN_ROW_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_TAP_ROW_BANK_LSB+:program_pkg::EXEC_TAP_ROW_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_SKIP_BANK_LSB+:program_pkg::EXEC_SKIP_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_OUT_BANK_LSB+:program_pkg::EXEC_OUT_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_OUT_ROW_BANK_LSB+:program_pkg::EXEC_OUT_ROW_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_RES_BANK_LSB+:program_pkg::EXEC_RES_BANK_W] >= 4'(Banks) ||
      desc_i[program_pkg::EXEC_RES_ROW_BANK_LSB+:program_pkg::EXEC_RES_ROW_BANK_W] >= 4'(Banks);

  // A column further is as many positions further; a row never comes before the one above it.
  assign stride_w = desc_i[program_pkg::EXEC_STRIDE_W_LSB+:program_pkg::EXEC_STRIDE_W_W];
  assign bad_step =
      desc_i[program_pkg::EXEC_IN_STEP_LINE_LSB+:program_pkg::EXEC_IN_STEP_LINE_W] != 8'(stride_w / 4'(Banks)) ||
      desc_i[program_pkg::EXEC_IN_STEP_BANK_LSB+:program_pkg::EXEC_IN_STEP_BANK_W] != stride_w % 4'(Banks) ||
      desc_i[program_pkg::EXEC_OUT_ROW_LINE_LSB+program_pkg::EXEC_OUT_ROW_LINE_W-1] ||
      (desc_i[program_pkg::EXEC_HAS_RESIDUAL_LSB] &&
       desc_i[program_pkg::EXEC_RES_ROW_LINE_LSB+program_pkg::EXEC_RES_ROW_LINE_W-1]);

  assign bad_field_o = bad_q || short_q;

  always_ff @(posedge clk_i) begin
    bad_opcode_o <= opcode > program_pkg::OP_STORE || (opcode == program_pkg::OP_END) != final_i;
    short_q <= opcode == program_pkg::OP_EXEC && 17'(group_cycles) < 17'(words) + 17'(skip_weights);
    unique case (opcode)
      program_pkg::OP_LOAD, program_pkg::OP_STORE: bad_q <= bad_space || bad_move;
      program_pkg::OP_LOAD_WEIGHTS:   bad_q <= bad_space || bad_weights;
      program_pkg::OP_EXEC:           bad_q <= bad_exec || bad_exec_bank || bad_step;
      default:           bad_q <= 1'b0;
    endcase
  end
endmodule
`default_nettype wire
