// The present pixel's row and column, counted here, and its position in lines that do not wrap, and banks.
logic f_running_q, f_fits_q;
logic [11:0] f_row_q, f_column_q;
logic signed [19:0] f_line_q, f_map_q, f_next, f_next_map;
logic [3:0] f_bank_q;
logic f_row_end, f_map_end;
initial f_running_q = 1'b0;

(* anyconst *) logic [11:0] f_rows, f_columns;
(* anyconst *) logic signed [15:0] f_origin_line, f_map_lines, f_step_line, f_row_line;
(* anyconst *) logic [3:0] f_origin_bank, f_step_bank, f_row_bank;
always_comb begin
  assume (rows_i == f_rows && columns_i == f_columns && origin_line_i == f_origin_line && map_lines_i == f_map_lines);
  assume (step_line_i == f_step_line && row_line_i == f_row_line && origin_bank_i == f_origin_bank);
  assume (step_bank_i == f_step_bank && row_bank_i == f_row_bank);
  assume (f_rows != '0 && f_columns != '0);
  assume (f_origin_bank < 4'(Banks) && f_step_bank < 4'(Banks) && f_row_bank < 4'(Banks));
end

// A step is lines and banks; past the last bank the line moves on (bank_step: as numbers, line * Banks + bank add up).
logic [4:0] f_bank_sum;
logic f_wraps;
assign f_bank_sum = 5'(f_bank_q) + 5'(f_row_end ? f_row_bank : f_step_bank);
assign f_wraps = f_bank_sum >= 5'(Banks);
assign f_row_end = f_column_q == f_columns - 12'd1;
assign f_map_end = f_row_end && f_row_q == f_rows - 12'd1;
assign f_next_map = f_map_q + 20'(f_map_lines);
assign f_next = f_map_end ? f_next_map : f_line_q + 20'(f_row_end ? f_row_line : f_step_line) + 20'(f_wraps);

function automatic logic f_is_line(input logic signed [19:0] line);
  f_is_line = line >= -20'sd32768 && line <= 20'sd32767;
endfunction

always_ff @(posedge clk_i) begin
  if (init_i) begin
    f_running_q <= 1'b1;
    f_fits_q <= 1'b1;
    f_row_q <= '0;
    f_column_q <= '0;
    f_line_q <= 20'(f_origin_line);
    f_bank_q <= f_origin_bank;
    f_map_q <= 20'(f_origin_line);
  end else if (advance_i) begin
    f_fits_q <= f_fits_q && f_is_line(f_next) && (!f_map_end || f_is_line(f_next_map));
    f_line_q <= f_next;
    f_bank_q <= f_map_end ? f_origin_bank : 4'(f_wraps ? f_bank_sum - 5'(Banks) : f_bank_sum);
    f_column_q <= f_row_end ? '0 : f_column_q + 12'd1;
    if (f_row_end) f_row_q <= f_map_end ? '0 : f_row_q + 12'd1;
    if (f_map_end) f_map_q <= f_next_map;
  end
end

logic signed [15:0] f_map_q_line;
assign f_map_q_line = map_line_q - map_lines_i;  // of the present map's first pixel
always_comb
  if (f_running_q) begin
    ends: assert (row_end_o == f_row_end && map_end_o == f_map_end);
    position: assert (!f_fits_q || (20'(line_o) == f_line_q && bank_o == f_bank_q && bank_o < 4'(Banks)));
    inv_map: assert (!f_fits_q || (20'(f_map_q_line) == f_map_q && f_is_line(f_map_q)));
    inv_place: assert (f_row_q < f_rows && f_column_q < f_columns);
    inv_counters: assert (f_columns_left == f_columns - f_column_q && f_rows_left == f_rows - f_row_q && last_row == (f_row_q == f_rows - 12'd1));
    second_map: cover (f_map_q != 20'(f_origin_line) && f_row_q == 12'd1 && f_column_q == 12'd1 && f_fits_q && f_row_line < 0);
  end

(* keep *) logic [11:0] f_columns_left, f_rows_left;  // probes of the counters
