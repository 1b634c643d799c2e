// reach_check: does an EXEC stay within the scratchpad and the weight store, and does its raster fit together?
// Function:   first and last word of its maps and its last weight line in closed form; a product and a sum a cycle,
//             and beside them the small products that those start from
// Interface:  start_i, then a descriptor that is held for as long as its EXEC runs; a pulse where it is refused
// Latency:    18 cycles from start_i to the pulse. No EXEC writes a word before 24.   Throughput: 1 EXEC in 18 cycles.
// Reset:      synchronous, active low; control only
// Reference:  hls/checks.py
`default_nettype none
module reach_check #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int Banks = 7,
    parameter int BankLines = 4096,
    parameter int WeightLines = 4608
) (
    input  wire logic         clk_i,
    input  wire logic         rst_ni,
    input  wire logic         start_i,
    input  wire logic [program_pkg::DESCRIPTOR_BITS-1:0] desc_i,
    output logic              bad_field_o,  // the raster or a group's cycles
    output logic              beyond_o
);
  localparam int SubTiles = PO / PI;
  localparam int CountW = 13;
  localparam int PositionW = 21;  // signed: a 16-bit line, signed or not, times up to 15 banks
  localparam int SumW = CountW + PositionW + 2;
  localparam logic signed [SumW-1:0] Words = SumW'(Banks * BankLines);
  localparam int LastPlace = 4095;  // row or column: the sequencer's coordinates are signed 13-bit numbers

  program_pkg::exec_t exec;
  assign exec = desc_i;
  logic unused_bits;
  assign unused_bits = &{1'b0, exec};  // codes and rounding do not matter here

  // Steps between output rows, columns and tiles, passes and planes: one less than there are of them.
  logic [11:0] last_out_h, last_out_w, last_out_tiles, passes, out_planes, res_planes;
  assign last_out_h = exec.out_h - 12'd1;
  assign last_out_w = exec.out_w - 12'd1;
  assign last_out_tiles = exec.out_tiles - 12'd1;
  assign passes = exec.sub_tiles == 3'd1 ? last_out_tiles : last_out_tiles / 12'(SubTiles);
  assign out_planes = exec.out_packed ? last_out_tiles >> 1 : last_out_tiles;
  assign res_planes = exec.res_packed ? last_out_tiles >> 1 : last_out_tiles;

  // line * Banks + place, its terms added pairwise: one after another they were the engine's longest path.
  function automatic logic signed [PositionW-1:0] position(input logic signed [16:0] line,
                                                           input logic [18:0] place);
    logic signed [3:0][PositionW-1:0] term;
    for (int b = 0; b < 4; b++) term[b] = Banks[b] ? PositionW'(line) <<< b : '0;
    position = ((PositionW'({1'b0, place}) + term[0]) + (term[1] + term[2])) + term[3];
  endfunction

  // ---- One count drives two lists of steps.
  logic [3:0] step_q, step_q1, step_q2, step_q3, step_q4;

  // ---- Small products, of counts alone: one a cycle, of use from the third step after its own on.
  typedef enum logic [3:0] {OutWalk, KernelRow, TapsX, WalkX, TapsY, WalkY} small_e;
  logic [5:0] stride_h, stride_w;
  assign stride_h = {exec.high_stride_h, exec.stride_h};
  assign stride_w = {exec.high_stride_w, exec.stride_w};

  logic [11:0] small_a, small_b, small_a_q1, small_b_q1;
  logic [19:0] small_q2;
  logic [16:0] out_walk_q;  // positions from the first to the last: pixels of an output row
  logic [19:0] kernel_row_q;  // lines of the weight store
  logic [17:0] walk_x_q, walk_y_q;  // from the first to the last: columns and rows of windows
  logic [12:0] taps_x_q, taps_y_q;  // and of taps

  always_comb begin
    small_a = '0;
    small_b = '0;
    unique case (step_q)
      OutWalk: begin
        small_a = last_out_w;
        small_b = 12'(exec.out_step);
      end
      KernelRow: begin
        small_a = 12'(exec.kernel_w);
        small_b = exec.ci_tiles;
      end
      TapsX: begin
        small_a = 12'(exec.kernel_w) - 12'd1;
        small_b = 12'(exec.tap_step);
      end
      WalkX: begin
        small_a = last_out_w;
        small_b = 12'(stride_w);
      end
      TapsY: begin
        small_a = 12'(exec.kernel_h) - 12'd1;
        small_b = 12'(exec.tap_rows);
      end
      WalkY: begin
        small_a = last_out_h;
        small_b = 12'(stride_h);
      end
      default: ;
    endcase
  end

  always_ff @(posedge clk_i) begin
    small_a_q1 <= small_a;
    small_b_q1 <= small_b;
    small_q2 <= 20'(24'(small_a_q1) * 24'(small_b_q1));
    unique case (step_q2)
      OutWalk:   out_walk_q <= small_q2[16:0];
      KernelRow: kernel_row_q <= small_q2;
      TapsX:     taps_x_q <= small_q2[12:0];
      WalkX:     walk_x_q <= small_q2[17:0];
      TapsY:     taps_y_q <= small_q2[12:0];
      WalkY:     walk_y_q <= small_q2[17:0];
      default:   ;
    endcase
  end

  // ---- Steps: count x (line, place) + (line, place), or + the sum of the step before.
  typedef enum logic [3:0] {
    Res, ResPlanes, Out, OutRows, OutPlanes, Taps, TapRow, InRow, First, Last, InPlanes, InTiles, Weights, Idle
  } step_e;

  logic signed [CountW:0] count, count_q1, count_q2;
  logic signed [16:0] line, line_q1, from_line, from_line_q1;
  logic [18:0] place, place_q1, from_place, from_place_q1;  // a bank, and columns
  logic signed [PositionW-1:0] factor, factor_q2, from_q2, from_q3;
  logic signed [CountW+PositionW:0] product_q3;
  logic signed [SumW-1:0] sum_q4;
  logic [16:0] pass_lines_q;  // of the weight store: a parameter line and the kernel's

  // ---- The part of the input map that windows meet, in rows and columns from the first window's origin.
  logic [11:0] above, left;
  logic signed [19:0] bottom, right, last_row_q, last_column_q, reach_y, reach_x;
  logic empty_q;
  assign above = exec.start_y[11] ? 12'(-exec.start_y) : '0;
  assign left = exec.start_x[11] ? 12'(-exec.start_x) : '0;
  assign bottom = $signed(20'(exec.in_h)) - 20'($signed(exec.start_y)) - 20'sd1;
  assign right = $signed(20'(exec.in_w)) - 20'($signed(exec.start_x)) - 20'sd1;
  assign reach_y = $signed(20'(walk_y_q)) + $signed(20'(taps_y_q));
  assign reach_x = $signed(20'(walk_x_q)) + $signed(20'(taps_x_q));
  always_ff @(posedge clk_i) begin
    last_row_q <= reach_y < bottom ? reach_y : bottom;
    last_column_q <= reach_x < right ? reach_x : right;
    empty_q <= last_row_q < $signed(20'(above)) || last_column_q < $signed(20'(left));
  end

  always_comb begin
    count = '0;
    line = '0;
    place = '0;
    from_line = '0;
    from_place = '0;
    unique case (step_q)
      Res: begin
        count = 14'(last_out_h);
        line = exec.res_still ? 17'sd0 : 17'($signed(exec.res_row_line));
        place = exec.res_still ? 19'd0 : 19'(exec.res_row_bank) + 19'(last_out_w);
        from_line = $signed({1'b0, exec.res_line});
        from_place = 19'(exec.res_bank) + (exec.res_still ? 19'd0 : 19'(last_out_w));
      end
      ResPlanes: begin
        count = 14'(res_planes);
        line = $signed({1'b0, exec.res_plane});
      end
      Out: begin  // the steps between rows
        count = 14'(last_out_h);
        line = 17'($signed(exec.out_row_line));
        place = 19'(exec.out_row_bank);
        from_line = $signed({1'b0, exec.out_line});
        from_place = 19'(exec.out_bank);
      end
      OutRows: count = 14'(exec.out_h);
      OutPlanes: begin
        count = 14'(out_planes);
        line = $signed({1'b0, exec.out_plane});
      end
      Taps: count = 14'(exec.kernel_h);
      TapRow: begin  // a kernel row further is tap_rows pitches further: nothing is left
        count = 14'sd0 - 14'(exec.tap_rows);
        line = $signed({7'b0, exec.pitch_line});
        place = 19'(exec.pitch_bank);
        from_line = 17'($signed(exec.tap_row_line));
        from_place = 19'(exec.tap_row_bank) + 19'(taps_x_q);
      end
      InRow: begin  // an output row further is stride_h pitches further
        count = 14'sd0 - 14'(stride_h);
        line = $signed({7'b0, exec.pitch_line});
        place = 19'(exec.pitch_bank);
        from_line = 17'($signed(exec.in_row_line));
        from_place = 19'(exec.in_row_bank) + 19'(walk_x_q);
      end
      First: begin
        count = 14'(above);
        line = $signed({7'b0, exec.pitch_line});
        place = 19'(exec.pitch_bank);
        from_line = 17'($signed(exec.in_line));
        from_place = 19'(exec.in_bank) + 19'(left);
      end
      Last: begin
        count = 14'(last_row_q);
        line = $signed({7'b0, exec.pitch_line});
        place = 19'(exec.pitch_bank);
        from_line = 17'($signed(exec.in_line));
        from_place = 19'(exec.in_bank) + 19'(last_column_q);
      end
      InPlanes: begin
        count = 14'(exec.ci_tiles) - 14'd1;
        line = $signed({1'b0, exec.in_plane});
      end
      InTiles: begin
        count = 14'(passes);
        line = $signed({1'b0, exec.in_tile_step});
      end
      Weights: begin
        count = exec.is_max || exec.repeat_weights ? 14'd1 : 14'(passes) + 14'd1;
        from_line = $signed({1'b0, exec.weight_line});
      end
      default: ;
    endcase

    unique case (step_q1)
      OutRows: factor = PositionW'(out_walk_q);
      Taps:    factor = PositionW'(kernel_row_q);
      Weights: factor = exec.is_max ? PositionW'(1) : exec.hold_weights ? PositionW'(2) : PositionW'(pass_lines_q);
      default: factor = position(line_q1, place_q1);
    endcase
  end

  always_ff @(posedge clk_i) begin
    count_q1 <= count;
    line_q1 <= line;
    place_q1 <= place;
    from_line_q1 <= from_line;
    from_place_q1 <= from_place;

    count_q2 <= count_q1;
    factor_q2 <= factor;
    from_q2 <= step_q1 == Weights ? PositionW'(from_line_q1) : position(from_line_q1, from_place_q1);

    product_q3 <= count_q2 * factor_q2;
    from_q3 <= from_q2;

    unique case (step_q3)
      OutRows, OutPlanes, ResPlanes, InPlanes, InTiles: sum_q4 <= SumW'(product_q3) + sum_q4;
      default:                                          sum_q4 <= SumW'(product_q3) + SumW'(from_q3);
    endcase

    if (step_q4 == Taps) pass_lines_q <= sum_q4[16:0] + 17'd1;
  end

  // ---- Judgement.
  logic bad, beyond, bad_q, beyond_q, skips;
  assign skips = exec.skip_weights != '0;
  always_comb begin
    bad = 1'b0;
    beyond = 1'b0;
    unique case (step_q4)
      Taps:
      bad = sum_q4 > SumW'({1'b0, exec.group_cycles}) || (skips && kernel_row_q != 20'(exec.skip_weights)) ||
          reach_x + 20'($signed(exec.start_x)) > 20'(LastPlace);
      TapRow:    bad = sum_q4 != '0;
      InRow:
      bad = sum_q4 != '0 || reach_y + 20'($signed(exec.start_y)) > 20'(LastPlace);
      OutPlanes: beyond = sum_q4 >= Words;
      ResPlanes: beyond = exec.has_residual && sum_q4 >= Words;
      First:     beyond = !empty_q && sum_q4 < 0;
      InTiles:   beyond = !empty_q && sum_q4 >= Words;
      Weights:   beyond = sum_q4 > SumW'(WeightLines);
      default: ;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      step_q <= Idle;
      step_q1 <= Idle;
      step_q2 <= Idle;
      step_q3 <= Idle;
      step_q4 <= Idle;
      bad_field_o <= 1'b0;
      beyond_o <= 1'b0;
    end else begin
      if (start_i) step_q <= Res;
      else if (step_q != Idle) step_q <= step_q + 4'd1;
      step_q1 <= step_q;
      step_q2 <= step_q1;
      step_q3 <= step_q2;
      step_q4 <= step_q3;
      bad_field_o <= step_q4 == Weights && (bad_q || bad);
      beyond_o <= step_q4 == Weights && (beyond_q || beyond);
    end
    bad_q <= step_q4 != Idle && (bad_q || bad);
    beyond_q <= step_q4 != Idle && (beyond_q || beyond);
  end
endmodule
`default_nettype wire
