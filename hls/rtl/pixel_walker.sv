// pixel_walker: positions of a map's pixels in raster order, map after map, without division.
// Function:   position (line, bank): +step inside a row, +row step at its end, back to the origin + map_lines after the last
// Interface:  init loads the origin; advance moves one pixel on; row_end, map_end mark the present pixel
// Latency:    1 cycle.   Throughput: 1 pixel per cycle.
// Reset:      none; init does it
// Reference:  hls/program/moves.py
`default_nettype none
module pixel_walker #(
    parameter int Banks = 7
) (
    input  wire logic               clk_i,
    input  wire logic               init_i,
    input  wire logic               advance_i,
    input  wire logic        [11:0] rows_i,
    input  wire logic        [11:0] columns_i,
    input  wire logic signed [15:0] origin_line_i,
    input  wire logic        [ 3:0] origin_bank_i,
    input  wire logic signed [15:0] map_lines_i,   // from a map to the next
    input  wire logic signed [15:0] step_line_i,
    input  wire logic        [ 3:0] step_bank_i,
    input  wire logic signed [15:0] row_line_i,
    input  wire logic        [ 3:0] row_bank_i,
    output logic signed      [15:0] line_o,
    output logic             [ 3:0] bank_o,
    output logic                    row_end_o,
    output logic                    map_end_o
);
  logic last_row;
  logic signed [15:0] map_line_q, stepped_line;
  logic [3:0] stepped_bank;
  logic wraps;

  loop_counter #(.Width(12)) u_columns (
      .clk_i, .restart_i(init_i), .step_i(advance_i), .count_i(columns_i), .last_o(row_end_o)
  );
  loop_counter #(.Width(12)) u_rows (
      .clk_i, .restart_i(init_i), .step_i(advance_i && row_end_o), .count_i(rows_i), .last_o(last_row)
  );

  assign map_end_o = row_end_o && last_row;
  bank_step #(.Banks(Banks)) u_step (
      .bank_i(bank_o), .step_i(row_end_o ? row_bank_i : step_bank_i), .bank_o(stepped_bank), .wraps_o(wraps)
  );
  assign stepped_line = line_o + (row_end_o ? row_line_i : step_line_i) + 16'(wraps);

  always_ff @(posedge clk_i) begin
    if (init_i) begin
      map_line_q <= origin_line_i + map_lines_i;
      line_o <= origin_line_i;
      bank_o <= origin_bank_i;
    end else if (advance_i) begin
      if (map_end_o) begin
        line_o <= map_line_q;
        bank_o <= origin_bank_i;
        map_line_q <= map_line_q + map_lines_i;
      end else begin
        line_o <= stepped_line;
        bank_o <= stepped_bank;
      end
    end
  end
endmodule
`default_nettype wire
