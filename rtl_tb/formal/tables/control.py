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
        {"PI": 8, "PO": 32, "PP": 13, "Banks": 15},
        {"PI": 8, "PO": 16, "PP": 6, "Banks": 7},
        {"PI": 16, "PO": 16, "PP": 6, "Banks": 7},
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
            "a LOAD_WEIGHTS that passes has beats, a known encoding and the lines that it asks for",
            "weights.encoding < program_pkg::ENCODING_CODEBOOK);",
            "weights.encoding < program_pkg::ENCODING_INDICES);",
        ),
        (
            "counts",
            "an EXEC that passes has no count of 0; lanes (pairs of packed ones), sub-tiles, rows to skip",
            "exec.in_packed ? PP / 2 * 2 : PP",
            "exec.in_packed ? PP : PP",
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

_PORTS = {
    f"f_{who}[{bank}]": f"\\gen_bank[{bank}].{who}_here"
    for bank in range(3)
    for who in ("result", "residual", "load", "store")
}
_WORD = {
    f"f_{what}_{half}": f"\\gen_bank[1].gen_half[{h}].u_ram.f_{signal}"
    for h, half in enumerate(("low", "high"))
    for what, signal in (("line", "line"), ("known", "known_q"), ("word", "word_q"))
}
_SECOND_PORT = {
    f"f_{name}": f"\\gen_bank[1].{signal}"
    for name, signal in (
        ("array_line", "array_line_q"),
        ("array_en", "array_en_q"),
        ("other_line", "other_line_q"),
        ("other_read", "other_read_q"),
        ("other_write", "other_write_q"),
        ("other_data", "other_wdata_q"),
    )
}

SCRATCHPAD = Block(
    name="scratchpad",
    top="scratchpad",
    properties=("scratchpad", "ram_1r1rw"),
    configurations=(
        {"PI": 2, "PP": 2, "Banks": 3, "Lines": 8},
        {"PI": 8, "PP": 3, "Banks": 3, "Lines": 4096},
    ),
    probes={**_PORTS, **_WORD, **_SECOND_PORT},
    theorems=theorems_of(
        "scratchpad",
        (
            "one_port",
            "no two of output stage, LOAD and STORE on a bank's second port",
            "load_valid_i && load_bank_i == 4'(b) && !result_here && !residual_here;",
            "load_valid_i && load_bank_i == 4'(b) && !result_here;",
        ),
        (
            "first",
            "the output stage always has the port that it asks for",
            "&& residual_bank_i == 4'(b) && !result_here;",
            "&& residual_bank_i == 4'(b) && !result_valid;",
        ),
        (
            "granted",
            "a LOAD whose word is accepted has the port",
            "assign load_ready_o = !(result_valid && result_bank_i == load_bank_i)",
            "assign load_ready_o = !(result_valid && result_bank_i == store_bank_i)",
        ),
        (
            "granted_store",
            "a STORE whose request is accepted has the port",
            "      && !(load_claim_i && load_bank_i == store_bank_i);",
            "      && !(load_valid_i && load_bank_i == store_bank_i);",
        ),
        (
            "load_waits",
            "LOAD waits only in a cycle in which the output stage uses its bank",
            "&& !(residual_valid_i && residual_bank_i == load_bank_i);",
            "&& !residual_valid_i;",
        ),
        (
            "store_waits",
            "STORE waits only in a cycle in which another uses or claims its bank",
            "&& !(residual_valid_i && residual_bank_i == store_bank_i)",
            "&& !residual_valid_i",
        ),
        (
            "refused",
            "a LOAD or STORE that is not accepted has no port",
            "&& !(load_claim_i && load_bank_i == 4'(b));",
            ";",
        ),
        (
            "lane_read",
            "an array lane reads what was last written to its word",
            "array_line_d | LineW'(lane_line_i[16*j+:16])",
            "array_line_d | LineW'(lane_line_i[0+:16])",
        ),
        ("lane_pads", "a lane that is off reads the padding code", "on_q2 ? picked :", "on_q ? picked :"),
        (
            "residual_read",
            "a residual is what was last written to its word",
            "residual_bank_q2 <= residual_bank_q;",
            "residual_bank_q2 <= residual_bank_i;",
        ),
        (
            "store_read",
            "a STORE reads what was last written to its word",
            "store_bank_q2 <= store_bank_q;",
            "store_bank_q2 <= store_bank_i;",
        ),
        (
            "store_marked",
            "a STORE's word is marked three cycles after it was asked for",
            "store_valid_i && store_ready_o};",
            "store_valid_i};",
        ),
    ),
    reached=("all_busy", "reads", "halves"),
    induction=5,
    bound=9,
)

CONTROL = (RUN_CONTROL, FIELD_CHECK, SCRATCHPAD)
