// burst_split: the AXI bursts of one move, bounds checked before any burst.
// Function:   address = base(space) + advance + offset + s * stride; <= 16 beats, 4 KiB kept
// Interface:  job -> bursts (byte address, beats), valid/ready; out_of_bounds_o stays until clear
// Latency:    4 cycles to the first burst.   Throughput: a burst every 2 cycles, a segment every 4.
// Reset:      synchronous, active low; the state only
// Reference:  hls/program/moves.py, bursts()
`default_nettype none
module burst_split #(
    parameter int PI = 8
) (
    input  wire logic                         clk_i,
    input  wire logic                         rst_ni,
    input  wire logic                         clear_i,
    input  wire logic [                159:0] space_base_i,    // 40-bit byte address a space
    input  wire logic [                127:0] space_bytes_i,   // 32-bit size a space
    input  wire logic                         job_valid_i,
    output logic                              job_ready_o,
    input  wire logic [                  1:0] job_space_i,
    input  wire logic [     32-$clog2(PI):0]  job_advance_i,   // words, of its input in its space
    input  wire logic [     31-$clog2(PI):0]  job_offset_i,
    input  wire logic [     31-$clog2(PI):0]  job_stride_i,
    input  wire logic [                 31:0] job_words_i,     // words a segment, not 0
    input  wire logic [                 15:0] job_segments_i,  // not 0
    output logic                              burst_valid_o,
    input  wire logic                         burst_ready_i,
    output logic      [                 39:0] burst_address_o,
    output logic      [                  4:0] burst_beats_o,
    output logic                              burst_last_o,
    output logic                              out_of_bounds_o
);
  localparam int WordLog = $clog2(PI);
  localparam int AddressW = 40 - WordLog;  // addresses, offsets and sizes are in words
  localparam int SpaceW = 32 - WordLog;
  localparam int OffsetW = SpaceW + 2;  // holds offset + advance, and one stride more
  localparam int PageW = 12 - WordLog;

  typedef enum logic [2:0] {Idle, Bound, Check, Length, Send, Fault} state_e;
  state_e state_q;

  logic [AddressW-1:0] base_q, address_q;
  logic [SpaceW-1:0] limit_q, stride_q;
  logic [OffsetW-1:0] offset_q;
  logic [33:0] end_q;
  logic [31:0] words_q, left_q;
  logic [15:0] segments_q;
  logic [4:0] beats_q, room;
  logic final_q;

  assign job_ready_o = state_q == Idle;
  assign burst_valid_o = state_q == Send;
  assign burst_address_o = {address_q, {WordLog{1'b0}}};
  assign burst_beats_o = beats_q;
  assign burst_last_o = final_q && segments_q == 16'd1;
  assign out_of_bounds_o = state_q == Fault;

  // Sixteen beats pass a page's end only from its last sixteen words.
  assign room = (&address_q[PageW-1:4]) ? 5'd16 - 5'(address_q[3:0]) : 5'd16;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) state_q <= Idle;
    else
      unique case (state_q)
        Idle:    if (job_valid_i) state_q <= Bound;
        Bound:   state_q <= Check;
        Check:   state_q <= end_q > 34'(limit_q) ? Fault : Length;
        Length:  state_q <= Send;
        Send:    if (burst_ready_i) state_q <= !final_q ? Length : burst_last_o ? Idle : Bound;
        default: state_q <= Fault;
      endcase
  end

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      Idle: begin
        base_q <= space_base_i[40*job_space_i+WordLog+:AddressW];
        limit_q <= space_bytes_i[32*job_space_i+WordLog+:SpaceW];
        offset_q <= OffsetW'(job_offset_i) + OffsetW'(job_advance_i);
        stride_q <= job_stride_i;
        words_q <= job_words_i;
        segments_q <= job_segments_i;
      end
      Bound: begin
        end_q <= 34'(offset_q) + 34'(words_q);
        address_q <= base_q + AddressW'(offset_q);
        left_q <= words_q;
      end
      Length: begin
        beats_q <= left_q > 32'(room) ? room : left_q[4:0];
        final_q <= left_q <= 32'(room);
      end
      Send:
      if (burst_ready_i) begin
        address_q <= address_q + AddressW'(beats_q);
        left_q <= left_q - 32'(beats_q);
        if (final_q) begin
          offset_q <= offset_q + OffsetW'(stride_q);
          segments_q <= segments_q - 16'd1;
        end
      end
      default: ;
    endcase
  end
endmodule
`default_nettype wire
