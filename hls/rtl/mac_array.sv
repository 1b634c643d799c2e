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
  localparam int CodeBits = datapath_pkg::CODE_BITS;
  localparam int ActBits = datapath_pkg::ACT_BITS;
  localparam int WeightBits = datapath_pkg::WEIGHT_BITS;
  localparam int Wide = datapath_pkg::WIDE_SPACING;
  localparam int Narrow = datapath_pkg::NARROW_SPACING;
  localparam int FieldBits = PI == 8 ? datapath_pkg::PI8_FIELD_BITS : datapath_pkg::PI16_FIELD_BITS;
  localparam int SumBits = PI == 8 ? datapath_pkg::PI8_SUM_BITS : datapath_pkg::PI16_SUM_BITS;
  localparam int EntryBits = PI == 8 ? datapath_pkg::PI8_ENTRY_BITS : datapath_pkg::PI16_ENTRY_BITS;
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
  // Those of the high halves are read where there are pairs of pixels.
  // verilator lint_off UNUSEDSIGNAL
  logic [2*WeightBits*PI*Pairs-1:0] operands;
  // verilator lint_on UNUSEDSIGNAL
  for (genvar h = 0; h < 2; h++) begin : gen_half
    for (genvar q = 0; q < Pairs; q++) begin : gen_pack
      for (genvar i = 0; i < PI; i++) begin : gen_lane
        logic [7:0] byte0, byte1;
        logic signed [3:0] nibble0, nibble1;
        logic signed [WeightBits-1:0] operand_q;
        assign byte0 = weight_i[8*((2*q)*PI+i)+:8];
        assign byte1 = weight_i[8*((2*q+1)*PI+i)+:8];
        assign nibble0 = byte0[4*h+:4];
        assign nibble1 = byte1[4*h+:4];
        always_ff @(posedge clk_i) begin
          if (packed_i) operand_q <= (WeightBits'(nibble1) <<< 2 * Narrow) + WeightBits'(nibble0);
          else operand_q <= (WeightBits'($signed(byte1)) <<< Wide) + WeightBits'($signed(byte0));
        end
        assign operands[WeightBits*((h*Pairs+q)*PI+i)+:WeightBits] = operand_q;
      end
    end
  end

  // ---- Multiplier rows.
  // Row p, output lane o at place p*2*Pairs + o. An odd number of pixels leaves a row that holds no pairs of fields.
  // verilator lint_off UNUSEDSIGNAL
  logic [2*SumBits*Pairs*PP-1:0] row_sums;
  // verilator lint_on UNUSEDSIGNAL
  for (genvar p = 0; p < PP; p++) begin : gen_row
    localparam int High = p >= Halves && p < 2 * Halves ? 1 : 0;
    localparam int Even = 2 * (p % (Halves > 0 ? Halves : 1));
    localparam int Odd = Even + 1 < PP ? Even + 1 : Even;
    logic [ActBits*PI-1:0] act;
    logic [CodeBits*PI-1:0] codes;
    for (genvar i = 0; i < PI; i++) begin : gen_act
      logic [7:0] own;
      logic [3:0] even, odd;
      logic signed [ActBits-1:0] act_q;
      logic signed [4:0] even_code, odd_code;
      logic signed [CodeBits-1:0] own_code;
      assign own = act_i[8*(p*PI+i)+:8];
      assign even = act_i[8*(Even*PI+i)+4*High+:4];
      assign odd = act_i[8*(Odd*PI+i)+4*High+:4];
      assign own_code = {in_signed_i & own[7], own};
      assign even_code = {in_signed_i & even[3], even};
      assign odd_code = {in_signed_i & odd[3], odd};
      always_ff @(posedge clk_i) begin
        if (packed_i) act_q <= (ActBits'(odd_code) <<< Narrow) + ActBits'(even_code);
        else act_q <= ActBits'(own_code);
      end
      assign act[ActBits*i+:ActBits] = act_q;
      assign codes[CodeBits*i+:CodeBits] = act_q[CodeBits-1:0];
    end
    for (genvar q = 0; q < Pairs; q++) begin : gen_pair
      logic [2*CodeBits-1:0] candidate;
      if (2 * q < PI) begin : gen_candidate
        assign candidate = codes[2*CodeBits*q+:2*CodeBits];
      end else begin : gen_no_candidate
        assign candidate = '0;
      end
      mac_pair #(
          .PI(PI),
          .FieldBits(FieldBits),
          .SumBits(SumBits)
      ) u_pair (
          .clk_i,
          .packed_i,
          .is_max_i,
          .act_i      (act),
          .weight_i   (operands[WeightBits*PI*(High*Pairs+q)+:WeightBits*PI]),
          .candidate_i(candidate),
          .sum0_o     (row_sums[2*SumBits*(p*Pairs+q)+:SumBits]),
          .sum1_o     (row_sums[2*SumBits*(p*Pairs+q)+SumBits+:SumBits])
      );
    end
  end

  // ---- Packed rows: high and low channels join, then each sum splits into two pixels.
  logic [FieldBits*PO*PP-1:0] fields;
  for (genvar r = 0; r < Halves; r++) begin : gen_join
    for (genvar o = 0; o < PO; o++) begin : gen_lane
      logic [SumBits-1:0] joined;
      assign joined = row_sums[SumBits*(r*2*Pairs+o)+:SumBits] + row_sums[SumBits*((r+Halves)*2*Pairs+o)+:SumBits];
      assign fields[FieldBits*(2*r*PO+o)+:FieldBits] = joined[0+:FieldBits];
      assign fields[FieldBits*((2*r+1)*PO+o)+:FieldBits] = joined[FieldBits+:FieldBits] + FieldBits'(joined[FieldBits-1]);
    end
  end
  if (2 * Halves < PP) begin : gen_unpaired
    assign fields[FieldBits*PO*PP-1:FieldBits*PO*2*Halves] = '0;
  end

  // ---- Accumulators.
  logic start, valid;
  assign start = first_q[SumLatency-1];
  assign valid = valid_q[SumLatency-1];
  for (genvar p = 0; p < PP; p++) begin : gen_pixel
    for (genvar o = 0; o < PO; o++) begin : gen_lane
      logic signed [EntryBits-1:0] sum_q;
      logic signed [31:0] acc_q;
      logic beaten;
      always_ff @(posedge clk_i) begin
        if (packed_i) sum_q <= EntryBits'($signed(fields[FieldBits*(p*PO+o)+:FieldBits]));
        else sum_q <= row_sums[SumBits*(p*2*Pairs+o)+:EntryBits];
      end
      // A maximum that wins replaces the accumulator, one that loses leaves it.
      assign beaten = is_max_i && !start && $signed(sum_q[0+:CodeBits]) <= $signed(acc_q[0+:CodeBits]);
      always_ff @(posedge clk_i) begin
        if (valid && !beaten) acc_q <= (start || is_max_i ? 32'sd0 : acc_q) + 32'(sum_q);
      end
      assign acc_o[32*(p*PO+o)+:32] = acc_q;
    end
  end
endmodule
`default_nettype wire
