"""Positions of words and pixels, and the counters they go by."""

from bitlathe.rtl_tb.formal.theorems import Block, theorems_of

BANKS = ({"Banks": 7}, {"Banks": 13})

BANK_STEP = Block(
    name="bank_step",
    top="bank_step",
    properties=("bank_step",),
    configurations=({"Banks": 7}, *({"Banks": banks} for banks in range(2, 16) if banks != 7)),
    theorems=theorems_of(
        "bank_step",
        (
            "exact",
            "the sum of banks, a line further past the last one",
            "4'(sum - 5'(Banks))",
            "4'(sum - 5'(Banks - 1))",
        ),
        ("below", "a bank that there is", "sum >= 5'(Banks)", "sum > 5'(Banks)"),
    ),
    reached=("wraps",),
    bound=2,
)

STEP_SPLIT = Block(
    name="step_split",
    top="step_split",
    properties=("step_split",),
    configurations=BANKS,
    theorems=theorems_of(
        "step_split",
        ("split", "lines and banks of the step", "step_i / Width'(Banks)", "step_i / Width'(Banks + 1)"),
        ("below", "a bank that there is", "step_i % Width'(Banks)", "step_i % Width'(Banks + 1)"),
    ),
    reached=("lines",),
    bound=3,
)

LOOP_COUNTER = Block(
    name="loop_counter",
    top="loop_counter",
    properties=("loop_counter",),
    configurations=({"Width": 8}, {"Width": 12}, {"Width": 16}),
    theorems=theorems_of(
        "loop_counter",
        ("last", "set during step number count and no other", "left_q == Width'(2)", "left_q == Width'(3)"),
    ),
    reached=("again", "one"),
    bound=10,
)

PIXEL_WALKER = Block(
    name="pixel_walker",
    top="pixel_walker",
    properties=("pixel_walker", "loop_counter"),
    configurations=BANKS,
    probes={"f_columns_left": "u_columns.left_q", "f_rows_left": "u_rows.left_q"},
    theorems=theorems_of(
        "pixel_walker",
        ("ends", "the last pixel of a row and of a map are marked", "advance_i && row_end_o)", "advance_i)"),
        (
            "position",
            "origin, steps of columns and rows before it and of maps, as exact numbers",
            "line_o <= map_line_q;",
            "line_o <= origin_line_i + map_lines_i;",
        ),
    ),
    reached=("second_map",),
    bound=12,
)

MOVE_WALKER = Block(
    name="move_walker",
    top="move_walker",
    properties=("move_walker",),
    configurations=({"Banks": 7, "Lines": 4096}, {"Banks": 13, "Lines": 5120}, {"Banks": 15, "Lines": 32768}),
    theorems=theorems_of(
        "move_walker",
        (
            "active",
            "from a job until its last word; the next job without a gap",
            "(step_i && last_o);",
            "step_i;",
        ),
        ("last", "the last word is marked", "segments_left_q == 16'd2", "segments_left_q <= 16'd3"),
        (
            "outside",
            "a position is refused exactly where no bank has it",
            "{row_line_q[15], row_line_q}",
            "{1'b0, row_line_q}",
        ),
        (
            "position",
            "words follow one another, rows by the row step, segments by the plane, as exact numbers",
            "segment_line_q <= segment_line_q + 17'(plane_q);",
            "segment_line_q <= segment_line_q;",
        ),
        ("below", "a bank that there is", "bank_o <= first_bank_q;", "bank_o <= first_bank_q + 4'd1;"),
    ),
    reached=("leaves", "back", "over"),
    bound=12,
)

WALKERS = (BANK_STEP, STEP_SPLIT, LOOP_COUNTER, PIXEL_WALKER, MOVE_WALKER)
