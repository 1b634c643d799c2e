// compute: everything between the on-chip stores: sequencer, scratchpad, weight store, array, output stage.
// Function:   runs one EXEC descriptor at a time; LOAD, STORE and LOAD_WEIGHTS reach stores and tables meanwhile
// Interface:  descriptor handshake and done pulse; one port a DMA unit
// Latency:    about 36 cycles an EXEC beyond its groups (hls/cycles/model.py has the exact sum).
// Reset:      synchronous, active low; control bits only.
// Reference:  hls/functional/run.py
`default_nettype none
module compute #(
    parameter int PI = 8,
    parameter int PO = 8,
    parameter int PP = 6,
    parameter int Banks = 7,
    parameter int BankLines = 4096,
    parameter int WeightLines = 4608
) (
    input  wire logic                       clk_i,
    input  wire logic                       rst_ni,
    input  wire logic                       abort_i,
    input  wire logic                       exec_valid_i,
    output logic                            exec_ready_o,
    input  wire logic [program_pkg::DESCRIPTOR_BITS-1:0] exec_desc_i,
    output logic                            exec_done_o,
    output logic                            exec_bad_field_o,  // a pulse, before anything is written
    output logic                            exec_beyond_o,
    input  wire logic                       load_claim_i,
    input  wire logic                       load_valid_i,
    output logic                            load_ready_o,
    input  wire logic [               15:0] load_line_i,
    input  wire logic [                3:0] load_bank_i,
    input  wire logic [           8*PI-1:0] load_data_i,
    input  wire logic                       store_valid_i,
    output logic                            store_ready_o,
    input  wire logic [               15:0] store_line_i,
    input  wire logic [                3:0] store_bank_i,
    output logic                            store_rvalid_o,
    output logic [8*PI-1:0]                 store_rdata_o,
    input  wire logic                       wload_valid_i,
    input  wire logic [               15:0] wload_line_i,
    input  wire logic [        PI*PO/8-1:0] wload_mask_i,
    input  wire logic [        8*PI*PO-1:0] wload_data_i,
    input  wire logic                       table_valid_i,
    output logic                            table_ready_o,
    input  wire logic [                9:0] table_line_i,
    input  wire logic [               15:0] table_data_i
);
  localparam int ReadLatency = 3;   // scratchpad and weight store
  localparam int ArrayLatency = 7;  // operands to finished accumulators
  localparam int MarkLatency = ReadLatency + ArrayLatency;
  localparam int ParamBits = 8 * PI * PO;

  // ---- Descriptor and control. `active` is a reset of its own: an abort empties every pipeline.
  program_pkg::exec_t exec_q;
  logic busy_q, init_q, active_n;
  assign active_n = rst_ni && !abort_i;
  assign exec_ready_o = !busy_q;
  always_ff @(posedge clk_i) begin
    if (exec_valid_i && exec_ready_o) exec_q <= exec_desc_i;
    if (!active_n) begin
      busy_q <= 1'b0;
      init_q <= 1'b0;
    end else begin
      init_q <= exec_valid_i && exec_ready_o;
      if (exec_valid_i && exec_ready_o) busy_q <= 1'b1;
      else if (exec_done_o) busy_q <= 1'b0;
    end
  end

  reach_check #(
      .PI(PI),
      .PO(PO),
      .Banks(Banks),
      .BankLines(BankLines),
      .WeightLines(WeightLines)
  ) u_reach (
      .clk_i,
      .rst_ni     (active_n),
      .start_i    (exec_valid_i && exec_ready_o),
      .desc_i     (exec_q),
      .bad_field_o(exec_bad_field_o),
      .beyond_o   (exec_beyond_o)
  );

  // ---- Addresses.
  logic [PP-1:0] lane_on;
  logic [16*PP-1:0] lane_line;
  logic [4*PP-1:0] lane_bank;
  logic weight_en, param, valid, first, last, tile_first, is_final;
  logic [15:0] weight_line;
  logic [3:0] count;

  sequencer #(
      .PP   (PP),
      .Banks(Banks)
  ) u_sequencer (
      .clk_i,
      .rst_ni       (active_n),
      .init_i       (init_q),
      .desc_i       (exec_q),
      .lane_on_o    (lane_on),
      .lane_line_o  (lane_line),
      .lane_bank_o  (lane_bank),
      .weight_en_o  (weight_en),
      .weight_line_o(weight_line),
      .param_o      (param),
      .valid_o      (valid),
      .first_o      (first),
      .last_o       (last),
      .count_o      (count),
      .tile_first_o (tile_first),
      .final_o      (is_final)
  );

  // ---- Stores.
  logic [8*PI*PP-1:0] lane_data;
  logic [8*PI*PO-1:0] weight_data;
  logic [8*PI-1:0] residual_data, result_data;
  logic [1:0] result_halves;
  logic residual_valid;
  logic [15:0] result_line, residual_line;
  logic [3:0] result_bank, residual_bank;

  scratchpad #(
      .PI   (PI),
      .PP   (PP),
      .Banks(Banks),
      .Lines(BankLines)
  ) u_scratchpad (
      .clk_i,
      .rst_ni         (active_n),
      .lane_on_i      (lane_on),
      .lane_line_i    (lane_line),
      .lane_bank_i    (lane_bank),
      .padding_i      (exec_q.is_max && exec_q.in_signed ? 8'h80 : 8'h00),
      .lane_data_o    (lane_data),
      .result_halves_i (result_halves),
      .result_line_i  (result_line),
      .result_bank_i  (result_bank),
      .result_data_i  (result_data),
      .residual_valid_i(residual_valid),
      .residual_line_i (residual_line),
      .residual_bank_i (residual_bank),
      .residual_data_o(residual_data),
      .load_claim_i,
      .load_valid_i,
      .load_ready_o,
      .load_line_i,
      .load_bank_i,
      .load_data_i,
      .store_valid_i,
      .store_ready_o,
      .store_line_i,
      .store_bank_i,
      .store_rvalid_o,
      .store_rdata_o
  );

  weight_store #(
      .PI   (PI),
      .PO   (PO),
      .Lines(WeightLines)
  ) u_weight_store (
      .clk_i,
      .write_valid_i(wload_valid_i),
      .write_line_i (wload_line_i),
      .write_mask_i (wload_mask_i),
      .write_data_i (wload_data_i),
      .read_en_i    (weight_en),
      .read_line_i  (weight_line),
      .read_data_o  (weight_data)
  );

  // ---- Marks travel beside the operands; parameters wait as long as the sums they belong to.
  logic [MarkLatency-1:0] param_q;
  logic [ReadLatency-1:0] valid_q, first_q, last_q;
  logic [6*MarkLatency-1:0] marks_q;
  logic [ParamBits*ArrayLatency-1:0] param_data_q;
  always_ff @(posedge clk_i) begin
    first_q <= {first_q[ReadLatency-2:0], first};
    marks_q <= {marks_q[6*(MarkLatency-1)-1:0], count, tile_first, is_final};
    param_data_q <= {param_data_q[ParamBits*(ArrayLatency-1)-1:0], weight_data};
    if (!active_n) begin
      valid_q <= '0;
      last_q  <= '0;
      param_q <= '0;
    end else begin
      valid_q <= {valid_q[ReadLatency-2:0], valid};
      last_q  <= {last_q[ReadLatency-2:0], last};
      param_q <= {param_q[MarkLatency-2:0], param};
    end
  end

  logic group_done;
  logic [32*PO*PP-1:0] acc;
  mac_array #(
      .PI(PI),
      .PO(PO),
      .PP(PP)
  ) u_array (
      .clk_i,
      .rst_ni     (active_n),
      .valid_i    (valid_q[ReadLatency-1]),
      .first_i    (first_q[ReadLatency-1]),
      .last_i     (last_q[ReadLatency-1]),
      .is_max_i   (exec_q.is_max),
      .packed_i   (exec_q.in_packed),
      .in_signed_i(exec_q.in_signed),
      .act_i      (lane_data),
      .weight_i   (weight_data),
      .done_o     (group_done),
      .acc_o      (acc)
  );

  output_stage #(
      .PI   (PI),
      .PO   (PO),
      .PP   (PP),
      .Banks(Banks)
  ) u_output (
      .clk_i,
      .rst_ni            (active_n),
      .init_i            (init_q),
      .desc_i            (exec_q),
      .param_valid_i     (param_q[MarkLatency-1]),
      .param_i           (param_data_q[ParamBits*(ArrayLatency-1)+:ParamBits]),
      .group_valid_i     (group_done),
      .group_count_i     (marks_q[6*(MarkLatency-1)+2+:4]),
      .group_tile_first_i(marks_q[6*(MarkLatency-1)+1]),
      .group_final_i     (marks_q[6*(MarkLatency-1)]),
      .group_acc_i       (acc),
      .result_halves_o   (result_halves),
      .result_line_o     (result_line),
      .result_bank_o     (result_bank),
      .result_data_o     (result_data),
      .residual_valid_o  (residual_valid),
      .residual_line_o   (residual_line),
      .residual_bank_o   (residual_bank),
      .residual_data_i   (residual_data),
      .table_valid_i,
      .table_ready_o,
      .table_line_i,
      .table_data_i,
      .done_o            (exec_done_o)
  );
endmodule
`default_nettype wire
