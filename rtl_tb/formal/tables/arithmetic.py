"""What the engine computes: products, sums, their way to codes."""

from bitlathe.rtl_tb.formal.theorems import Block, theorems_of

REQUANTIZE = Block(
    name="requantize",
    top="requantize",
    properties=("requantize",),
    theorems=theorems_of(
        "requantize",
        (
            "formula",
            "the code is the formula's, in both roundings, for all operands whose sum fits 32 bits",
            "half = (32'd1 << shift_q) >> 1;",
            "half = 32'd1 << shift_q;",
        ),
        (
            "to_even",
            "a half is seen as one, and only where halves go to the even code",
            "half_even_i && shift_q5 != '0 &&",
            "half_even_i && shift_q5 > 5'd1 &&",
        ),
        (
            "sum",
            "accumulator, bias, residual and half are added exactly, modulo 2**32",
            "is_high_q4 ? 32'(product_q4) <<< 16",
            "is_high_q4 ? 32'(product_q4) <<< 15",
        ),
    ),
    reached=("rounds_down", "clamps", "products"),
    bound=9,
)

ARITHMETIC = (REQUANTIZE,)
