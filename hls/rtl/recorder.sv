// recorder: count a unit's complete descriptors to the profile: which, started when, complete when.
// Function:   a record (complete, start, index) for each done_i while enable_i, held until taken
// Interface:  done_i only while ready_o; record valid/ready
// Latency:    1 cycle.   Throughput: 1 record in 2 cycles while the profile takes them.
// Reset:      synchronous, active low; valid only
// Reference:  docs/program.md, Profile
`default_nettype none
module recorder (
    input  wire logic        clk_i,
    input  wire logic        rst_ni,
    input  wire logic        clear_i,
    input  wire logic        enable_i,
    input  wire logic        done_i,
    output logic             ready_o,
    input  wire logic [15:0] index_i,
    input  wire logic [31:0] start_i,
    input  wire logic [31:0] now_i,
    output logic             record_valid_o,
    input  wire logic        record_ready_i,
    output logic      [79:0] record_o
);
  assign ready_o = !record_valid_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) record_valid_o <= 1'b0;
    else record_valid_o <= record_valid_o ? !record_ready_i : done_i && enable_i;
  end

  always_ff @(posedge clk_i) if (done_i && ready_o) record_o <= {now_i, start_i, index_i};
endmodule
`default_nettype wire
