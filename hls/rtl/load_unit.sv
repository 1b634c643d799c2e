// load_unit: LOAD and LOAD_WEIGHTS: words from DDR into the scratchpad, the weight store or the tables.
// Function:   the request side runs up to four descriptors ahead of the data side, both in order
// Interface:  descriptor -> bursts; data -> scratchpad words (valid/ready), weight octets, table lines (valid/ready); done_o
// Latency:    4 cycles to the first burst; from beat to store 1, for weights 2, for sparse ones about 10.
// Throughput: 1 beat per cycle; of a table 2 bytes; of sparse weights also 32 weights or a word of their codes.
// Reset:      synchronous, active low; control only
// Reference:  hls/program/moves.py
`default_nettype none
module load_unit #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int Banks = 7,
    parameter int BankLines = 4096,
    parameter int WeightLines = 4608
) (
    input  wire logic                         clk_i,
    input  wire logic                         rst_ni,
    input  wire logic                         clear_i,
    input  wire logic                         stop_i,           // store nothing, drop what comes
    output logic                              busy_o,
    input  wire logic [                 31:0] now_i,            // cycle of the run
    input  wire logic                         profile_on_i,
    input  wire logic [                159:0] space_base_i,
    input  wire logic [                127:0] space_bytes_i,
    input  wire logic                         desc_valid_i,
    output logic                              desc_ready_o,
    input  wire logic [program_pkg::MOVE_BITS-1:0] desc_i,
    input  wire logic [                 15:0] desc_index_i,
    input  wire logic [      32-$clog2(PI):0] desc_advance_i,   // words, of its input in its space
    input  wire logic                         desc_skip_i,      // resident weights: only count it
    output logic                              burst_valid_o,
    input  wire logic                         burst_ready_i,
    output logic      [                 39:0] burst_address_o,
    output logic      [                  4:0] burst_beats_o,
    input  wire logic                         rvalid_i,
    output logic                              rready_o,
    input  wire logic [             8*PI-1:0] rdata_i,
    input  wire logic                         rerror_i,
    output logic                              load_claim_o,  // a word waits for its bank, valid or not yet
    output logic                              load_valid_o,
    input  wire logic                         load_ready_i,
    output logic      [                 15:0] load_line_o,
    output logic      [                  3:0] load_bank_o,
    output logic      [             8*PI-1:0] load_data_o,
    output logic                              wload_valid_o,
    output logic      [                 15:0] wload_line_o,
    output logic      [        PI*PO/8-1:0]   wload_mask_o,  // an octet: 8 weights of a column
    output logic      [          8*PI*PO-1:0] wload_data_o,
    output logic                              table_valid_o,
    input  wire logic                         table_ready_i,
    output logic      [                  9:0] table_line_o,
    output logic      [                 15:0] table_data_o,
    output logic                              done_o,
    output logic                              record_valid_o,
    input  wire logic                         record_ready_i,
    output logic      [                 79:0] record_o,
    output logic                              error_o,
    output logic      [                  7:0] error_code_o,
    output logic      [                 15:0] error_index_o
);
  localparam int WordLog = $clog2(PI);
  localparam int Octets = PI * PO / 8;  // of a line
  localparam int CodebookWords = 2048 / PI;  // 256 codewords of 8 bytes; the tables have as many

  program_pkg::move_t move;
  program_pkg::weights_t load;  // the same descriptor where it is a LOAD_WEIGHTS
  assign move = program_pkg::DESCRIPTOR_BITS'(desc_i);
  assign load = program_pkg::DESCRIPTOR_BITS'(desc_i);

  // What the data side must know of a descriptor, through a queue.
  typedef struct packed {
    logic skip;
    logic weights;
    logic sparse;
    logic narrow;
    logic [2:0] encoding;
    logic [15:0] index;
    logic [31:0] start;
    logic [31:0] words;
    logic [15:0] segments;
    logic [15:0] row_words;  // of LOAD_WEIGHTS: pass_lines
    logic [15:0] lines;  // of sparse weights
    logic [15:0] line;
    logic [3:0] bank;
    logic [15:0] plane;
    logic [15:0] row_line;
    logic [3:0] row_bank;
  } job_t;
  localparam int JobW = 191;  // its bits, which lint holds to it: Icarus 11 has $bits of a struct wrong

  // ---- Request side: a descriptor becomes bursts, and a job for the data side.
  logic weights, split_ready, queue_ready, take, out_of_bounds;
  logic [31:0] words;
  logic [15:0] segments, asked_index_q;
  logic unused_last, unused_bits;
  assign unused_bits = &{1'b0, move, load};  // waits, and what only the dispatch looks at

  assign weights = move.opcode == program_pkg::OP_LOAD_WEIGHTS;
  assign desc_ready_o = queue_ready && (split_ready || desc_skip_i) && !stop_i;
  assign take = desc_valid_i && desc_ready_o;
  assign words = weights ? load.beats : 32'(move.segment_words);
  assign segments = weights ? 16'd1 : move.segments;

  always_ff @(posedge clk_i) if (take && !desc_skip_i) asked_index_q <= desc_index_i;

  burst_split #(.PI(PI)) u_split (
      .clk_i, .rst_ni,
      .clear_i(clear_i || stop_i),
      .space_base_i, .space_bytes_i,
      .job_valid_i(take && !desc_skip_i), .job_ready_o(split_ready),
      // LOAD_WEIGHTS has space and offset at the same place.
      .job_space_i(move.space[1:0]),
      .job_advance_i(desc_advance_i),
      .job_offset_i(move.offset[31:WordLog]),
      .job_stride_i(move.segment_stride[31:WordLog]),
      .job_words_i(words), .job_segments_i(segments),
      .burst_valid_o, .burst_ready_i, .burst_address_o, .burst_beats_o,
      .burst_last_o(unused_last),
      .out_of_bounds_o(out_of_bounds)
  );

  logic job_valid, job_ready;
  job_t asked, job;
  assign asked.skip = desc_skip_i;
  assign asked.weights = weights;
  assign asked.sparse = weights && load.encoding == program_pkg::ENCODING_SPARSE;
  assign asked.narrow = load.narrow;
  assign asked.encoding = load.encoding;
  assign asked.index = desc_index_i;
  assign asked.start = now_i;
  assign asked.words = words;
  assign asked.segments = segments;
  assign asked.row_words = move.row_words;  // where LOAD_WEIGHTS has pass_lines
  assign asked.lines = load.lines;
  assign asked.line = weights ? load.weight_line : move.line;
  assign asked.bank = move.bank;
  assign asked.plane = move.plane;
  assign asked.row_line = move.row_line;
  assign asked.row_bank = move.row_bank;

  fifo #(.Width(JobW), .Depth(4)) u_jobs (
      .clk_i, .rst_ni, .clear_i,
      .valid_i(take), .ready_o(queue_ready), .data_i(asked),
      .valid_o(job_valid), .ready_i(job_ready), .data_o(job)
  );

  // ---- Data side: walk the present job's positions; one register towards the two stores.
  logic active, walker_ready, walker_last, walker_outside, skip;
  logic [15:0] walker_line;
  logic [3:0] walker_bank;
  logic weights_q, sparse_q, narrow_q, too_long_q;  // of the present job
  logic [2:0] encoding_q, code;
  logic [15:0] index_q;
  logic [31:0] start_q;
  logic [16:0] weight_line_q;  // one bit more than a line has: stops at the end instead of wrapping
  logic [PO-1:0] column_q;     // one-hot: the first column of the beat
  logic plain_q, line_ends;    // the present line is a parameter line
  logic [15:0] pass_lines_q, lines_left_q;
  logic [PO-1:0] mask;         // columns that the beat fills
  logic beat, outside, done, record_free;
  logic begins, starts_sparse, decoding, decoder_ready, decoder_done, bad_stream;
  logic room, out_valid, out_weights, out_last, out_go, out_leaves, to_tables, piece_ends;
  logic [2:0] out_code;
  logic [15:0] out_line, out_index;
  logic [31:0] out_start;
  logic [8*PI-1:0] out_data;
  logic [PO-1:0] out_mask;

  assign outside = sparse_q ? too_long_q : !weights_q ? walker_outside : weight_line_q >=
      (code >= program_pkg::ENCODING_CODEBOOK ? 17'(CodebookWords) : 17'(WeightLines));
  assign rready_o = stop_i || (active && (sparse_q ? decoder_ready : room));
  assign beat = rvalid_i && active && (sparse_q ? decoder_ready : room) && !stop_i;
  assign skip = job_valid && job.skip && !active && !out_valid && !decoding && record_free;
  // The decoder of sparse weights works alone.
  assign begins = walker_ready && !decoding && (!job.sparse || (!active && !out_valid));
  assign starts_sparse = begins && job_valid && !job.skip && job.sparse;
  assign job_ready = job.skip ? skip : begins;

  move_walker #(.Banks(Banks), .Lines(BankLines)) u_walker (
      .clk_i, .rst_ni, .clear_i,
      .job_valid_i(job_valid && !job.skip && begins), .job_ready_o(walker_ready),
      .job_words_i(job.words), .job_segments_i(job.segments), .job_row_words_i(job.row_words),
      .job_line_i(job.line), .job_bank_i(job.bank), .job_plane_i(job.plane),
      .job_row_line_i(job.row_line), .job_row_bank_i(job.row_bank),
      .step_i(beat), .active_o(active), .last_o(walker_last),
      .line_o(walker_line), .bank_o(walker_bank), .outside_o(walker_outside)
  );

  // A beat brings one column, two of 4-bit weights, eight of indices, or a line.
  assign code = plain_q ? program_pkg::ENCODING_COLUMNS : encoding_q;
  always_comb begin
    unique case (code)
      program_pkg::ENCODING_COLUMNS: line_ends = column_q[PO-1];
      program_pkg::ENCODING_NIBBLES: line_ends = column_q[PO-2];
      program_pkg::ENCODING_INDICES: line_ends = column_q[PO-8];
      default:                       line_ends = 1'b1;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (begins) begin
      weights_q <= job.weights;
      sparse_q <= job.sparse;
      narrow_q <= job.narrow;
      too_long_q <= 17'(job.line) + 17'(job.lines) > 17'(WeightLines);
      encoding_q <= job.encoding;
      pass_lines_q <= job.row_words;
      plain_q <= job.encoding < program_pkg::ENCODING_CODEBOOK;
      index_q <= job.index;
      start_q <= job.start;
      weight_line_q <= 17'(job.line);
      column_q <= PO'(1);
    end else if (beat) begin
      unique case (code)
        program_pkg::ENCODING_COLUMNS: column_q <= {column_q[PO-2:0], column_q[PO-1]};
        program_pkg::ENCODING_NIBBLES: column_q <= {column_q[PO-3:0], column_q[PO-1:PO-2]};
        program_pkg::ENCODING_INDICES: column_q <= line_ends ? PO'(1) : PO'({column_q, 8'b0});
        default: ;
      endcase
      if (line_ends) begin
        weight_line_q <= weight_line_q + 17'd1;
        lines_left_q <= plain_q ? pass_lines_q : lines_left_q - 16'd1;
        plain_q <= encoding_q == program_pkg::ENCODING_COLUMNS ||
            (encoding_q < program_pkg::ENCODING_CODEBOOK && !plain_q && lines_left_q == 16'd1);
      end
    end
  end

  always_comb begin
    for (int o = 0; o < PO; o++) begin
      unique case (code)
        program_pkg::ENCODING_COLUMNS: mask[o] = column_q[o];
        program_pkg::ENCODING_NIBBLES: mask[o] = column_q[o/2*2];
        program_pkg::ENCODING_INDICES: mask[o] = column_q[o/8*8];
        default:                       mask[o] = 1'b1;
      endcase
    end
  end

  // A word that meets a conflict of banks waits here, and what follows it stops a cycle later.
  skid #(.Width(73 + 8 * PI + PO)) u_out (
      .clk_i, .rst_ni, .clear_i,
      .valid_i(beat && !sparse_q && !outside && !rerror_i), .ready_o(room),
      .data_i({
        weights_q, walker_last, weights_q ? weight_line_q[15:0] : walker_line, index_q, start_q, code,
        walker_bank, mask, rdata_i
      }),
      .valid_o(out_valid), .ready_i(out_leaves),
      .data_o({
        out_weights, out_last, out_line, out_index, out_start, out_code, load_bank_o, out_mask, out_data
      })
  );
  assign out_go = !out_last || record_free;
  assign out_leaves = out_go && (!out_weights ? load_ready_i : !to_tables || (table_ready_i && piece_ends));

  assign load_claim_o = out_valid && !out_weights;
  assign load_valid_o = load_claim_o && out_go;
  assign load_line_o = out_line;
  assign load_data_o = out_data;

  // ---- Weights are decoded into a register of their own.
  logic to_codebook, from_weights;
  logic [64*PI-1:0] codewords;
  assign from_weights = out_valid && out_weights && out_go;
  assign to_codebook = out_code == program_pkg::ENCODING_CODEBOOK;

  codebook #(.PI(PI)) u_codebook (
      .clk_i,
      .writes_i(to_codebook), .write_en_i(from_weights && to_codebook),
      .write_word_i(out_line[10-WordLog:0]),
      .write_data_i(out_data),
      .indices_i(out_data),
      .codewords_o(codewords)
  );

  logic octets_valid;
  logic [15:0] octets_line;
  logic [Octets-1:0] octets_mask;
  logic [255:0] octets;
  logic [1:0] choice;

  sparse_decoder #(.PI(PI), .PO(PO)) u_sparse (
      .clk_i, .rst_ni, .clear_i(clear_i || stop_i),
      .start_i(starts_sparse),
      // The first word comes later than these registers.
      .line_i(job.line), .lines_i(job.lines), .pass_lines_i(pass_lines_q), .narrow_i(narrow_q),
      .valid_i(rvalid_i && active && sparse_q && !outside && !rerror_i), .ready_o(decoder_ready),
      .word_i(rdata_i), .last_i(walker_last),
      .busy_o(decoding),
      .octets_valid_o(octets_valid), .octets_line_o(octets_line),
      .octets_mask_o(octets_mask), .octets_o(octets),
      .done_o(decoder_done), .done_ready_i(record_free),
      .bad_o(bad_stream)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) wload_valid_o <= 1'b0;
    else wload_valid_o <= octets_valid || (from_weights && !to_codebook && !to_tables);
  end

  assign choice = octets_valid ? 2'd3 : out_code == program_pkg::ENCODING_INDICES ? 2'd2 :
      2'(out_code == program_pkg::ENCODING_NIBBLES);
  always_ff @(posedge clk_i) wload_line_o <= octets_valid ? octets_line : out_line;
  for (genvar e = 0; e < Octets; e++) begin : gen_octet
    localparam int O = 8 * e / PI;  // its column
    localparam int First = 8 * e % PI;  // its first byte there
    logic [63:0] data, halves;
    assign data = out_data[8*First+:64];
    always_ff @(posedge clk_i) wload_mask_o[e] <= octets_valid ? octets_mask[e] : out_mask[O];
    for (genvar i = 0; i < 8; i++) begin : gen_byte
      assign halves[8*i+:8] = {{4{data[8*i+4*(O%2)+3]}}, data[8*i+4*(O%2)+:4]};
      always_ff @(posedge clk_i) begin
        if (O != First + i && !octets_valid && out_code == program_pkg::ENCODING_DIAGONAL)
          wload_data_o[64*e+8*i+:8] <= 8'd0;
        else
          unique case (choice)
            2'd1:    wload_data_o[64*e+8*i+:8] <= halves[8*i+:8];
            2'd2:    wload_data_o[64*e+8*i+:8] <= codewords[8*PI*(O%8)+8*(First+i)+:8];
            2'd3:    wload_data_o[64*e+8*i+:8] <= octets[64*(e%4)+8*i+:8];
            default: wload_data_o[64*e+8*i+:8] <= data[8*i+:8];
          endcase
      end
    end
  end

  // ---- A beat of a table goes on in pieces of two codes.
  logic [WordLog-2:0] piece_q;
  assign to_tables = out_code == program_pkg::ENCODING_TABLE;
  assign piece_ends = &piece_q;
  assign table_valid_o = from_weights && to_tables;
  assign table_line_o = {out_line[10-WordLog:0], piece_q};
  assign table_data_o = out_data[16*piece_q+:16];
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) piece_q <= '0;
    else if (table_valid_o && table_ready_i) piece_q <= piece_q + 1'b1;
  end

  assign done = skip || (out_valid && out_last && out_leaves) || (decoder_done && record_free);
  assign done_o = done;
  assign busy_o = !split_ready || job_valid || active || decoding || out_valid || wload_valid_o;

  recorder u_recorder (
      .clk_i, .rst_ni, .clear_i,
      .enable_i(profile_on_i),
      .done_i(done), .ready_o(record_free),
      .index_i(skip ? job.index : decoder_done ? index_q : out_index),
      .start_i(skip ? now_i : decoder_done ? start_q : out_start), .now_i,
      .record_valid_o, .record_ready_i, .record_o
  );

  // ---- The first fault, kept until clear.
  logic fault_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) fault_q <= 1'b0;
    else if (out_of_bounds || bad_stream || (beat && (outside || rerror_i))) fault_q <= 1'b1;
  end
  assign error_o = fault_q;

  always_ff @(posedge clk_i) begin
    if (!fault_q) begin
      error_code_o <= beat && rerror_i ? program_pkg::ERR_AXI_READ :
          bad_stream ? program_pkg::ERR_BAD_STREAM : program_pkg::ERR_OUT_OF_BOUNDS;
      error_index_o <= bad_stream || (beat && (outside || rerror_i)) ? index_q : asked_index_q;
    end
  end
endmodule
`default_nettype wire
