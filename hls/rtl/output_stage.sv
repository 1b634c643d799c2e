// output_stage: drains finished groups, one word of PI channels a slot, and writes codes to the scratchpad.
// Function:   word = requantize(acc, bias, residual), through a table or not, for each pixel and sub-tile in raster order
// Interface:  group and parameter pulses in; residual reads and result writes to the scratchpad out; writes to the tables
// Latency:    9 cycles from a group's arrival to its first write.
// Throughput: 1 word a cycle; 1 in 2 with a residual, unless res_fast says that reads and writes never meet.
// Reset:      synchronous, active low; valid bits only.
// Reference:  hls/functional/run.py
`default_nettype none
module output_stage #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int PP = 6,
    parameter int Banks = 7
) (
    input  wire logic                       clk_i,
    input  wire logic                       rst_ni,
    input  wire logic                       init_i,
    input  wire logic [program_pkg::DESCRIPTOR_BITS-1:0] desc_i,
    // parameters of the next output tile
    input  wire logic                       param_valid_i,
    // A parameter needs 42 of its column's bits.
    // verilator lint_off UNUSEDSIGNAL
    input  wire logic [      8*PI*PO-1:0]   param_i,
    // verilator lint_on UNUSEDSIGNAL
    // finished group
    input  wire logic                       group_valid_i,
    input  wire logic [              3:0]   group_count_i,
    input  wire logic                       group_tile_first_i,
    input  wire logic                       group_final_i,
    input  wire logic [     32*PO*PP-1:0]   group_acc_i,
    // scratchpad
    output logic [ 1:0]                     result_halves_o,  // low, high halves of the bytes to write
    output logic [15:0]                     result_line_o,
    output logic [ 3:0]                     result_bank_o,
    output logic [8*PI-1:0]                 result_data_o,
    output logic                            residual_valid_o,
    output logic [15:0]                     residual_line_o,
    output logic [ 3:0]                     residual_bank_o,
    input  wire logic [           8*PI-1:0] residual_data_i,  // 3 cycles after its read
    // tables
    input  wire logic                       table_valid_i,
    output logic                            table_ready_o,
    input  wire logic [               9:0]  table_line_i,
    input  wire logic [              15:0]  table_data_i,
    output logic                            done_o
);
  localparam int SubTiles = PO / PI;
  localparam int Latency = 8;  // of a register and requantize; a write comes an odd number of cycles after its
                               // residual's read, so that writes fall on the cycles between reads
  localparam int ParamW = 42;  // bias, shift, residual shift

  program_pkg::exec_t exec;
  assign exec = desc_i;
  logic unused_bits;
  assign unused_bits = &{1'b0, exec};  // what other modules look at

  // ---- Parameters: `next` waits for the first group of its tile.
  logic [ParamW*PO-1:0] param_d, param_next_q, param_q;
  for (genvar o = 0; o < PO; o++) begin : gen_param
    assign param_d[ParamW*o+:ParamW] = {
      param_i[8*(o*PI+5)+:5], param_i[8*(o*PI+4)+:5], param_i[8*(o*PI)+:32]
    };
  end
  always_ff @(posedge clk_i) begin
    if (param_valid_i) param_next_q <= param_d;
    if (group_valid_i && group_tile_first_i) param_q <= param_next_q;
  end

  // ---- Slots.
  logic phase_q, slot, sub_end, pixel_end, final_q;
  logic [3:0] pixels_left_q;
  logic [2:0] sub_q;
  logic [32*PO*PP-1:0] acc_q;
  assign slot = pixels_left_q != '0 && !(exec.has_residual && !exec.res_fast && phase_q);
  assign sub_end = sub_q + 3'd1 == exec.sub_tiles;
  assign pixel_end = slot && sub_end;

  always_ff @(posedge clk_i) begin
    if (group_valid_i) begin
      acc_q   <= group_acc_i;
      final_q <= group_final_i;
    end else if (pixel_end) begin
      acc_q <= acc_q >> (32 * PO);
    end
    if (!rst_ni) begin
      phase_q <= 1'b0;
      pixels_left_q <= '0;
      sub_q <= '0;
    end else begin
      phase_q <= !phase_q && !init_i;  // restarts with each EXEC, so equal runs take equal cycles
      if (group_valid_i) pixels_left_q <= group_count_i;
      else if (pixel_end) pixels_left_q <= pixels_left_q - 4'd1;
      if (slot) sub_q <= sub_end ? '0 : sub_q + 3'd1;
    end
  end

  // ---- Positions of results and residuals, a plane further for every sub-tile.
  logic signed [15:0] out_pixel_line, res_pixel_line, out_sub_q, res_sub_q, out_step_line;
  logic [3:0] out_pixel_bank, res_pixel_bank, out_step_bank;
  logic map_end, unused_row_end, unused_res_row_end, unused_res_map_end;
  logic signed [12:0] tiles_left_q;

  // A packed plane takes two words a pixel, so the plane moves on after odd words only: every second tile or
  // every second sub-tile. The step asked for at a map's end is the one after the next map.
  logic single, odd_tile_q, odd;
  logic signed [15:0] out_map_lines, res_map_lines;
  assign single = exec.sub_tiles == 3'd1;
  assign odd = single ? odd_tile_q : sub_q[0];
  logic stays;
  assign stays = init_i || odd_tile_q;
  assign out_map_lines = !single ? 16'($signed(exec.out_plane) * (exec.out_packed ? SubTiles / 2 : SubTiles))
      : exec.out_packed && stays ? 16'sd0 : $signed(exec.out_plane);
  assign res_map_lines = !single ? 16'($signed(exec.res_plane) * (exec.res_packed ? SubTiles / 2 : SubTiles))
      : exec.res_packed && stays ? 16'sd0 : $signed(exec.res_plane);

  step_split #(.Banks(Banks)) u_out_step (
      .clk_i, .step_i(exec.out_step), .line_o(out_step_line), .bank_o(out_step_bank)
  );
  pixel_walker #(
      .Banks(Banks)
  ) u_result (
      .clk_i,
      .init_i,
      .advance_i    (pixel_end),
      .rows_i       (exec.out_h),
      .columns_i    (exec.out_w),
      .origin_line_i($signed(exec.out_line)),
      .origin_bank_i(exec.out_bank),
      .map_lines_i  (out_map_lines),
      .step_line_i  (out_step_line),
      .step_bank_i  (out_step_bank),
      .row_line_i   ($signed(exec.out_row_line)),
      .row_bank_i   (exec.out_row_bank),
      .line_o       (out_pixel_line),
      .bank_o       (out_pixel_bank),
      .row_end_o    (unused_row_end),
      .map_end_o    (map_end)
  );

  pixel_walker #(
      .Banks(Banks)
  ) u_residual (
      .clk_i,
      .init_i,
      .advance_i    (pixel_end),
      .rows_i       (exec.out_h),
      .columns_i    (exec.out_w),
      .origin_line_i($signed(exec.res_line)),
      .origin_bank_i(exec.res_bank),
      .map_lines_i  (res_map_lines),
      .step_line_i  (16'sd0),
      .step_bank_i  (exec.res_still ? 4'd0 : 4'd1),
      .row_line_i   (exec.res_still ? 16'sd0 : $signed(exec.res_row_line)),
      .row_bank_i   (exec.res_still ? 4'd0 : exec.res_row_bank),
      .line_o       (res_pixel_line),
      .bank_o       (res_pixel_bank),
      .row_end_o    (unused_res_row_end),
      .map_end_o    (unused_res_map_end)
  );

  always_ff @(posedge clk_i) begin
    if (init_i || pixel_end) begin
      out_sub_q <= '0;
      res_sub_q <= '0;
    end else if (slot) begin
      if (!exec.out_packed || sub_q[0]) out_sub_q <= out_sub_q + $signed(exec.out_plane);
      if (!exec.res_packed || sub_q[0]) res_sub_q <= res_sub_q + $signed(exec.res_plane);
    end
    if (init_i) odd_tile_q <= 1'b0;
    else if (pixel_end && map_end) odd_tile_q <= !odd_tile_q;
    if (init_i) tiles_left_q <= 13'(exec.out_tiles);
    else if (pixel_end && map_end) tiles_left_q <= tiles_left_q - 13'(exec.sub_tiles);
  end

  // ---- One word through the requantizers.
  logic [Latency-1:0] done_q;
  logic [Latency-2:0] write_q, odd_q;  // the last stage of these is the port's own register
  logic [4*(Latency-1)-1:0] bank_q;
  logic [16*Latency-1:0] line_q;
  logic present;
  logic [1:0] halves;
  assign present = slot && 13'($signed({1'b0, sub_q})) < tiles_left_q;

  always_comb begin
    halves = {odd_q[Latency-2], !odd_q[Latency-2]};
    if (!exec.out_packed) halves = 2'b11;
    if (!write_q[Latency-2]) halves = 2'b00;
  end

  always_ff @(posedge clk_i) begin
    line_q <= {line_q[16*(Latency-1)-1:0], 16'(out_pixel_line + out_sub_q)};
    bank_q <= {bank_q[4*(Latency-2)-1:0], out_pixel_bank};
    if (!rst_ni) begin
      write_q <= '0;
      odd_q   <= '0;
      done_q  <= '0;
      done_o  <= 1'b0;
      result_halves_o <= '0;
      result_bank_o <= '0;
    end else begin
      write_q <= {write_q[Latency-3:0], present};
      odd_q   <= {odd_q[Latency-3:0], odd};
      result_halves_o <= halves;
      result_bank_o <= bank_q[4*(Latency-2)+:4];
      done_q  <= {done_q[Latency-2:0], pixel_end && final_q && pixels_left_q == 4'd1};
      done_o  <= done_q[Latency-1];
    end
  end

  logic [32*PI-1:0] slot_acc, slot_acc_q;
  logic [ParamW*PI-1:0] slot_param, slot_param_q;
  logic [2:0] residual_q;  // the residual read of a slot comes back 4 cycles later
  logic tile_start_q, keeps;  // a residual that stays is read once a tile, and kept
  logic [3:0] keeps_q;
  logic [8*PI-1:0] kept_q;
  assign keeps = exec.res_still && single && !tile_start_q;
  logic [1:0] part_q;      // of its bytes: none, low half, high half, whole
  always_comb begin
    slot_acc   = acc_q[32*PI-1:0];
    slot_param = param_q[ParamW*PI-1:0];
    for (int s = 1; s < SubTiles; s++) begin
      if (sub_q == 3'(s)) begin
        slot_acc   = acc_q[32*PI*s+:32*PI];
        slot_param = param_q[ParamW*PI*s+:ParamW*PI];
      end
    end
  end
  always_ff @(posedge clk_i) begin
    slot_acc_q <= slot_acc;
    slot_param_q <= slot_param;
    residual_q <= {residual_q[1:0], exec.has_residual && slot};
    part_q <= !residual_q[2] ? 2'b00 : !exec.res_packed ? 2'b11 : odd_q[2] ? 2'b10 : 2'b01;
    residual_line_o <= 16'(res_pixel_line + res_sub_q);
    residual_bank_o <= res_pixel_bank;
    keeps_q <= {keeps_q[2:0], keeps};
    if (!keeps_q[3]) kept_q <= residual_data_i;
    if (!rst_ni) residual_valid_o <= 1'b0;
    else residual_valid_o <= exec.has_residual && present && !keeps;
    if (init_i) tile_start_q <= 1'b1;
    else if (pixel_end) tile_start_q <= map_end;
  end

  logic [8*PI-1:0] next_codes, found;
  for (genvar i = 0; i < PI; i++) begin : gen_lane
    logic [7:0] stored, code, byte_out;
    logic signed [8:0] residual;
    assign stored = keeps_q[3] ? kept_q[8*i+:8] : residual_data_i[8*i+:8];
    always_comb begin
      unique case (part_q)
        2'b00: residual = '0;
        2'b01: residual = 9'($signed({exec.res_signed & stored[3], stored[3:0]}));
        2'b10: residual = 9'($signed({exec.res_signed & stored[7], stored[7:4]}));
        2'b11: residual = $signed({exec.res_signed & stored[7], stored});
      endcase
    end
    assign byte_out = exec.has_table ? found[8*i+:8] : code;
    assign result_data_o[8*i+:8] = exec.out_packed ? {byte_out[3:0], byte_out[3:0]} : byte_out;
    requantize u_requantize (
        .clk_i,
        .acc_i           (slot_acc_q[32*i+:32]),
        .bias_i          (slot_param_q[ParamW*i+:32]),
        .shift_i         (slot_param_q[ParamW*i+32+:5]),
        .residual_shift_i(slot_param_q[ParamW*i+37+:5]),
        .residual_i      (residual),
        .lo_i            ($signed(exec.lo)),
        .hi_i            ($signed(exec.hi)),
        .half_even_i     (exec.half_even),
        .is_product_i    (exec.is_product),
        .next_code_o     (next_codes[8*i+:8]),
        .code_o          (code)
    );
  end

  // A code is looked up as it leaves the requantizer, so its entry is there when the code is.
  tables #(
      .PI(PI)
  ) u_tables (
      .clk_i,
      .lookup_i     (exec.has_table && write_q[Latency-2]),
      .table_i      (exec.table_),
      .codes_i      (next_codes),
      .codes_o      (found),
      .write_valid_i(table_valid_i),
      .write_ready_o(table_ready_o),
      .write_line_i (table_line_i),
      .write_data_i (table_data_i)
  );

  assign result_line_o = line_q[16*(Latency-1)+:16];
endmodule
`default_nettype wire
