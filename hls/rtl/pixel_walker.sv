// pixel_walker: positions of a map's pixels in raster order, map after map, without division.
// Function:   position (line, bank): +step inside a row, +row step at its end, back to the origin + map_lines after the last
// Interface:  init loads the origin; advance moves one pixel on; row_end, map_end mark the present pixel
// Latency:    1 cycle.   Throughput: 1 pixel per cycle.
// Reset:      none; init does it
// Reference:  hls/moves.py
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
  logic [11:0] x_q, y_q;
  logic signed [15:0] map_line_q, stepped_line;
  logic [4:0] bank_sum;
  logic wraps;

  assign row_end_o = x_q + 12'd1 == columns_i;
  assign map_end_o = row_end_o && y_q + 12'd1 == rows_i;
  assign bank_sum = 5'(bank_o) + 5'(row_end_o ? row_bank_i : step_bank_i);
  assign wraps = bank_sum >= 5'(Banks);
  assign stepped_line = line_o + (row_end_o ? row_line_i : step_line_i) + 16'(wraps);

  always_ff @(posedge clk_i) begin
    if (init_i) begin
      map_line_q <= origin_line_i + map_lines_i;
      line_o <= origin_line_i;
      bank_o <= origin_bank_i;
      x_q <= '0;
      y_q <= '0;
    end else if (advance_i) begin
      x_q <= row_end_o ? '0 : x_q + 12'd1;
      if (row_end_o) y_q <= map_end_o ? '0 : y_q + 12'd1;
      if (map_end_o) begin
        line_o <= map_line_q;
        bank_o <= origin_bank_i;
        map_line_q <= map_line_q + map_lines_i;
      end else begin
        line_o <= stepped_line;
        bank_o <= wraps ? 4'(bank_sum - 5'(Banks)) : bank_sum[3:0];
      end
    end
  end
endmodule
`default_nettype wire
