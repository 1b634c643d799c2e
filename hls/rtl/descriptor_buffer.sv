// descriptor_buffer: words from memory in, whole 64-byte descriptors out, in distributed RAM.
// Function:   beat b of a descriptor goes to column b; offered once its last beat is in
// Interface:  beats always taken (ask only while room_o); descriptor valid, take_i removes it
// Latency:    1 cycle from the last beat.   Throughput: 1 beat and 1 descriptor per cycle.
// Reset:      synchronous, active low; the counters only
// Reference:  rtl_tb/fetch
`default_nettype none
module descriptor_buffer #(
    parameter int PI = 8,
    parameter int Slots = 4  // a power of two
) (
    input  wire logic            clk_i,
    input  wire logic            rst_ni,
    input  wire logic            clear_i,
    input  wire logic            request_i,  // a descriptor was asked for
    output logic                 room_o,     // one more may be asked for
    input  wire logic            rvalid_i,
    input  wire logic [8*PI-1:0] rdata_i,
    output logic                 valid_o,
    output logic      [program_pkg::DESCRIPTOR_BITS-1:0] desc_o,
    input  wire logic            take_i
);
  localparam int Beats = 64 / PI;
  localparam int BeatW = $clog2(Beats);
  localparam int SlotW = $clog2(Slots);

  logic [SlotW:0] asked_q, full_q;  // slots asked for and not taken yet; slots complete
  logic [SlotW-1:0] write_q, read_q;
  logic [BeatW-1:0] beat_q;
  logic complete;

  assign room_o = asked_q != (SlotW + 1)'(Slots);
  assign valid_o = full_q != '0;
  assign complete = rvalid_i && beat_q == BeatW'(Beats - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      asked_q <= '0;
      full_q <= '0;
      write_q <= '0;
      read_q <= '0;
      beat_q <= '0;
    end else begin
      asked_q <= asked_q + (SlotW + 1)'(request_i) - (SlotW + 1)'(take_i);
      full_q <= full_q + (SlotW + 1)'(complete) - (SlotW + 1)'(take_i);
      write_q <= write_q + SlotW'(complete);
      read_q <= read_q + SlotW'(take_i);
      beat_q <= beat_q + BeatW'(rvalid_i);
    end
  end

  for (genvar b = 0; b < Beats; b++) begin : gen_column
    (* ram_style = "distributed" *) logic [8*PI-1:0] column[Slots];
    always_ff @(posedge clk_i) if (rvalid_i && beat_q == BeatW'(b)) column[write_q] <= rdata_i;
    assign desc_o[8*PI*b+:8*PI] = column[read_q];
  end
endmodule
`default_nettype wire
