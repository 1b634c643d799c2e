// fetch: run a program: read it, check it, hand each descriptor to its unit, input after input.
// Function:   a unit gets its next descriptor, in order, once the counts it waits for are reached;
//             the next input's follow those of the present one without a gap
// Interface:  start, arguments -> reads of the program; descriptors -> the units; done pulses back
// Latency:    4 cycles from the last beat to the unit.   Throughput: 1 in 2 cycles, 3 to one unit.
// Reset:      synchronous, active low; control only
// Reference:  hls/program/format.py; docs/program.md
`default_nettype none
module fetch #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int PP = 6,
    parameter int Banks = 7,
    parameter bit [31:0] Identity = 32'd0
) (
    input  wire logic                         clk_i,
    input  wire logic                         rst_ni,
    // registers
    input  wire logic                         start_i,
    input  wire logic                         abort_i,         // end the run that is under way
    input  wire logic [                 39:0] program_i,
    input  wire logic [                159:0] space_base_i,
    input  wire logic [                 39:0] profile_i,
    input  wire logic [                 31:0] inputs_i,
    input  wire logic                         resident_i,
    output logic                              idle_o,
    output logic                              done_o,
    output logic      [                  7:0] error_code_o,
    output logic      [                 31:0] error_index_o,
    output logic      [                 63:0] cycles_o,
    // memory
    output logic                              read_valid_o,
    input  wire logic                         read_ready_i,
    output logic      [                 39:0] read_address_o,
    input  wire logic                         rvalid_i,
    input  wire logic [             8*PI-1:0] rdata_i,
    input  wire logic                         rerror_i,
    input  wire logic                         flying_i,        // bursts in flight
    // units
    output logic                              stop_o,
    output logic                              clear_o,
    output logic                              load_valid_o,
    input  wire logic                         load_ready_i,
    output logic      [program_pkg::MOVE_BITS-1:0] load_desc_o,
    output logic      [                 15:0] load_index_o,
    output logic      [      32-$clog2(PI):0] load_advance_o,
    output logic                              load_skip_o,
    input  wire logic                         load_busy_i,
    input  wire logic                         load_done_i,
    output logic                              exec_valid_o,
    input  wire logic                         exec_ready_i,
    output logic      [program_pkg::DESCRIPTOR_BITS-1:0] exec_desc_o,
    output logic      [                 15:0] exec_index_o,
    input  wire logic                         exec_busy_i,
    input  wire logic                         exec_done_i,
    input  wire logic                         exec_bad_field_i,  // of the descriptor that EXEC works on
    input  wire logic                         exec_beyond_i,
    input  wire logic [                 15:0] exec_index_i,
    output logic                              store_valid_o,
    input  wire logic                         store_ready_i,
    output logic      [program_pkg::MOVE_BITS-1:0] store_desc_o,
    output logic      [                 15:0] store_index_o,
    output logic      [      32-$clog2(PI):0] store_advance_o,
    input  wire logic                         store_busy_i,
    input  wire logic                         store_done_i,
    // profile
    output logic                              profile_on_o,
    input  wire logic                         profile_busy_i,
    output logic                              record_valid_o,  // END
    input  wire logic                         record_ready_i,
    output logic      [                 79:0] record_o,
    // errors of the units, the first in priority at bit 0
    input  wire logic [                  2:0] error_i,
    input  wire logic [                 23:0] error_codes_i,
    input  wire logic [                 47:0] error_indices_i
);
  localparam int WordLog = $clog2(PI);
  localparam int Slots = 4;
  localparam int StrideW = 32 - WordLog;
  localparam int CountW = 18;  // more than twice what the waits of an input span
  localparam logic [15:0] NoIndex = '1;

  typedef enum logic [2:0] {Idle, Header, Judge, Check, Dispatch, Finished} state_e;
  state_e state_q;

  logic start, clear, running_q;
  logic valid, take, room, request;
  logic [program_pkg::DESCRIPTOR_BITS-1:0] desc;

  assign start = start_i && idle_o;
  assign clear = done_o;
  assign clear_o = clear;

  // ---- Read ahead: the header and the first descriptor at once, the rest once their number is
  // known; after the last one the first again, if another input follows. A line crosses no page.
  logic [33:0] line_q;
  logic [15:0] ask_q, count_q;
  logic [31:0] passes_q;  // readings of the program to begin yet
  logic header_ok;

  assign read_valid_o = running_q && ask_q != '0 && room;
  assign read_address_o = {line_q, 6'd0};
  assign request = read_valid_o && read_ready_i;

  always_ff @(posedge clk_i) begin
    if (start) begin
      line_q <= program_i[39:6];
      ask_q <= 16'd2;
      passes_q <= '0;
    end else if (header_ok) begin
      ask_q <= count_q - 16'd1;
      passes_q <= inputs_i - 32'd1;
    end else if (request) begin
      line_q <= line_q + 34'd1;
      ask_q <= ask_q - 16'd1;
    end else if (ask_q == '0 && passes_q != '0) begin
      line_q <= program_i[39:6] + 34'd1;
      ask_q <= count_q;
      passes_q <= passes_q - 32'd1;
    end
  end

  descriptor_buffer #(.PI(PI), .Slots(Slots)) u_buffer (
      .clk_i, .rst_ni,
      .clear_i(clear),
      .request_i(request), .room_o(room),
      .rvalid_i, .rdata_i,
      .valid_o(valid), .desc_o(desc), .take_i(take)
  );

  // ---- Header, then descriptors: a cycle to check one, a cycle or more to hand it on.
  logic header_bad_q, misplaced_q, bad_opcode, bad_field;
  logic [15:0] index_q;
  logic [31:0] inputs_left_q;
  logic [StrideW-1:0] input_stride_q, output_stride_q;
  logic load_q, exec_q, store_q, end_q, once_q;  // what the descriptor looked at a cycle ago is
  logic good, last_input, input_ends, weights_due_q;
  logic load_room, exec_room, store_room, unit_room, units_busy, all_idle, all_idle_q;
  logic [2:0] put;

  // What `desc` is: the header, or a descriptor. LOAD, LOAD_WEIGHTS and STORE have space at the same place.
  program_pkg::header_t header;
  program_pkg::move_t move;
  assign header = desc;
  assign move = desc;
  logic unused_bits;
  assign unused_bits = &{1'b0, space_base_i, header, move};  // of the bases only the alignment is looked at
  assign header_ok = state_q == Judge && !header_bad_q && !misplaced_q;

  always_ff @(posedge clk_i) begin
    header_bad_q <= header.magic != program_pkg::MAGIC ||
        header.version != program_pkg::VERSION ||
        header.identity != Identity ||
        header.descriptors[15:0] == '0 ||
        header.descriptors[31:16] != '0 ||
        header.input_stride[WordLog-1:0] != '0 ||
        header.output_stride[WordLog-1:0] != '0;
    misplaced_q <= inputs_i == '0 || program_i[5:0] != '0 || profile_i[WordLog-1:0] != '0 ||
        space_base_i[0+:WordLog] != '0 || space_base_i[40+:WordLog] != '0 ||
        space_base_i[80+:WordLog] != '0 || space_base_i[120+:WordLog] != '0;
    if (state_q == Header) begin
      count_q <= header.descriptors[15:0];
      input_stride_q <= header.input_stride[31:WordLog];
      output_stride_q <= header.output_stride[31:WordLog];
    end
  end

  field_check #(.PI(PI), .PO(PO), .PP(PP), .Banks(Banks)) u_check (
      .clk_i,
      .desc_i(desc), .final_i(index_q == count_q - 16'd1),
      .bad_opcode_o(bad_opcode), .bad_field_o(bad_field)
  );

  always_ff @(posedge clk_i) begin
    all_idle_q <= all_idle;  // what was handed on before this descriptor is seen in time
    load_q <= move.opcode == program_pkg::OP_LOAD || move.opcode == program_pkg::OP_LOAD_WEIGHTS;
    exec_q <= move.opcode == program_pkg::OP_EXEC;
    store_q <= move.opcode == program_pkg::OP_STORE;
    end_q <= move.opcode == program_pkg::OP_END;
    once_q <= move.opcode == program_pkg::OP_LOAD_WEIGHTS && move.once;
  end

  assign good = state_q == Dispatch && !bad_opcode && !bad_field && !stop_o;
  assign put = {3{good}} & {store_q, exec_q, load_q};
  assign unit_room = (put[0] && load_room) || (put[1] && exec_room) || (put[2] && store_room);
  assign units_busy = load_busy_i || exec_busy_i || store_busy_i;
  assign all_idle = load_room && exec_room && store_room && !units_busy;
  assign input_ends = good && end_q && (!last_input || all_idle_q);
  assign last_input = inputs_left_q == 32'd1;
  assign take = state_q == Judge || unit_room || input_ends;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear) begin
      state_q <= Idle;
      running_q <= 1'b0;
    end else begin
      if (start) running_q <= 1'b1;
      else if (stop_o) running_q <= 1'b0;
      unique case (state_q)
        Idle:     if (start) state_q <= Header;
        Header:   if (valid && ask_q == '0) state_q <= Judge;
        Judge:    if (header_ok) state_q <= Check;
        Check:    if (valid) state_q <= Dispatch;
        Dispatch: if (input_ends && last_input) state_q <= Finished;
                  else if (take) state_q <= Check;
        default:  state_q <= Finished;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (start) begin
      index_q <= '0;
      inputs_left_q <= inputs_i;
      weights_due_q <= !resident_i;
    end else if (input_ends) begin
      index_q <= '0;
      inputs_left_q <= inputs_left_q - 32'd1;
      weights_due_q <= 1'b0;
    end else if (unit_room) index_q <= index_q + 16'd1;
  end

  // ---- What is dispatched and what is complete since the start, by unit, modulo 2**CountW; how much
  // the inputs before this one made of it. How far the inputs have advanced in their spaces: the top
  // bit stays once set, such an offset is beyond any space.
  logic [2:0] done;
  logic [3*CountW-1:0] sent_q, base_q, counts_q, targets;
  logic [StrideW:0] input_offset_q, output_offset_q;
  assign done = {store_done_i, exec_done_i, load_done_i};

  always_ff @(posedge clk_i) begin
    for (int u = 0; u < 3; u++) begin
      if (start) begin
        sent_q[CountW*u+:CountW] <= '0;
        counts_q[CountW*u+:CountW] <= '0;
      end else begin
        if (put[u] && unit_room) sent_q[CountW*u+:CountW] <= sent_q[CountW*u+:CountW] + CountW'(1);
        if (done[u]) counts_q[CountW*u+:CountW] <= counts_q[CountW*u+:CountW] + CountW'(1);
      end
    end
    if (start) base_q <= '0;
    else if (input_ends) base_q <= sent_q;
    if (start) begin
      input_offset_q <= '0;
      output_offset_q <= '0;
    end else if (input_ends) begin
      input_offset_q <= advance(input_offset_q, input_stride_q);
      output_offset_q <= advance(output_offset_q, output_stride_q);
    end
  end

  function automatic logic [StrideW:0] advance(input logic [StrideW:0] offset,
                                               input logic [StrideW-1:0] stride);
    advance = offset + (StrideW + 1)'(stride);
    if (offset[StrideW]) advance = offset;
  endfunction

  // ---- One pending descriptor a unit. Weights that are resident wait for nothing.
  logic skip;
  logic [StrideW:0] move_advance;
  logic [15:0] wait_field[3];
  assign skip = once_q && !weights_due_q;
  assign wait_field[0] = move.wait_load;
  assign wait_field[1] = move.wait_exec;
  assign wait_field[2] = move.wait_store;
  for (genvar u = 0; u < 3; u++) begin : gen_target
    assign targets[CountW*u+:CountW] = base_q[CountW*u+:CountW] +
        {{(CountW - 15){skip || wait_field[u][15]}}, skip ? 15'd0 : wait_field[u][14:0]};
  end

  always_comb begin
    unique case (move.space)
      program_pkg::SPACE_INPUT:  move_advance = input_offset_q;
      program_pkg::SPACE_OUTPUT: move_advance = output_offset_q;
      default:                   move_advance = '0;
    endcase
  end

  pending #(.Width(program_pkg::MOVE_BITS + 17 + StrideW + 1), .CountW(CountW)) u_load (
      .clk_i, .rst_ni, .clear_i(clear || stop_o), .counts_i(counts_q),
      .valid_i(put[0]), .ready_o(load_room), .targets_i(targets),
      .data_i({move_advance, skip, index_q, desc[program_pkg::MOVE_BITS-1:0]}),
      .valid_o(load_valid_o), .ready_i(load_ready_i),
      .data_o({load_advance_o, load_skip_o, load_index_o, load_desc_o})
  );
  pending #(.Width(program_pkg::DESCRIPTOR_BITS + 16), .CountW(CountW)) u_exec (
      .clk_i, .rst_ni, .clear_i(clear || stop_o), .counts_i(counts_q),
      .valid_i(put[1]), .ready_o(exec_room), .targets_i(targets), .data_i({index_q, desc}),
      .valid_o(exec_valid_o), .ready_i(exec_ready_i), .data_o({exec_index_o, exec_desc_o})
  );
  pending #(.Width(program_pkg::MOVE_BITS + 16 + StrideW + 1), .CountW(CountW)) u_store (
      .clk_i, .rst_ni, .clear_i(clear || stop_o), .counts_i(counts_q),
      .valid_i(put[2]), .ready_o(store_room), .targets_i(targets),
      .data_i({move_advance, index_q, desc[program_pkg::MOVE_BITS-1:0]}),
      .valid_o(store_valid_o), .ready_i(store_ready_i), .data_o({store_advance_o, store_index_o, store_desc_o})
  );

  logic unused_record_free;  // only one END is recorded
  recorder u_recorder (
      .clk_i, .rst_ni, .clear_i(clear),
      .enable_i(profile_on_o),
      .done_i(input_ends && last_input), .ready_o(unused_record_free),
      .index_i(index_q), .start_i(cycles_o[31:0]), .now_i(cycles_o[31:0]),
      .record_valid_o, .record_ready_i, .record_o
  );

  // ---- Waits that nothing can meet any more would hang: all units are idle, no pending descriptor
  // can go, none can be handed on.
  logic stuck, stuck_fault;
  logic [3:0] stuck_q;
  logic [15:0] stuck_index;
  assign stuck = good && !take && !all_idle_q && !units_busy &&
      !load_valid_o && !exec_valid_o && !store_valid_o;
  assign stuck_fault = &stuck_q;
  assign stuck_index = !load_room ? load_index_o : !exec_room ? exec_index_o : store_index_o;
  always_ff @(posedge clk_i) stuck_q <= stuck ? stuck_q + 4'd1 : '0;

  // ---- Errors of the program: of its bytes, of its header, of a descriptor at dispatch or as its EXEC begins.
  logic read_fault, header_fault, exec_fault, field_fault, fault_q;
  logic [7:0] fault_code_q;
  logic [15:0] fault_index_q, read_index_q;
  assign header_fault = state_q == Judge && (header_bad_q || misplaced_q);
  assign read_fault = rvalid_i && rerror_i;
  assign exec_fault = exec_bad_field_i || exec_beyond_i;
  assign field_fault = state_q == Dispatch && (bad_opcode || bad_field);
  always_ff @(posedge clk_i) begin
    fault_q <= read_fault || header_fault || exec_fault || field_fault || stuck_fault;
    fault_code_q <= read_fault ? program_pkg::ERR_AXI_READ :
        header_fault && !misplaced_q ? program_pkg::ERR_BAD_HEADER :
        exec_fault ? (exec_bad_field_i ? program_pkg::ERR_BAD_FIELD : program_pkg::ERR_OUT_OF_BOUNDS) :
        field_fault && bad_opcode ? program_pkg::ERR_BAD_OPCODE : program_pkg::ERR_BAD_FIELD;
    fault_index_q <= read_fault ? read_index_q : header_fault ? NoIndex : exec_fault ? exec_index_i :
        stuck_fault ? stuck_index : index_q;
  end

  // Index of the descriptor that arrives.
  logic [5-WordLog:0] beat_q;
  logic wraps;
  assign wraps = read_index_q + 16'd1 == count_q && state_q != Header;
  always_ff @(posedge clk_i) begin
    if (start) begin
      read_index_q <= NoIndex;
      beat_q <= '0;
    end else if (rvalid_i) begin
      beat_q <= beat_q + 1'b1;
      if (&beat_q) read_index_q <= wraps ? '0 : read_index_q + 16'd1;
    end
  end

  run_control u_control (
      .clk_i, .rst_ni,
      .start_i, .idle_o, .done_o, .stop_o,
      .finished_i(state_q == Finished),
      .flying_i, .profile_busy_i,
      .error_i({abort_i && !done_o, error_i, fault_q}),
      .error_codes_i({program_pkg::ERR_ABORTED, error_codes_i, fault_code_q}),
      .error_indices_i({NoIndex, error_indices_i, fault_index_q}),
      .error_code_o, .error_index_o, .cycles_o
  );

  always_ff @(posedge clk_i) profile_on_o <= profile_i != '0;
endmodule
`default_nettype wire
