// exec_unit: hand EXEC descriptors to the compute module, one at a time, and note when each ran.
// Function:   offers a descriptor whose waits are met; done_o when the compute module says so
// Interface:  pending descriptor (valid/ready) -> compute (valid/ready, done pulse)
// Latency:    0 cycles.   Throughput: as the compute module.
// Reset:      synchronous, active low; control only
// Reference:  rtl_tb/fetch
`default_nettype none
module exec_unit (
    input  wire logic        clk_i,
    input  wire logic        rst_ni,
    input  wire logic        clear_i,
    output logic             busy_o,
    input  wire logic [31:0] now_i,
    input  wire logic        profile_on_i,
    input  wire logic        desc_valid_i,
    output logic             desc_ready_o,    // combinational on exec_ready_i
    input  wire logic [15:0] desc_index_i,
    output logic             exec_valid_o,
    input  wire logic        exec_ready_i,
    input  wire logic        exec_done_i,
    output logic             done_o,
    output logic      [15:0] index_o,         // descriptor in progress, or the last one
    output logic             record_valid_o,
    input  wire logic        record_ready_i,
    output logic      [79:0] record_o
);
  logic [31:0] start_q;
  logic take, record_free;

  // The next one starts only when the last one's record is out: its own end then finds room.
  assign exec_valid_o = desc_valid_i && record_free;
  assign take = exec_valid_o && exec_ready_i;
  assign desc_ready_o = record_free && exec_ready_i;
  assign done_o = exec_done_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) busy_o <= 1'b0;
    else busy_o <= take || (busy_o && !exec_done_i);
  end

  always_ff @(posedge clk_i) begin
    if (take) start_q <= now_i;
    if (!rst_ni) index_o <= '0;
    else if (take) index_o <= desc_index_i;
  end

  recorder u_recorder (
      .clk_i, .rst_ni, .clear_i,
      .enable_i(profile_on_i),
      .done_i(exec_done_i), .ready_o(record_free),
      .index_i(index_o), .start_i(start_q), .now_i,
      .record_valid_o, .record_ready_i, .record_o
  );
endmodule
`default_nettype wire
