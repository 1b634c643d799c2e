// run_control: from a start to its done: cycle count, the first error, and the way back to idle.
// Function:   an error or the program's end: drain what is in flight, clear, done_o
// Interface:  start_i while idle_o; errors by priority; stop_o from an error on; done_o clears all
// Latency:    3 cycles from the last answer to done_o.   Throughput: none
// Reset:      synchronous, active low; control only
// Reference:  docs/registers.md, rtl_tb/fetch
`default_nettype none
module run_control (
    input  wire logic        clk_i,
    input  wire logic        rst_ni,
    input  wire logic        start_i,
    output logic             idle_o,
    output logic             done_o,
    output logic             stop_o,
    input  wire logic        finished_i,        // all descriptors of all inputs are complete
    input  wire logic        flying_i,          // bursts in flight
    input  wire logic        profile_busy_i,
    input  wire logic [ 4:0] error_i,           // sources, the first in priority at bit 0
    input  wire logic [39:0] error_codes_i,     // 8 bits a source
    input  wire logic [79:0] error_indices_i,   // 16 bits a source, all ones: no descriptor
    output logic      [ 7:0] error_code_o,
    output logic      [31:0] error_index_o,
    output logic      [63:0] cycles_o
);
  typedef enum logic [1:0] {Idle, Run, Drain, Clear} state_e;
  state_e state_q;

  // Long enough for a word asked from the scratchpad to arrive before the queues are cleared.
  localparam logic [3:0] Settle = 4'd15;
  logic [3:0] settle_q;
  logic [7:0] code;
  logic [15:0] index;
  logic drained;

  assign idle_o = state_q == Idle;
  assign done_o = state_q == Clear;
  assign drained = !flying_i && (stop_o ? settle_q == Settle : !profile_busy_i);

  always_comb begin
    code = error_codes_i[39:32];
    index = error_indices_i[79:64];
    for (int s = 3; s >= 0; s--) begin
      if (error_i[s]) begin
        code = error_codes_i[8*s+:8];
        index = error_indices_i[16*s+:16];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= Idle;
      stop_o <= 1'b0;
      error_code_o <= '0;
    end else begin
      unique case (state_q)
        Idle:    if (start_i) state_q <= Run;
        Run:     if (stop_o || finished_i) state_q <= Drain;
        Drain:   if (drained) state_q <= Clear;
        default: state_q <= Idle;
      endcase
      if (state_q == Idle && start_i) error_code_o <= '0;
      else if (error_i != '0 && !stop_o && !idle_o) error_code_o <= code;
      stop_o <= (stop_o || (error_i != '0 && !idle_o)) && state_q != Clear;
    end
  end

  always_ff @(posedge clk_i) begin
    settle_q <= state_q == Drain && stop_o ? settle_q + 4'(settle_q != Settle) : '0;
    if (state_q == Idle && start_i) begin
      cycles_o <= '0;
      error_index_o <= '1;
    end else if (!idle_o) begin
      cycles_o <= cycles_o + 64'd1;
      if (error_i != '0 && !stop_o) error_index_o <= {{16{&index}}, index};
    end
  end
endmodule
`default_nettype wire
