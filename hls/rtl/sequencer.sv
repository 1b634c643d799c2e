// sequencer: the loops of an EXEC: output tiles, pixel groups, kernel taps, input channel tiles.
// Function:   per cycle one (tap, input tile) of a pixel group: PP scratchpad addresses and one weight line
// Interface:  init with a held descriptor; addresses and marks out, all registered, no back-pressure
// Latency:    group_lanes + 3 cycles from init to the first address; then 1 + groups * group_cycles a tile,
//             less skip_weights cycles for each kernel row that a group leaves out.
// Reset:      synchronous, active low; control bits only.
// Reference:  hls/functional/run.py; hls/cycles/model.py
`default_nettype none
module sequencer #(
    parameter int PP = 6,
    parameter int Banks = 7
) (
    input  wire logic                       clk_i,
    input  wire logic                       rst_ni,
    input  wire logic                       init_i,
    input  wire logic [program_pkg::DESCRIPTOR_BITS-1:0] desc_i,
    // scratchpad
    output logic [   PP-1:0]                lane_on_o,
    output logic [16*PP-1:0]                lane_line_o,
    output logic [ 4*PP-1:0]                lane_bank_o,
    // weight store
    output logic                            weight_en_o,
    output logic [     15:0]                weight_line_o,
    output logic                            param_o,       // this line holds parameters
    // marks of the operands addressed in this cycle
    output logic                            valid_o,
    output logic                            first_o,       // of a group
    output logic                            last_o,        // of a group
    output logic [      3:0]                count_o,       // pixels of the group
    output logic                            tile_first_o,  // group is the first of its output tile
    output logic                            final_o        // group is the last of the EXEC
);
  program_pkg::exec_t exec;
  assign exec = desc_i;
  logic unused_bits;
  assign unused_bits = &{1'b0, exec};  // what other modules look at

  logic [5:0] stride_h, stride_w;
  assign stride_h = {exec.high_stride_h, exec.stride_h};
  assign stride_w = {exec.high_stride_w, exec.stride_w};

  // ---- Gathering: the walker fills the next group's lanes, one pixel a cycle, under the present group.
  logic gathering_q, full_q, next_map_end_q, take;
  logic [3:0] next_count_q, place;
  logic signed [11:0] tiles_to_walk_q;
  logic signed [12:0] row_q, column_q;  // input coordinates of the window's origin
  logic signed [13:0] beyond_q;  // of the window's last row, from the first row below the map
  logic skips, next_above_q, next_below_q;  // the group leaves out its first kernel row, else its last
  logic signed [15:0] walk_line, column_line;
  logic [3:0] walk_bank, column_bank;
  logic row_end, map_end, gather, group_end;

  assign skips = exec.skip_weights != '0;
  assign gather = gathering_q && (!full_q || take);
  assign place = take ? 4'd0 : next_count_q;
  assign group_end = map_end || (exec.row_break && row_end) || place + 4'd1 == exec.group_lanes;

  step_split #(.Banks(Banks), .Width(6)) u_column (
      .clk_i, .step_i(stride_w), .line_o(column_line), .bank_o(column_bank)
  );
  pixel_walker #(
      .Banks(Banks)
  ) u_walker (
      .clk_i,
      .init_i,
      .advance_i    (gather),
      .rows_i       (exec.out_h),
      .columns_i    (exec.out_w),
      .origin_line_i($signed(exec.in_line)),
      .origin_bank_i(exec.in_bank),
      .map_lines_i  ($signed(exec.in_tile_step)),
      .step_line_i  (column_line),
      .step_bank_i  (column_bank),
      .row_line_i   ($signed(exec.in_row_line)),
      .row_bank_i   (exec.in_row_bank),
      .line_o       (walk_line),
      .bank_o       (walk_bank),
      .row_end_o    (row_end),
      .map_end_o    (map_end)
  );

  always_ff @(posedge clk_i) begin
    if (init_i || (gather && map_end)) begin
      row_q <= 13'($signed(exec.start_y));
      beyond_q <= 14'($signed(exec.start_y)) + 14'(exec.kernel_h) - 14'(exec.in_h) - 14'sd1;
    end else if (gather && row_end) begin
      row_q <= row_q + 13'(stride_h);
      beyond_q <= beyond_q + 14'(stride_h);
    end
    // Rows only grow within a group: the last pixel is the last to be above, the first the last to be below.
    if (gather) next_above_q <= skips && row_q < 0;
    if (gather && place == '0) next_below_q <= skips && beyond_q >= 0;
    if (init_i || (gather && row_end)) column_q <= 13'($signed(exec.start_x));
    else if (gather) column_q <= column_q + 13'(stride_w);
    if (gather && group_end) next_map_end_q <= map_end;

    if (init_i) tiles_to_walk_q <= exec.out_tiles;
    else if (gather && map_end) tiles_to_walk_q <= tiles_to_walk_q - 12'(exec.sub_tiles);

    if (!rst_ni) begin
      gathering_q <= 1'b0;
      full_q <= 1'b0;
    end else begin
      if (init_i) gathering_q <= 1'b1;
      else if (gather && map_end && tiles_to_walk_q <= 12'(exec.sub_tiles)) gathering_q <= 1'b0;
      if (init_i) full_q <= 1'b0;
      else if (gather && group_end) full_q <= 1'b1;
      else if (take) full_q <= 1'b0;
    end
    if (init_i) next_count_q <= '0;
    else if (gather) next_count_q <= place + 4'd1;
    else if (take) next_count_q <= '0;
  end

  // ---- Feeding: taps and input tiles of the present group.
  logic param_due_q, feeding_q, tile_first_q, map_end_q, final_q;
  logic [3:0] count_q;
  logic running_q;  // in a group's cycles, of which the first ones feed
  logic [12:0] tap_row_q, tap_column_q;  // from the window's origin; the reach is checked
  logic signed [15:0] tap_line_q, ct_line_q, tap_step_line;
  logic [3:0] tap_bank_q, tap_step_bank;
  logic [15:0] weight_q, tile_weight_q, weight_base, weight_lines;
  logic [15:0] fewer_cycles_q, skip_and_one_q;
  logic next_skips, below_q, weight_moves;
  logic cycles_end, tile_ends, ct_end, kx_end, ky_end, feed_first_q, feed_last;
  logic [3:0] next_tap_bank;
  logic tap_wraps;

  assign next_skips = next_above_q || next_below_q;
  always_ff @(posedge clk_i) begin
    fewer_cycles_q <= exec.group_cycles - 16'(exec.skip_weights);
    skip_and_one_q <= 16'(exec.skip_weights) + 16'd1;
  end

  loop_counter #(.Width(16)) u_cycles (
      .clk_i,
      .restart_i(take),
      .step_i   (running_q),
      .count_i  (next_skips ? fewer_cycles_q : exec.group_cycles),
      .last_o   (cycles_end)
  );
  loop_counter #(.Width(12)) u_ct (
      .clk_i, .restart_i(take), .step_i(feeding_q), .count_i(exec.ci_tiles), .last_o(ct_end)
  );
  loop_counter #(.Width(8)) u_kx (
      .clk_i, .restart_i(take), .step_i(feeding_q && ct_end), .count_i(exec.kernel_w), .last_o(kx_end)
  );
  loop_counter #(.Width(8)) u_ky (
      .clk_i,
      .restart_i(take),
      .step_i   (feeding_q && ct_end && kx_end),
      .count_i  (exec.kernel_h - 8'(next_skips)),
      .last_o   (ky_end)
  );

  assign tile_ends = running_q && cycles_end && map_end_q && !final_q;
  assign take = full_q && (!running_q || (cycles_end && !map_end_q));
  assign feed_last = ct_end && kx_end && ky_end;
  step_split #(.Banks(Banks)) u_tap_step (
      .clk_i, .step_i(exec.tap_step), .line_o(tap_step_line), .bank_o(tap_step_bank)
  );
  bank_step #(.Banks(Banks)) u_tap (
      .bank_i(tap_bank_q), .step_i(kx_end ? exec.tap_row_bank : tap_step_bank), .bank_o(next_tap_bank), .wraps_o(tap_wraps)
  );

  // The line after this one, past what the group that begins or the tile that ends leaves out; a line that is held
  // is left with the last tap.
  assign weight_moves = param_due_q || (feeding_q && !take && (feed_last || !exec.hold_weights));
  assign weight_base = take && !param_due_q ? tile_weight_q : weight_q;
  always_comb begin
    unique case ({(take && next_above_q) || (tile_ends && below_q), weight_moves})
      2'b00: weight_lines = '0;
      2'b01: weight_lines = 16'd1;
      2'b10: weight_lines = 16'(exec.skip_weights);
      default: weight_lines = skip_and_one_q;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      count_q <= next_count_q;
      map_end_q <= next_map_end_q;
      final_q <= next_map_end_q && !gathering_q;
      tile_first_q <= param_due_q || map_end_q;
      feed_first_q <= 1'b1;
      below_q <= next_below_q && !next_above_q;
      tap_row_q <= 13'(next_above_q);
      tap_column_q <= '0;
      tap_line_q <= next_above_q ? 16'(exec.pitch_line) : '0;
      tap_bank_q <= next_above_q ? exec.pitch_bank : '0;
      ct_line_q <= '0;
    end else if (feeding_q) begin
      feed_first_q <= 1'b0;
      ct_line_q <= ct_end ? '0 : ct_line_q + $signed(exec.in_plane);
      if (ct_end) begin
        tap_column_q <= kx_end ? '0 : tap_column_q + 13'(exec.tap_step);
        tap_line_q <= tap_line_q + (kx_end ? $signed(exec.tap_row_line) : tap_step_line) + 16'(tap_wraps);
        tap_bank_q <= next_tap_bank;
        if (kx_end) tap_row_q <= tap_row_q + 13'(exec.tap_rows);
      end
    end

    if (init_i || (tile_ends && exec.repeat_weights)) weight_q <= exec.weight_line;
    else if (!exec.is_max) weight_q <= weight_base + weight_lines;
    if (param_due_q) tile_weight_q <= weight_q + 16'd1;

    if (!rst_ni) begin
      param_due_q <= 1'b0;
      feeding_q <= 1'b0;
      running_q <= 1'b0;
    end else begin
      // A tile's parameters are read in the cycle after the last group of the tile before.
      param_due_q <= init_i || tile_ends;
      if (init_i) feeding_q <= 1'b0;
      else if (take) feeding_q <= 1'b1;
      else if (feed_last) feeding_q <= 1'b0;
      if (init_i) running_q <= 1'b0;
      else if (take) running_q <= 1'b1;
      else if (cycles_end) running_q <= 1'b0;
    end
    if (init_i) map_end_q <= 1'b1;
  end

  // ---- Addresses.
  always_ff @(posedge clk_i) begin
    weight_en_o <= param_due_q || (feeding_q && !exec.is_max);
    weight_line_o <= weight_q;
    first_o <= feed_first_q;
    count_o <= count_q;
    tile_first_o <= tile_first_q;
    final_o <= final_q;
    if (!rst_ni) begin
      param_o <= 1'b0;
      valid_o <= 1'b0;
      last_o  <= 1'b0;
    end else begin
      param_o <= param_due_q;
      valid_o <= feeding_q;
      last_o  <= feeding_q && feed_last;
    end
  end

  for (genvar j = 0; j < PP; j++) begin : gen_lane
    logic next_on_q, on_q;
    logic signed [15:0] next_line_q, line_q;
    logic [3:0] next_bank_q, bank_q;
    logic signed [12:0] next_row_q, row_j_q, next_column_q, column_j_q;
    logic signed [13:0] row, column;
    logic [3:0] bank;
    logic wraps;

    assign row = 14'(row_j_q) + 14'(tap_row_q);
    assign column = 14'(column_j_q) + 14'(tap_column_q);
    bank_step #(.Banks(Banks)) u_step (.bank_i(bank_q), .step_i(tap_bank_q), .bank_o(bank), .wraps_o(wraps));

    always_ff @(posedge clk_i) begin
      if (init_i) next_on_q <= 1'b0;
      else if (gather && place == 4'(j)) next_on_q <= 1'b1;
      else if (take) next_on_q <= 1'b0;
      if (gather && place == 4'(j)) begin
        next_line_q <= walk_line;
        next_bank_q <= walk_bank;
        next_row_q <= row_q;
        next_column_q <= column_q;
      end
      if (take) begin
        on_q <= next_on_q;
        line_q <= next_line_q;
        bank_q <= next_bank_q;
        row_j_q <= next_row_q;
        column_j_q <= next_column_q;
      end
      lane_on_o[j] <= feeding_q && on_q && row >= 0 && row < 14'(exec.in_h) && column >= 0 && column < 14'(exec.in_w);
      lane_line_o[16*j+:16] <= line_q + tap_line_q + ct_line_q + 16'(wraps);
      lane_bank_o[4*j+:4] <= bank;
    end
  end
endmodule
`default_nettype wire
