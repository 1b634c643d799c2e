// codebook: the codewords of product-quantized weights, and a beat of indices decoded at once.
// Function:   256 codewords of 8 bytes, PI of them to a beat's PI indices, index 0 in the lowest byte
// Interface:  a write of PI bytes (PI / 8 codewords) or a read in a cycle, never both; the read is combinational
// Latency:    0 cycles.   Throughput: 1 beat per cycle.
// Reset:      none
// Reference:  hls/program/moves.py, decoded_columns()
`default_nettype none
module codebook #(
    parameter int PI = 8
) (
    input  wire logic                          clk_i,
    input  wire logic                          writes_i,      // the word is a codeword, to be written on write_en_i
    input  wire logic                          write_en_i,
    input  wire logic [10-$clog2(PI):0]        write_word_i,
    input  wire logic [       8*PI-1:0]        write_data_i,
    input  wire logic [       8*PI-1:0]        indices_i,
    output logic      [      64*PI-1:0]        codewords_o
);
  localparam int WordW = 11 - $clog2(PI);  // 2,048 bytes in words of PI

  // One copy a read port. Address and data width of a copy are those of a single-port LUT RAM: a
  // word is read whole, and the index's lowest bits choose the codeword in it.
  for (genvar p = 0; p < PI; p++) begin : gen_port
    (* ram_style = "distributed" *) logic [8*PI-1:0] memory[2**WordW];
    logic [WordW-1:0] word;
    logic [8*PI-1:0] data;
    assign word = writes_i ? write_word_i : indices_i[8*p+8-WordW+:WordW];
    always_ff @(posedge clk_i) if (write_en_i) memory[word] <= write_data_i;
    assign data = memory[word];
    if (PI == 8) begin : gen_word
      assign codewords_o[64*p+:64] = data;
    end else begin : gen_part
      assign codewords_o[64*p+:64] = data[64*indices_i[8*p+:8-WordW]+:64];
    end
  end
endmodule
`default_nettype wire
