// sparse_masks: the masks and the codes of sparse weights, told apart as they come.
// Function:   a pass is mask 0, mask 1, codes of group 0, mask 2, codes of group 1, ..., codes of the last group; how
//             many words of codes a group needs follows from its mask and from what the groups before it left over
// Interface:  start; words (valid/ready) -> masks four octets at a time (valid/ready), codes by code_valid_o
// Latency:    4 cycles from a mask to its first octets.   Throughput: 1 word per cycle; 4 octets per cycle.
// Reset:      synchronous, active low; control only
// Reference:  hls/program/sparse.py
`default_nettype none
module sparse_masks #(
    parameter int PI = 8,
    parameter int PO = 8
) (
    input  wire logic            clk_i,
    input  wire logic            rst_ni,
    input  wire logic            clear_i,
    input  wire logic            start_i,
    input  wire logic [    15:0] lines_i,       // not 0
    input  wire logic [    15:0] pass_lines_i,  // not 0
    input  wire logic            narrow_i,
    input  wire logic            valid_i,
    output logic                 ready_o,
    input  wire logic [8*PI-1:0] word_i,
    input  wire logic            last_i,        // of the load
    output logic                 code_valid_o,  // the word is of codes
    input  wire logic            code_ready_i,
    output logic                 quad_valid_o,
    input  wire logic            quad_ready_i,
    output logic      [    31:0] mask_o,
    output logic      [    15:0] counts_o,      // codes of each octet
    output logic                 fits_all_o,    // a step takes the codes of all four
    output logic                 fits_low_o,    // of the first two
    output logic                 fits_high_o,   // of the last two
    output logic                 narrow_o,
    output logic                 pass_ends_o,
    output logic                 final_o,       // the load's last
    output logic                 open_o,        // words are still to come
    output logic                 bad_o          // fewer or more words than the masks ask for, until clear
);
  localparam int LineGroups = PO / 8;
  localparam int Quads = PI / 4;
  localparam int QuadW = $clog2(Quads);
  localparam int DueW = $clog2(PI) + 8;  // half bytes of two groups, and a sign

  // ---- What the next word is: `due` half bytes are missing for the codes of the groups that were joined. A group joins
  // when the mask after it is there, the last of a pass when its own codes are counted.
  logic active_q, ended_q, edge_q, plain_q;  // edge: no mask of the pass is in, or all are
  logic [15:0] lines_left_q, pass_left_q;
  logic [1:0] joins_q;
  logic [DueW-1:0] due_q, with_sum, with_word, with_both, due;  // signed
  logic [DueW-2:0] sum_q;
  logic sum_valid_q, join_now, missing, settled, complete, take, take_mask, group_ends, pass_ends, load_ends;

  assign join_now = sum_valid_q && (joins_q != 2'd0 || (take_mask && !edge_q));
  assign with_sum = due_q + {1'b0, sum_q};
  assign with_word = due_q - DueW'(2 * PI);
  assign with_both = with_sum - DueW'(2 * PI);
  assign due = take && missing ? (join_now ? with_both : with_word) : join_now ? with_sum : due_q;
  assign settled = joins_q == 2'd0;
  assign complete = !missing && settled && lines_left_q == 16'd0;

  logic word_valid_q, word_moves;
  assign ready_o = active_q && (missing ? code_ready_i : settled && (!word_valid_q || lines_left_q == 16'd0));
  assign take = valid_i && ready_o;
  assign code_valid_o = valid_i && active_q && missing;
  assign take_mask = take && !missing && !complete;

  if (LineGroups == 1) begin : gen_line
    assign group_ends = 1'b1;
  end else begin : gen_groups
    logic [$clog2(LineGroups)-1:0] group_q;
    assign group_ends = &group_q;
    always_ff @(posedge clk_i) begin
      if (start_i) group_q <= '0;
      else if (take_mask) group_q <= group_q + 1'b1;
    end
  end
  assign load_ends = group_ends && lines_left_q == 16'd1;
  assign pass_ends = load_ends || (group_ends && !plain_q && pass_left_q == 16'd1);

  assign open_o = active_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      active_q <= 1'b0;
      bad_o <= 1'b0;
    end else begin
      // An ended load that lacks something is bad at once; one whose masks are all in, when they are counted.
      bad_o <= bad_o || (take && complete) || (active_q && ended_q && (missing || lines_left_q != 16'd0));
      if (start_i) active_q <= 1'b1;
      else if (ended_q && settled) active_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      ended_q <= 1'b0;
      edge_q <= 1'b1;
      plain_q <= 1'b1;
      lines_left_q <= lines_i;
      joins_q <= 2'd0;
      due_q <= '0;
      missing <= 1'b0;
    end else begin
      if (take && last_i) ended_q <= 1'b1;
      joins_q <= joins_q - 2'(join_now) + (take_mask ? 2'(!edge_q) + 2'(pass_ends) : 2'd0);
      due_q <= take_mask && edge_q ? '0 : due;
      missing <= !(take_mask && edge_q) && !due[DueW-1] && |due;
      if (take_mask) begin
        edge_q <= pass_ends;
        if (group_ends) begin
          lines_left_q <= lines_left_q - 16'd1;
          pass_left_q <= plain_q ? pass_lines_i : pass_left_q - 16'd1;
          plain_q <= !plain_q && pass_left_q == 16'd1;
        end
      end
    end
  end

  // ---- A mask: a register, its octets counted, then four of them a cycle.
  logic [8*PI-1:0] word_q, mask_q;
  logic word_narrow_q, word_pass_ends_q, word_final_q, narrow_q, pass_ends_q, final_q, valid_q, fresh_q;
  logic [4*PI-1:0] word_counts, counts_q;
  logic [DueW-2:0] sum;
  logic [QuadW-1:0] quad_q;

  for (genvar o = 0; o < PI; o++) begin : gen_count
    assign word_counts[4*o+:4] = count8(word_q[8*o+:8]);
  end
  always_comb begin
    sum = '0;
    for (int o = 0; o < PI; o++) sum = sum + (DueW - 1)'(counts_q[4*o+:4]);
  end
  assign word_moves = word_valid_q && (!valid_q || (&quad_q && quad_ready_i));

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i || start_i) begin
      word_valid_q <= 1'b0;
      valid_q <= 1'b0;
      fresh_q <= 1'b0;
      sum_valid_q <= 1'b0;
      quad_valid_o <= 1'b0;
    end else begin
      word_valid_q <= take_mask || (word_valid_q && !word_moves);
      valid_q <= word_moves || (valid_q && !(&quad_q && quad_ready_i));
      fresh_q <= word_moves;
      sum_valid_q <= fresh_q || (sum_valid_q && !join_now);
      if (quad_ready_i) quad_valid_o <= valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take_mask) begin
      word_q <= word_i;
      word_narrow_q <= narrow_i && !plain_q;
      word_pass_ends_q <= pass_ends;
      word_final_q <= load_ends;
    end
    if (word_moves) begin
      mask_q <= word_q;
      counts_q <= word_counts;
      narrow_q <= word_narrow_q;
      pass_ends_q <= word_pass_ends_q;
      final_q <= word_final_q;
      quad_q <= '0;
    end else if (valid_q && quad_ready_i) quad_q <= quad_q + 1'b1;
    if (fresh_q) sum_q <= narrow_q ? sum : {sum[DueW-3:0], 1'b0};
  end

  function automatic logic [3:0] count8(input logic [7:0] bits);
    count8 = '0;
    for (int b = 0; b < 8; b++) count8 = count8 + 4'(bits[b]);
  endfunction

  // ---- Four octets, and which of them go together: their codes are a word at most.
  logic [15:0] counts;
  logic [5:0] cap, low, high;
  assign counts = counts_q[16*quad_q+:16];
  assign cap = narrow_q ? 6'(2 * PI) : 6'(PI);
  assign low = 6'(counts[0+:4]) + 6'(counts[4+:4]);
  assign high = 6'(counts[8+:4]) + 6'(counts[12+:4]);
  always_ff @(posedge clk_i) begin
    if (quad_ready_i) begin
      mask_o <= mask_q[32*quad_q+:32];
      counts_o <= counts;
      fits_low_o <= low <= cap;
      fits_high_o <= high <= cap;
      fits_all_o <= low + high <= cap;
      narrow_o <= narrow_q;
      pass_ends_o <= pass_ends_q && &quad_q;
      final_o <= final_q && &quad_q;
    end
  end
endmodule
`default_nettype wire
