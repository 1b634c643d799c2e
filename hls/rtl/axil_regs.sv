// axil_regs: the control registers, laid out as Vitis HLS lays out s_axilite with ap_ctrl_hs.
// Function:   arguments to the engine, its status back, start, abort, done and the interrupt
// Interface:  s_axi_control (AXI4-Lite; always OKAY, unknown offsets read 0) <-> plain wires
// Latency:    2 cycles an access.   Throughput: 1 access in 3 cycles.
// Reset:      synchronous, active low; control only, the arguments keep what was written
// Reference:  hls/program/registers.py; docs/registers.md
`default_nettype none
module axil_regs #(
    parameter bit [31:0] Identity = 32'd0
) (
    input  wire logic         clk_i,
    input  wire logic         rst_ni,
    output logic              irq_o,
    input  wire logic [ 15:0] s_axi_control_awaddr,
    input  wire logic         s_axi_control_awvalid,
    output logic              s_axi_control_awready,
    input  wire logic [ 31:0] s_axi_control_wdata,
    input  wire logic [  3:0] s_axi_control_wstrb,
    input  wire logic         s_axi_control_wvalid,
    output logic              s_axi_control_wready,
    output logic      [  1:0] s_axi_control_bresp,
    output logic              s_axi_control_bvalid,
    input  wire logic         s_axi_control_bready,
    input  wire logic [ 15:0] s_axi_control_araddr,
    input  wire logic         s_axi_control_arvalid,
    output logic              s_axi_control_arready,
    output logic      [ 31:0] s_axi_control_rdata,
    output logic      [  1:0] s_axi_control_rresp,
    output logic              s_axi_control_rvalid,
    input  wire logic         s_axi_control_rready,
    output logic              start_o,
    output logic              abort_o,
    output logic      [ 39:0] program_o,
    output logic      [ 39:0] profile_o,
    output logic      [159:0] space_base_o,   // weights, input, output, scratch from bit 0
    output logic      [127:0] space_bytes_o,
    output logic      [ 31:0] inputs_o,
    output logic              resident_o,
    input  wire logic         idle_i,
    input  wire logic         done_i,
    input  wire logic [  7:0] error_code_i,
    input  wire logic [ 31:0] error_index_i,
    input  wire logic [ 63:0] cycles_i,
    input  wire logic [ 15:0] exec_index_i
);

  logic write_q, read_q;  // the access that is taken in this cycle
  logic [15:0] write_offset, read_offset;
  logic done_q, interrupt_on_q, done_enable_q, done_status_q, start_q, abort_q;
  logic control_write, control_read, written_bit;
  logic [31:0] runs_q, counter_q, read_data;
  logic unused_bits;
  // A register is a whole word.
  assign unused_bits = &{1'b0, s_axi_control_awaddr[1:0], s_axi_control_araddr[1:0]};

  assign s_axi_control_bresp = 2'b00;
  assign s_axi_control_rresp = 2'b00;
  assign s_axi_control_awready = write_q;
  assign s_axi_control_wready = write_q;
  assign s_axi_control_arready = read_q;
  assign write_offset = {s_axi_control_awaddr[15:2], 2'b00};
  assign read_offset = {s_axi_control_araddr[15:2], 2'b00};
  assign control_write = write_q && s_axi_control_wstrb[0];
  assign written_bit = s_axi_control_wdata[0];
  assign control_read = read_q && read_offset == register_pkg::REG_CTRL;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= 1'b0;
      read_q <= 1'b0;
      s_axi_control_bvalid <= 1'b0;
      s_axi_control_rvalid <= 1'b0;
    end else begin
      write_q <= s_axi_control_awvalid && s_axi_control_wvalid && !write_q && !s_axi_control_bvalid;
      read_q <= s_axi_control_arvalid && !read_q && !s_axi_control_rvalid;
      s_axi_control_bvalid <= write_q || (s_axi_control_bvalid && !s_axi_control_bready);
      s_axi_control_rvalid <= read_q || (s_axi_control_rvalid && !s_axi_control_rready);
    end
  end

  // ---- Control
  assign start_o = start_q;
  assign abort_o = abort_q;
  assign irq_o = interrupt_on_q && done_status_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      start_q <= 1'b0;
      abort_q <= 1'b0;
      done_q <= 1'b0;
      interrupt_on_q <= 1'b0;
      done_enable_q <= 1'b0;
      done_status_q <= 1'b0;
      runs_q <= '0;
      counter_q <= '0;
    end else begin
      start_q <= control_write && write_offset == register_pkg::REG_CTRL && written_bit;
      abort_q <= write_q && write_offset == register_pkg::REG_CTRL &&
          s_axi_control_wstrb[register_pkg::CTRL_ABORT/8] && s_axi_control_wdata[register_pkg::CTRL_ABORT];
      done_q <= done_i || (done_q && !control_read);
      if (control_write && write_offset == register_pkg::REG_GIE) interrupt_on_q <= written_bit;
      if (control_write && write_offset == register_pkg::REG_IER) done_enable_q <= written_bit;
      if (done_i && done_enable_q) done_status_q <= 1'b1;
      else if (control_write && write_offset == register_pkg::REG_ISR)
        done_status_q <= done_status_q ^ written_bit;
      runs_q <= runs_q + 32'(done_i);
      counter_q <= counter_q + 32'd1;
    end
  end

  // ---- Arguments
  function automatic logic [31:0] merge(input logic [31:0] old);
    for (int b = 0; b < 4; b++)
      merge[8*b+:8] = s_axi_control_wstrb[b] ? s_axi_control_wdata[8*b+:8] : old[8*b+:8];
  endfunction

  always_ff @(posedge clk_i) begin
    if (write_q) begin
      unique case (write_offset)
        register_pkg::REG_PROGRAM_LO:    program_o[31:0] <= merge(program_o[31:0]);
        register_pkg::REG_WEIGHTS_LO:    space_base_o[31:0] <= merge(space_base_o[31:0]);
        register_pkg::REG_INPUT_LO:      space_base_o[71:40] <= merge(space_base_o[71:40]);
        register_pkg::REG_OUTPUT_LO:     space_base_o[111:80] <= merge(space_base_o[111:80]);
        register_pkg::REG_SCRATCH_LO:    space_base_o[151:120] <= merge(space_base_o[151:120]);
        register_pkg::REG_PROFILE_LO:    profile_o[31:0] <= merge(profile_o[31:0]);
        register_pkg::REG_INPUTS:        inputs_o <= merge(inputs_o);
        register_pkg::REG_WEIGHTS_BYTES: space_bytes_o[31:0] <= merge(space_bytes_o[31:0]);
        register_pkg::REG_INPUT_BYTES:   space_bytes_o[63:32] <= merge(space_bytes_o[63:32]);
        register_pkg::REG_OUTPUT_BYTES:  space_bytes_o[95:64] <= merge(space_bytes_o[95:64]);
        register_pkg::REG_SCRATCH_BYTES: space_bytes_o[127:96] <= merge(space_bytes_o[127:96]);
        default: ;
      endcase
    end
    if (control_write) begin
      unique case (write_offset)
        register_pkg::REG_PROGRAM_HI: program_o[39:32] <= s_axi_control_wdata[7:0];
        register_pkg::REG_WEIGHTS_HI: space_base_o[39:32] <= s_axi_control_wdata[7:0];
        register_pkg::REG_INPUT_HI:   space_base_o[79:72] <= s_axi_control_wdata[7:0];
        register_pkg::REG_OUTPUT_HI:  space_base_o[119:112] <= s_axi_control_wdata[7:0];
        register_pkg::REG_SCRATCH_HI: space_base_o[159:152] <= s_axi_control_wdata[7:0];
        register_pkg::REG_PROFILE_HI: profile_o[39:32] <= s_axi_control_wdata[7:0];
        register_pkg::REG_FLAGS:      resident_o <= s_axi_control_wdata[0];
        default: ;
      endcase
    end
  end

  // ---- Reads
  always_comb begin
    unique case (read_offset)
      register_pkg::REG_CTRL:          read_data = {28'd0, done_q, idle_i, done_q, !idle_i};
      register_pkg::REG_GIE:           read_data = 32'(interrupt_on_q);
      register_pkg::REG_IER:           read_data = 32'(done_enable_q);
      register_pkg::REG_ISR:           read_data = 32'(done_status_q);
      register_pkg::REG_PROGRAM_LO:    read_data = program_o[31:0];
      register_pkg::REG_PROGRAM_HI:    read_data = 32'(program_o[39:32]);
      register_pkg::REG_WEIGHTS_LO:    read_data = space_base_o[31:0];
      register_pkg::REG_WEIGHTS_HI:    read_data = 32'(space_base_o[39:32]);
      register_pkg::REG_INPUT_LO:      read_data = space_base_o[71:40];
      register_pkg::REG_INPUT_HI:      read_data = 32'(space_base_o[79:72]);
      register_pkg::REG_OUTPUT_LO:     read_data = space_base_o[111:80];
      register_pkg::REG_OUTPUT_HI:     read_data = 32'(space_base_o[119:112]);
      register_pkg::REG_SCRATCH_LO:    read_data = space_base_o[151:120];
      register_pkg::REG_SCRATCH_HI:    read_data = 32'(space_base_o[159:152]);
      register_pkg::REG_PROFILE_LO:    read_data = profile_o[31:0];
      register_pkg::REG_PROFILE_HI:    read_data = 32'(profile_o[39:32]);
      register_pkg::REG_INPUTS:        read_data = inputs_o;
      register_pkg::REG_FLAGS:         read_data = 32'(resident_o);
      register_pkg::REG_WEIGHTS_BYTES: read_data = space_bytes_o[31:0];
      register_pkg::REG_INPUT_BYTES:   read_data = space_bytes_o[63:32];
      register_pkg::REG_OUTPUT_BYTES:  read_data = space_bytes_o[95:64];
      register_pkg::REG_SCRATCH_BYTES: read_data = space_bytes_o[127:96];
      register_pkg::REG_ERROR:         read_data = 32'(error_code_i);
      register_pkg::REG_ERROR_INDEX:   read_data = error_index_i;
      register_pkg::REG_CYCLES_LO:     read_data = cycles_i[31:0];
      register_pkg::REG_CYCLES_HI:     read_data = cycles_i[63:32];
      register_pkg::REG_RUNS:          read_data = runs_q;
      register_pkg::REG_IDENTITY:      read_data = Identity;
      register_pkg::REG_VERSION:       read_data = program_pkg::VERSION;
      register_pkg::REG_CYCLE_COUNTER: read_data = counter_q;
      register_pkg::REG_EXEC_INDEX:    read_data = 32'(exec_index_i);
      default:           read_data = '0;
    endcase
  end

  always_ff @(posedge clk_i) if (read_q) s_axi_control_rdata <= read_data;
endmodule
`default_nettype wire
