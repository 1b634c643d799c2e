"""What decides: the run, the scratchpad's ports, the checks of a descriptor."""

from bitlathe.rtl_tb.formal.theorems import Block, theorems_of

RUN_CONTROL = Block(
    name="run_control",
    top="run_control",
    properties=("run_control",),
    theorems=theorems_of(
        "run_control",
        (
            "first_code",
            "the code of the first error since the start, by priority among those of one cycle",
            "else if (error_i != '0 && !stop_o && !idle_o) error_code_o <= code;",
            "else if (error_i != '0 && !idle_o) error_code_o <= code;",
        ),
        (
            "first_index",
            "that error's descriptor",
            "if (error_i != '0 && !stop_o) error_index_o",
            "if (error_i != '0) error_index_o",
        ),
        ("stops", "stop_o from the first error to done", "&& state_q != Clear;", "&& state_q != Drain;"),
        ("idle", "busy from a start to its done, once", "if (start_i) state_q <= Run;", "state_q <= Run;"),
        (
            "done",
            "done within 16 cycles once the program has ended or failed and nothing is in flight",
            "settle_q == Settle : !profile_busy_i",
            "settle_q == Settle && !start_i : !profile_busy_i",
        ),
        (
            "ended_all",
            "no done while bursts are in flight, nor before the records of a run without error are written",
            "drained = !flying_i && (stop_o",
            "drained = (stop_o",
        ),
        (
            "clears",
            "done is one cycle, then idle",
            "default: state_q <= Idle;",
            "default: state_q <= start_i ? Clear : Idle;",
        ),
        (
            "cycles",
            "cycles from the start to done",
            "cycles_o <= cycles_o + 64'd1;",
            "cycles_o <= cycles_o + 64'(!stop_o);",
        ),
    ),
    reached=("failed", "ended", "late"),
    bound=26,
)

FIELD_CHECK = Block(
    name="field_check",
    top="field_check",
    properties=("field_check",),
    configurations=(
        {"PI": 8, "PO": 16, "PP": 6, "Banks": 7},
        {"PI": 16, "PO": 16, "PP": 6, "Banks": 7},
        {"PI": 8, "PO": 32, "PP": 13, "Banks": 15},
    ),
    theorems=theorems_of(
        "field_check",
        (
            "opcodes",
            "a known opcode, END last and only last; nothing else is a wrong opcode",
            "move.opcode > program_pkg::OP_STORE ||",
            "move.opcode > program_pkg::OP_EXEC ||",
        ),
        (
            "spaces",
            "what passes has one of the four spaces, in whole words; a STORE only OUTPUT or SCRATCH",
            "move.space < program_pkg::SPACE_OUTPUT",
            "move.space < program_pkg::SPACE_INPUT",
        ),
        (
            "moves",
            "a move that passes has counts and banks that there are",
            "move.row_bank >= 4'(Banks)",
            "1'b0",
        ),
        (
            "loads",
            "a LOAD_WEIGHTS that passes has beats and a known encoding with its lines",
            "weights.encoding < program_pkg::ENCODING_CODEBOOK && weights",
            "weights.encoding < program_pkg::ENCODING_INDICES && weights",
        ),
        (
            "counts",
            "an EXEC that passes has no count of 0, lanes and sub-tiles that there are, and rows to skip",
            "exec.group_lanes > 4'(PP)",
            "exec.group_lanes > 4'(PP + 1)",
        ),
        ("banks", "an EXEC that passes has banks that there are", "exec.tap_row_bank >= 4'(Banks)", "1'b0"),
        (
            "flags",
            "an EXEC that passes has flags that go together",
            "(exec.res_still && !exec.has_residual) ||",
            "(exec.res_still && !exec.has_residual && exec.is_max) ||",
        ),
        ("rows", "no row comes before the one above it", "$signed(exec.out_row_line) < 0 ||", ""),
        (
            "group",
            "a group lasts as long as its words and the lines it skips",
            "17'(words) + 17'(exec.skip_weights)",
            "17'(words)",
        ),
        (
            "nothing_else",
            "no descriptor that fulfils all of this is refused",
            "exec.kernel_h <= 8'(exec.skip_weights != '0)",
            "exec.kernel_h <= 8'd1",
        ),
    ),
    reached=("passes_exec", "passes_store", "passes_weights", "passes_end"),
    bound=3,
)

CONTROL = (RUN_CONTROL, FIELD_CHECK)
