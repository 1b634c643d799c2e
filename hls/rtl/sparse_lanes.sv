// sparse_lanes: codes to the places that their masks name, up to four octets a step.
// Function:   a step's codes are a word at most; the k-th goes to the k-th byte that is not zero
// Interface:  step and words of codes (valid/ready); octets out, of a line and a place in it
// Latency:    2 cycles.   Throughput: 1 step per cycle.
// Reset:      synchronous, active low; control only
// Reference:  hls/program/sparse.py
`default_nettype none
module sparse_lanes #(
    parameter int PI = 8,
    parameter int Marks = 22  // bits that go with a step
) (
    input  wire logic             clk_i,
    input  wire logic             rst_ni,
    input  wire logic             clear_i,
    input  wire logic             step_valid_i,
    output logic                  step_ready_o,
    input  wire logic [     31:0] mask_i,       // of the octets that the step takes
    input  wire logic [     11:0] counts_i,     // codes of the first three octets, 0 for those it does not take
    input  wire logic [      6:0] halves_i,     // half bytes of all its codes
    input  wire logic             narrow_i,
    input  wire logic             pass_ends_i,  // what is left of the word means nothing
    input  wire logic [Marks-1:0] marks_i,
    input  wire logic             word_valid_i,
    output logic                  word_ready_o,
    input  wire logic [ 8*PI-1:0] word_i,
    output logic                  valid_o,
    output logic      [Marks-1:0] marks_o,
    output logic      [    255:0] octets_o
);
  localparam int WordHalves = 2 * PI;
  localparam int PlaceW = $clog2(WordHalves);

  // ---- A word that is partly used, and the next one behind it.
  logic [8*PI-1:0] word_q;
  logic word_valid_q, fire, enough, whole, more, drop_both, shift;
  logic [PlaceW-1:0] place_q;  // half byte of it that comes next
  logic [6:0] reached;
  assign reached = 7'(place_q) + halves_i;
  assign whole = |reached[6:PlaceW];  // the word and no more, or some of the next one
  assign more = whole && |reached[PlaceW-1:0];
  assign enough = halves_i == 7'd0 || (word_valid_q && (word_valid_i || !more));
  assign fire = step_valid_i && enough;
  assign step_ready_o = enough;
  assign drop_both = fire && pass_ends_i && more;
  assign shift = !word_valid_q ||
      (fire && !drop_both && (whole || (pass_ends_i && |reached[PlaceW-1:0])));
  assign word_ready_o = shift || drop_both;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_i) begin
      word_valid_q <= 1'b0;
      place_q <= '0;
    end else begin
      if (drop_both) word_valid_q <= 1'b0;
      else if (shift) word_valid_q <= word_valid_i;
      if (fire) place_q <= pass_ends_i ? '0 : PlaceW'(reached);
    end
  end
  always_ff @(posedge clk_i) if (shift) word_q <= word_i;

  // ---- First register: the step's codes from half byte 0 on, and for every lane which of them is its own.
  logic [8*PI-1:0] codes_q;
  // verilator lint_off UNUSEDSIGNAL
  logic [16*PI-1:0] window;
  // verilator lint_on UNUSEDSIGNAL
  logic [31:0] mask_q;
  logic narrow_q, valid_q;
  logic [Marks-1:0] marks_q;
  assign window = {word_i, word_q} >> {place_q, 2'b00};
  always_ff @(posedge clk_i) begin
    codes_q <= window[8*PI-1:0];
    mask_q <= mask_i;
    narrow_q <= narrow_i;
    marks_q <= marks_i;
    marks_o <= marks_q;
    if (!rst_ni || clear_i) begin
      valid_q <= 1'b0;
      valid_o <= 1'b0;
    end else begin
      valid_q <= fire;
      valid_o <= valid_q;
    end
  end

  // Bit k of a number of ones is the parity of those of its sets of 2**k bits that are all ones: a LUT or two each, where
  // adding bit after bit would be a chain.
  function automatic logic [2:0] ones(input logic [7:0] bits);
    ones = '0;
    for (int i = 0; i < 7; i++) begin
      ones[0] = ones[0] ^ bits[i];
      for (int j = 0; j < i; j++) begin
        ones[1] = ones[1] ^ (bits[i] & bits[j]);
        for (int k = 0; k < j; k++)
          for (int l = 0; l < k; l++) ones[2] = ones[2] ^ (bits[i] & bits[j] & bits[k] & bits[l]);
      end
    end
  endfunction

  logic [PlaceW-1:0] first, second, third;  // codes before the octets behind the first
  assign first = PlaceW'(counts_i[0+:4]);
  assign second = first + PlaceW'(counts_i[4+:4]);
  assign third = second + PlaceW'(counts_i[8+:4]);
  for (genvar o = 0; o < 4; o++) begin : gen_octet
    for (genvar b = 0; b < 8; b++) begin : gen_lane
      logic [PlaceW-1:0] rank;
      logic [PlaceW-2:0] byte_q;
      logic half_q;
      logic [7:0] code;
      logic [3:0] low;
      assign rank = (o == 0 ? '0 : o == 1 ? first : o == 2 ? second : third) +
          PlaceW'(ones(mask_i[8*o+:8] & 8'((1 << b) - 1)));
      always_ff @(posedge clk_i) begin
        byte_q <= narrow_i ? rank[PlaceW-1:1] : rank[PlaceW-2:0];
        half_q <= narrow_i && rank[0];
      end
      // Second register: the lanes.
      assign code = codes_q[8*byte_q+:8];
      assign low = half_q ? code[7:4] : code[3:0];
      always_ff @(posedge clk_i) begin
        if (!mask_q[8*o+b]) octets_o[8*(8*o+b)+:8] <= 8'd0;
        else octets_o[8*(8*o+b)+:8] <= {narrow_q ? {4{low[3]}} : code[7:4], low};
      end
    end
  end
endmodule
`default_nettype wire
