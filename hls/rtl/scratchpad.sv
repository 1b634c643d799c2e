// scratchpad: activation banks; PP words for the array every cycle beside one other word a bank.
// Function:   lane j of the array reads word (lane_line[j], lane_bank[j]), or the padding code where it is off
// Interface:  array lanes (banks pairwise different); output stage first, then LOAD, then STORE share the second ports
// Latency:    3 cycles for every read.   Throughput: PP words per cycle, and 1 word per bank on the second ports.
// Reset:      synchronous, active low; valid bits only.
// Reference:  hls/functional/run.py
`default_nettype none
module scratchpad #(
    parameter int PI = 8,
    parameter int PP = 6,
    parameter int Banks = 7,
    parameter int Lines = 4096
) (
    input  wire logic               clk_i,
    input  wire logic               rst_ni,
    // array
    input  wire logic [     PP-1:0] lane_on_i,
    input  wire logic [  16*PP-1:0] lane_line_i,
    input  wire logic [   4*PP-1:0] lane_bank_i,
    input  wire logic [        7:0] padding_i,      // held during a descriptor
    output logic      [8*PI*PP-1:0] lane_data_o,
    // output stage: result write and residual read, never in one bank in a cycle
    input  wire logic [        1:0] result_halves_i,   // low, high halves of the bytes to write
    input  wire logic [       15:0] result_line_i,
    input  wire logic [        3:0] result_bank_i,
    input  wire logic [   8*PI-1:0] result_data_i,
    input  wire logic               residual_valid_i,
    input  wire logic [       15:0] residual_line_i,
    input  wire logic [        3:0] residual_bank_i,
    output logic      [   8*PI-1:0] residual_data_o,
    // LOAD
    input  wire logic               load_claim_i,  // STORE gives way to a word of LOAD, valid or not yet
    input  wire logic               load_valid_i,
    output logic                    load_ready_o,
    input  wire logic [       15:0] load_line_i,
    input  wire logic [        3:0] load_bank_i,
    input  wire logic [   8*PI-1:0] load_data_i,
    // STORE
    input  wire logic               store_valid_i,
    output logic                    store_ready_o,
    input  wire logic [       15:0] store_line_i,
    input  wire logic [        3:0] store_bank_i,
    output logic                    store_rvalid_o,
    output logic      [   8*PI-1:0] store_rdata_o
);
  localparam int LineW = $clog2(Lines);
  localparam int Word = 8 * PI;

  logic [Word*Banks-1:0] array_data, other_data;

  logic result_valid;
  assign result_valid = |result_halves_i;
  assign load_ready_o = !(result_valid && result_bank_i == load_bank_i)
      && !(residual_valid_i && residual_bank_i == load_bank_i);
  assign store_ready_o = !(result_valid && result_bank_i == store_bank_i)
      && !(residual_valid_i && residual_bank_i == store_bank_i)
      && !(load_claim_i && load_bank_i == store_bank_i);

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    // Array port: the one lane whose bank this is.
    logic array_en_d, array_en_q;
    logic [LineW-1:0] array_line_d, array_line_q;
    always_comb begin
      array_en_d   = 1'b0;
      array_line_d = '0;
      for (int j = 0; j < PP; j++) begin
        if (lane_on_i[j] && lane_bank_i[4*j+:4] == 4'(b)) begin
          array_en_d   = 1'b1;
          array_line_d = array_line_d | LineW'(lane_line_i[16*j+:16]);
        end
      end
    end

    // Second port.
    logic result_here, residual_here, load_here, store_here, other_read_q;
    logic [1:0] other_write_q;
    logic [LineW-1:0] other_line_q;
    logic [Word-1:0] other_wdata_q;
    assign result_here = result_valid && result_bank_i == 4'(b);
    assign residual_here = residual_valid_i && residual_bank_i == 4'(b) && !result_here;
    assign load_here = load_valid_i && load_bank_i == 4'(b) && !result_here && !residual_here;
    assign store_here = store_valid_i && store_bank_i == 4'(b) && !result_here && !residual_here
        && !(load_claim_i && load_bank_i == 4'(b));

    always_ff @(posedge clk_i) begin
      array_en_q    <= array_en_d;
      array_line_q  <= array_line_d;
      other_read_q  <= residual_here || store_here;
      other_write_q <= result_here ? result_halves_i : {2{load_here}};
      other_line_q  <= LineW'(result_here ? result_line_i : residual_here ? residual_line_i
          : load_here ? load_line_i : store_line_i);
      other_wdata_q <= result_here ? result_data_i : load_data_i;
    end

    // Low and high halves of the bytes are in separate RAMs, so either can be written alone.
    for (genvar h = 0; h < 2; h++) begin : gen_half
      logic [4*PI-1:0] array_half, other_half, wdata_half;
      for (genvar i = 0; i < PI; i++) begin : gen_byte
        assign wdata_half[4*i+:4] = other_wdata_q[8*i+4*h+:4];
        assign array_data[Word*b+8*i+4*h+:4] = array_half[4*i+:4];
        assign other_data[Word*b+8*i+4*h+:4] = other_half[4*i+:4];
      end
      ram_1r1rw #(
          .Width(4 * PI),
          .Lines(Lines)
      ) u_ram (
          .clk_i,
          .a_en_i   (array_en_q),
          .a_line_i (array_line_q),
          .a_data_o (array_half),
          .b_en_i   (other_read_q || other_write_q[h]),
          .b_write_i(other_write_q[h]),
          .b_line_i (other_line_q),
          .b_data_i (wdata_half),
          .b_data_o (other_half)
      );
    end
  end

  for (genvar j = 0; j < PP; j++) begin : gen_lane
    logic on_q, on_q2;
    logic [3:0] bank_q, bank_q2;
    logic [Word-1:0] picked;
    always_comb begin
      picked = '0;
      for (int b = 0; b < Banks; b++) if (bank_q2 == 4'(b)) picked = picked | array_data[Word*b+:Word];
    end
    always_ff @(posedge clk_i) begin
      on_q    <= lane_on_i[j];
      on_q2   <= on_q;
      bank_q  <= lane_bank_i[4*j+:4];
      bank_q2 <= bank_q;
      lane_data_o[Word*j+:Word] <= on_q2 ? picked : {PI{padding_i}};
    end
  end

  // Data of the second ports: one residual and one STORE word may come from different banks in a cycle.
  logic [3:0] residual_bank_q, residual_bank_q2, store_bank_q, store_bank_q2;
  logic [2:0] store_valid_q;
  logic [Word-1:0] residual_picked, store_picked;
  always_comb begin
    residual_picked = '0;
    store_picked = '0;
    for (int b = 0; b < Banks; b++) begin
      if (residual_bank_q2 == 4'(b)) residual_picked = residual_picked | other_data[Word*b+:Word];
      if (store_bank_q2 == 4'(b)) store_picked = store_picked | other_data[Word*b+:Word];
    end
  end
  always_ff @(posedge clk_i) begin
    residual_bank_q <= residual_bank_i;
    residual_bank_q2 <= residual_bank_q;
    store_bank_q <= store_bank_i;
    store_bank_q2 <= store_bank_q;
    residual_data_o <= residual_picked;
    store_rdata_o <= store_picked;
    if (!rst_ni) store_valid_q <= '0;
    else store_valid_q <= {store_valid_q[1:0], store_valid_i && store_ready_o};
  end
  assign store_rvalid_o = store_valid_q[2];
endmodule
`default_nettype wire
