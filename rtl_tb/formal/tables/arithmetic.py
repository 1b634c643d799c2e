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

TABLES = Block(
    name="tables",
    top="tables",
    properties=("tables", "ram_1r1rw"),
    probes={
        f"f_{what}{pair}": f"\\gen_ram[{pair}].u_ram.f_{signal}"
        for pair in range(4)
        for what, signal in (("line", "line"), ("known", "known_q"), ("word", "word_q"))
    },
    theorems=theorems_of(
        "tables",
        (
            "found",
            "each lane finds the code that was last written at its table and code",
            "{table_i, code[1][7:1]}",
            "{table_i, code[0][7:1]}",
        ),
        (
            "waits",
            "a write waits for lookups and for nothing else",
            "write_ready_o = !lookup_i;",
            "write_ready_o = 1'b1;",
        ),
    ),
    reached=("looked_up",),
    bound=6,
)

ARITHMETIC = (REQUANTIZE, TABLES)
