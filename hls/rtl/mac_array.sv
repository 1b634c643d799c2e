// mac_array: PP pixels x PI input x PO output channels of multiply-accumulate, or PP x PI maxima.
// Function:   acc[p][o] = sum over the group's cycles of sum_i(act[p][i] * weight[o][i]); max: acc[p][i] = max(act[p][i])
// Interface:  operands with first/last marks in; done_o a cycle in which acc_o holds a finished group
// Latency:    6 cycles from the last operands to done_o.   Throughput: 1 operand set per cycle (II = 1).
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
    input  wire logic                  in_signed_i,  // held during a descriptor
    input  wire logic [ 8*PI*PP-1:0]   act_i,        // pixel p, lane i at byte p*PI + i
    input  wire logic [ 8*PI*PO-1:0]   weight_i,     // output lane o, input lane i at byte o*PI + i
    output logic                       done_o,
    output logic [32*PO*PP-1:0]        acc_o         // pixel p, output lane o at word p*PO + o
);
  localparam int Pairs = PO / 2;
  localparam int SumLatency = 5;  // operand register and mac_pair

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

  // Packed weights, shared by all pixels.
  logic [25*PI*Pairs-1:0] packed_all;
  for (genvar q = 0; q < Pairs; q++) begin : gen_pack
    for (genvar i = 0; i < PI; i++) begin : gen_lane
      logic signed [7:0] w0, w1;
      logic signed [24:0] packed_q;
      assign w0 = weight_i[8*((2*q)*PI+i)+:8];
      assign w1 = weight_i[8*((2*q+1)*PI+i)+:8];
      always_ff @(posedge clk_i) packed_q <= 25'({w1, 17'd0}) + 25'(w0);
      assign packed_all[25*(q*PI+i)+:25] = packed_q;
    end
  end

  for (genvar p = 0; p < PP; p++) begin : gen_pixel
    logic [9*PI-1:0] act;
    logic [9*PI-1:0] maximum;
    for (genvar i = 0; i < PI; i++) begin : gen_act
      logic [7:0] code;
      logic signed [8:0] act_q, act_q2, act_q3, act_q4, act_q5;
      assign code = act_i[8*(p*PI+i)+:8];
      always_ff @(posedge clk_i) begin
        act_q  <= {in_signed_i & code[7], code};
        act_q2 <= act_q;
        act_q3 <= act_q2;
        act_q4 <= act_q3;
        act_q5 <= act_q4;
      end
      assign act[9*i+:9] = act_q;
      assign maximum[9*i+:9] = act_q5;
    end

    for (genvar q = 0; q < Pairs; q++) begin : gen_pair
      logic [47:0] sums;
      mac_pair #(
          .PI(PI)
      ) u_pair (
          .clk_i,
          .act_i   (act),
          .weight_i(packed_all[25*PI*q+:25*PI]),
          .sum0_o  (sums[23:0]),
          .sum1_o  (sums[47:24])
      );
      for (genvar h = 0; h < 2; h++) begin : gen_acc
        localparam int Lane = 2 * q + h;
        logic signed [31:0] acc_q, sum, best;
        assign sum = 32'($signed(sums[24*h+:24]));
        if (Lane < PI) begin : gen_max
          logic signed [31:0] candidate;
          assign candidate = 32'($signed(maximum[9*Lane+:9]));
          assign best = (first_q[SumLatency-1] || candidate > acc_q) ? candidate : acc_q;
        end else begin : gen_no_max
          assign best = '0;
        end
        always_ff @(posedge clk_i) begin
          if (valid_q[SumLatency-1]) begin
            if (is_max_i) acc_q <= best;
            else acc_q <= (first_q[SumLatency-1] ? 32'sd0 : acc_q) + sum;
          end
        end
        assign acc_o[32*(p*PO+Lane)+:32] = acc_q;
      end
    end
  end
endmodule
`default_nettype wire
