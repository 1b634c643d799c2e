// mac_array: PP pixels x PI input x PO output channels of 8-bit multiply-accumulate, twice that of packed 4-bit, or maxima.
// Function:   acc[p][o] = sum over the group's cycles of sum_i(act[p][i] * weight[o][i]); max: acc[p][i] = max(act[p][i])
//             packed: a byte holds input channels i (low half) and PI + i (high half) of activation and weight alike
// Interface:  operands with first/last marks in; done_o a cycle in which acc_o holds a finished group
// Latency:    7 cycles from the last operands to done_o.   Throughput: 1 operand set per cycle (II = 1).
// Reset:      synchronous, active low; marks only.
// Reference:  model/graph/reference.py
`default_nettype none
module mac_array #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int PP = 6
) (
    input  wire logic                  clk_i,
    input  wire logic                  rst_ni,
    input  wire logic                  valid_i,
    input  wire logic                  first_i,
    input  wire logic                  last_i,
    input  wire logic                  is_max_i,     // held during a descriptor
    input  wire logic                  packed_i,     // held during a descriptor
    input  wire logic                  in_signed_i,  // held during a descriptor
    input  wire logic [ 8*PI*PP-1:0]   act_i,        // pixel p, lane i at byte p*PI + i
    input  wire logic [ 8*PI*PO-1:0]   weight_i,     // output lane o, input lane i at byte o*PI + i
    output logic                       done_o,
    output logic [32*PO*PP-1:0]        acc_o         // pixel p, output lane o at word p*PO + o
);
  localparam int Pairs = PO / 2;
  localparam int Halves = PP / 2;    // packed: row s of multipliers takes pixels 2s and 2s+1, low channels; row
                                     // Halves + s the same pixels, high channels
  localparam int SumLatency = 6;     // operand register, mac_pair, join

  logic [SumLatency-1:0] valid_q, first_q, last_q;
  always_ff @(posedge clk_i) begin
    first_q <= {first_q[SumLatency-2:0], first_i};
    if (!rst_ni) begin
      valid_q <= '0;
      last_q  <= '0;
      done_o  <= 1'b0;
    end else begin
      valid_q <= {valid_q[SumLatency-2:0], valid_i};
      last_q  <= {last_q[SumLatency-2:0], last_i & valid_i};
      done_o  <= last_q[SumLatency-1];
    end
  end

  // ---- Weight operands, shared by all pixels: one for each half of the bytes; 8-bit weights use them alike.
  logic [2*25*PI*Pairs-1:0] operands;
  for (genvar h = 0; h < 2; h++) begin : gen_half
    for (genvar q = 0; q < Pairs; q++) begin : gen_pack
      for (genvar i = 0; i < PI; i++) begin : gen_lane
        logic [7:0] byte0, byte1;
        logic signed [3:0] nibble0, nibble1;
        logic signed [24:0] operand_q;
        assign byte0 = weight_i[8*((2*q)*PI+i)+:8];
        assign byte1 = weight_i[8*((2*q+1)*PI+i)+:8];
        assign nibble0 = byte0[4*h+:4];
        assign nibble1 = byte1[4*h+:4];
        always_ff @(posedge clk_i) begin
          if (packed_i) operand_q <= 25'($signed({nibble1, 20'd0})) + 25'(nibble0);
          else operand_q <= 25'({byte1, 17'd0}) + 25'($signed(byte0));
        end
        assign operands[25*((h*Pairs+q)*PI+i)+:25] = operand_q;
      end
    end
  end

  // ---- Multiplier rows.
  logic [48*Pairs*PP-1:0] row_sums;
  for (genvar p = 0; p < PP; p++) begin : gen_row
    localparam int High = p >= Halves && p < 2 * Halves ? 1 : 0;
    localparam int Even = 2 * (p % (Halves > 0 ? Halves : 1));
    localparam int Odd = Even + 1 < PP ? Even + 1 : Even;
    logic [15*PI-1:0] act;
    logic [9*PI-1:0] codes;
    for (genvar i = 0; i < PI; i++) begin : gen_act
      logic [7:0] own;
      logic [3:0] even, odd;
      logic signed [14:0] act_q;
      assign own = act_i[8*(p*PI+i)+:8];
      assign even = act_i[8*(Even*PI+i)+4*High+:4];
      assign odd = act_i[8*(Odd*PI+i)+4*High+:4];
      always_ff @(posedge clk_i) begin
        if (packed_i) act_q <= 15'({in_signed_i & odd[3], odd, 10'd0}) + 15'($signed({in_signed_i & even[3], even}));
        else act_q <= 15'($signed({in_signed_i & own[7], own}));
      end
      assign act[15*i+:15] = act_q;
      assign codes[9*i+:9] = act_q[8:0];
    end
    for (genvar q = 0; q < Pairs; q++) begin : gen_pair
      logic [17:0] candidate;
      if (2 * q < PI) begin : gen_candidate
        assign candidate = codes[18*q+:18];
      end else begin : gen_no_candidate
        assign candidate = '0;
      end
      mac_pair #(
          .PI(PI)
      ) u_pair (
          .clk_i,
          .packed_i,
          .is_max_i,
          .act_i      (act),
          .weight_i   (operands[25*PI*(High*Pairs+q)+:25*PI]),
          .candidate_i(candidate),
          .sum0_o     (row_sums[48*(p*Pairs+q)+:24]),
          .sum1_o     (row_sums[48*(p*Pairs+q)+24+:24])
      );
    end
  end

  // ---- Packed rows: high and low channels join, then each sum splits into two pixels.
  logic [12*PO*PP-1:0] fields;
  for (genvar r = 0; r < Halves; r++) begin : gen_join
    for (genvar o = 0; o < PO; o++) begin : gen_lane
      logic [23:0] joined;
      assign joined = row_sums[48*(r*Pairs+o/2)+24*(o%2)+:24] + row_sums[48*((r+Halves)*Pairs+o/2)+24*(o%2)+:24];
      assign fields[12*(2*r*PO+o)+:12] = joined[11:0];
      assign fields[12*((2*r+1)*PO+o)+:12] = joined[23:12] + 12'(joined[11]);
    end
  end
  if (2 * Halves < PP) begin : gen_unpaired
    assign fields[12*PO*PP-1:12*PO*2*Halves] = '0;
  end

  // ---- Accumulators.
  logic start, valid;
  assign start = first_q[SumLatency-1];
  assign valid = valid_q[SumLatency-1];
  for (genvar p = 0; p < PP; p++) begin : gen_pixel
    for (genvar o = 0; o < PO; o++) begin : gen_lane
      logic signed [23:0] sum_q;
      logic signed [31:0] acc_q;
      logic beaten;
      always_ff @(posedge clk_i) begin
        if (packed_i) sum_q <= 24'($signed(fields[12*(p*PO+o)+:12]));
        else sum_q <= row_sums[48*(p*Pairs+o/2)+24*(o%2)+:24];
      end
      // A maximum that wins replaces the accumulator, one that loses leaves it.
      assign beaten = is_max_i && !start && $signed(sum_q[8:0]) <= $signed(acc_q[8:0]);
      always_ff @(posedge clk_i) begin
        if (valid && !beaten) acc_q <= (start || is_max_i ? 32'sd0 : acc_q) + 32'(sum_q);
      end
      assign acc_o[32*(p*PO+o)+:32] = acc_q;
    end
  end
endmodule
`default_nettype wire
