// profile: write one word a complete descriptor: the cycles it started and was complete.
// Function:   word at base + index * PI: bits 31:0 start, 63:32 end, the rest 0
// Interface:  records of four sources (valid/ready) -> write bursts of one word
// Latency:    2 cycles from a record to its burst.   Throughput: as the memory's, one at a time.
// Reset:      synchronous, active low; control only
// Reference:  docs/program.md
`default_nettype none
module profile #(
    parameter int PI = 8
) (
    input  wire logic            clk_i,
    input  wire logic            rst_ni,
    input  wire logic            clear_i,
    output logic                 busy_o,
    input  wire logic [    39:0] base_i,
    input  wire logic [     3:0] record_valid_i,  // load, store, exec, END from bit 0
    output logic      [     3:0] record_ready_o,  // combinational on record_valid_i
    input  wire logic [   319:0] record_i,
    output logic                 burst_valid_o,
    input  wire logic            burst_ready_i,
    output logic      [    39:0] burst_address_o,
    output logic      [8*PI-1:0] word_o,
    input  wire logic            word_ready_i
);
  localparam int WordLog = $clog2(PI);

  typedef enum logic [1:0] {Empty, Address, Data} state_e;
  state_e state_q;

  logic room, record_valid, take;
  logic [79:0] chosen, record;
  logic [3:0] first;

  assign first = record_valid_i & (~record_valid_i + 4'd1);
  assign record_ready_o = first & {4{room}};
  always_comb begin
    chosen = '0;
    for (int s = 0; s < 4; s++) if (first[s]) chosen = chosen | record_i[80*s+:80];
  end

  fifo #(.Width(80), .Depth(8)) u_records (
      .clk_i, .rst_ni, .clear_i,
      .valid_i(record_valid_i != '0), .ready_o(room), .data_i(chosen),
      .valid_o(record_valid), .ready_i(take), .data_o(record)
  );

  assign take = state_q == Empty;
  assign burst_valid_o = state_q == Address;
  assign busy_o = record_valid_i != '0 || record_valid || state_q != Empty;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) state_q <= Empty;
    else
      unique case (state_q)
        Empty:   if (record_valid) state_q <= Address;
        Address: if (burst_ready_i) state_q <= Data;
        default: if (word_ready_i) state_q <= Empty;
      endcase
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      word_o <= (8 * PI)'(record[79:16]);
      burst_address_o <= {base_i[39:WordLog] + (40 - WordLog)'(record[15:0]), {WordLog{1'b0}}};
    end
  end

  logic unused_bits;
  assign unused_bits = &{1'b0, base_i[WordLog-1:0]};  // fetch refuses a base that is not aligned
endmodule
`default_nettype wire
