"""What the engine demands of a descriptor: the one specification of its checks.

hls/rtl/field_check.sv and reach_check.sv and hls/vitis/include/bitlathe/check.hpp are held to it, as is the
compiler. What an EXEC touches is known from its fields in closed form: the pixels of its maps lie at even
steps, so the first and the last one bound them all. docs/program.md lists the checks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.cycle_model import exec_passes
from bitlathe.hls.decode import Decoded, Fields
from bitlathe.hls.program import Encoding, ErrorCode, Opcode, Space
from bitlathe.model.graph.errors import FormatError

LAST_PLACE = (1 << 12) - 1  # row or column of a window: the sequencer counts in signed 13-bit numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why the engine refuses a descriptor."""

    code: ErrorCode
    reason: str


def fault_of(opcode: Opcode, fields: Fields, configuration: EngineConfiguration) -> Fault | None:
    """The first fault of a descriptor with all of its fields, None where the engine takes it."""
    reason = next(_impossible(opcode, fields, configuration), None)
    if reason is not None:
        return Fault(code=ErrorCode.BAD_FIELD, reason=reason)
    reason = next(_beyond(fields, configuration), None) if opcode is Opcode.EXEC else None
    return None if reason is None else Fault(code=ErrorCode.OUT_OF_BOUNDS, reason=reason)


def check(descriptor: Decoded, configuration: EngineConfiguration) -> None:
    """Raise FormatError, naming the descriptor, where the engine would refuse it."""
    fault = fault_of(descriptor.opcode, descriptor.fields, configuration)
    if fault is not None:
        raise FormatError(f"{descriptor.where}: {fault.reason}; the program is wrong")


def _impossible(opcode: Opcode, fields: Fields, configuration: EngineConfiguration) -> Iterator[str]:
    if opcode is Opcode.EXEC:
        yield from _impossible_sizes(fields, configuration)
        yield from _impossible_cycles(fields, configuration)
        yield from _impossible_steps(fields, configuration)
    elif opcode is not Opcode.END:
        yield from _impossible_move(opcode, fields, configuration)


def _impossible_move(opcode: Opcode, fields: Fields, configuration: EngineConfiguration) -> Iterator[str]:
    word, space = configuration.word_bytes, fields["space"]
    if space not in Space.__members__.values():
        yield f"space {space} does not exist"
    if opcode is Opcode.STORE and space not in (Space.OUTPUT, Space.SCRATCH):
        yield f"goes to space {space}"
    if fields["offset"] % word or fields.get("segment_stride", 0) % word:
        yield f"an offset or a stride is no multiple of {word}"
    if opcode is Opcode.LOAD_WEIGHTS:
        yield from _impossible_lines(fields)
        return
    if not all(fields[name] for name in ("segment_words", "segments", "row_words")):
        yield "a count is zero"
    yield from _impossible_banks(fields, ("bank", "row_bank"), configuration.banks)


def _impossible_lines(fields: Fields) -> Iterator[str]:
    if not fields["beats"]:
        yield "a count is zero"
    if fields["encoding"] not in Encoding.__members__.values():
        yield f"encoding {fields['encoding']} does not exist"
    elif fields["encoding"] not in (Encoding.COLUMNS, Encoding.CODEBOOK) and not fields["pass_lines"]:
        yield "encodes passes of no line"


def _impossible_banks(fields: Fields, names: tuple[str, ...], banks: int) -> Iterator[str]:
    for name in names:
        if fields[name] >= banks:
            yield f"{name} {fields[name]} of {banks} banks"


def _impossible_sizes(fields: Fields, configuration: EngineConfiguration) -> Iterator[str]:
    counts = ("kernel_h", "kernel_w", "ci_tiles", "out_h", "out_w", "out_tiles", "tap_step")
    lanes = fields["group_lanes"]
    if not all(fields[name] for name in counts) or not 1 <= lanes <= configuration.pp:
        yield f"a count is zero or {lanes} lanes are not 1..{configuration.pp}"
    if fields["sub_tiles"] not in (1, configuration.sub_tiles):
        yield f"{fields['sub_tiles']} sub-tiles on a {configuration.po} wide array"
    steps = ("in", "in_step", "in_row", "tap_row", "skip", "out", "out_row", "res", "res_row")
    yield from _impossible_banks(fields, (*(f"{s}_bank" for s in steps), "tap_step"), configuration.banks)


def _impossible_cycles(fields: Fields, configuration: EngineConfiguration) -> Iterator[str]:
    """A group lasts as long as its products, and its words also where it leaves a kernel row out."""
    slow = fields["has_residual"] and not fields["res_fast"]
    words = fields["group_lanes"] * fields["sub_tiles"] * (2 if slow else 1)
    row, skip = fields["kernel_w"] * fields["ci_tiles"], fields["skip_weights"]
    needed = max(fields["kernel_h"] * row, words + skip)
    if skip and (skip != row or fields["kernel_h"] < 2):
        yield f"skips {skip} lines, a kernel row has {row}"
    if fields["group_cycles"] < needed:
        yield f"{fields['group_cycles']} cycles a group, needed {needed}"


def _impossible_steps(fields: Fields, configuration: EngineConfiguration) -> Iterator[str]:
    """The steps are those of one raster: a column further is the next position, a row further a pitch."""
    banks = configuration.banks
    pitch, width = map_pitch(fields, banks), (fields["out_w"] - 1) * fields["stride_w"]
    if position(fields, "in_step", banks) != fields["stride_w"]:
        step = position(fields, "in_step", banks)
        yield f"the input steps {step} columns, stride_w is {fields['stride_w']}"
    if position(fields, "in_row", banks) + width != fields["stride_h"] * pitch:
        yield f"the input steps by other than {fields['stride_h']} rows of {pitch} positions"
    if fields["skip_weights"] and position(fields, "skip", banks) != pitch:
        yield f"skips {position(fields, 'skip', banks)} positions, a row has {pitch}"
    maps = ("out", "res") if fields["has_residual"] else ("out",)
    if pitch < 0 or any(fields[f"{name}_row_line"] < 0 for name in maps):
        yield "a row lies before the one above it"
    last_row = fields["start_y"] + rows_reached(fields)
    last_column = fields["start_x"] + columns_reached(fields)
    if max(last_row, last_column) > LAST_PLACE:
        yield f"its last window ends at row {last_row}, column {last_column}"


def _beyond(fields: Fields, configuration: EngineConfiguration) -> Iterator[str]:
    words, lines = configuration.bank_lines * configuration.banks, configuration.weight_lines
    touched = [source_reach(fields, configuration.banks), map_reach(fields, "out", configuration.banks)]
    if fields["has_residual"]:
        touched.append(map_reach(fields, "res", configuration.banks))
    if any(reach and not 0 <= reach.start < reach.stop <= words for reach in touched):
        yield f"reaches beyond the scratchpad of {words}"
    if weight_reach(fields).stop > lines:
        yield f"reaches beyond the weight store of {lines}"


def position(fields: Fields, name: str, banks: int) -> int:
    """A (line, bank) pair as one number, so that a step is a sum."""
    return fields[f"{name}_line"] * banks + fields[f"{name}_bank"]


def map_pitch(fields: Fields, banks: int) -> int:
    """Positions from a row of an EXEC's input to the next."""
    return position(fields, "tap_row", banks) + (fields["kernel_w"] - 1) * fields["tap_step"]


def rows_reached(fields: Fields) -> int:
    """Rows from the first window's origin to the last one's last row."""
    return (fields["out_h"] - 1) * fields["stride_h"] + fields["kernel_h"] - 1


def columns_reached(fields: Fields) -> int:
    """Columns from the first window's origin to the last one's last column."""
    return (fields["out_w"] - 1) * fields["stride_w"] + (fields["kernel_w"] - 1) * fields["tap_step"]


def source_reach(fields: Fields, banks: int) -> range:
    """Positions of the scratchpad from the first to the last input pixel that a window may meet."""
    above, left = max(0, -fields["start_y"]), max(0, -fields["start_x"])
    last_row = min(rows_reached(fields), fields["in_h"] - 1 - fields["start_y"])
    last_column = min(columns_reached(fields), fields["in_w"] - 1 - fields["start_x"])
    if last_row < above or last_column < left:
        return range(0)  # nothing but padding
    pitch, first = map_pitch(fields, banks), position(fields, "in", banks)
    lines = (fields["ci_tiles"] - 1) * fields["in_plane"]
    lines += (exec_passes(fields) - 1) * fields["in_tile_step"]
    last = first + last_row * pitch + last_column + lines * banks
    return range(first + above * pitch + left, last + 1)


def map_reach(fields: Fields, name: str, banks: int) -> range:
    """Positions from the first to the last pixel of the output (out) or the residual (res)."""
    first, width = position(fields, name, banks), fields["out_w"] - 1
    rows = (fields["out_h"] - 1) * (position(fields, f"{name}_row", banks) + width)
    planes = (fields["out_tiles"] - 1) // (2 if fields[f"{name}_packed"] else 1)
    return range(first, first + width + rows + planes * fields[f"{name}_plane"] * banks + 1)


def weight_reach(fields: Fields) -> range:
    """Lines of the weight store: parameters and weights of every pass, of a maximum parameters alone."""
    taps = 0 if fields["is_max"] else fields["kernel_h"] * fields["kernel_w"] * fields["ci_tiles"]
    passes = 1 if fields["is_max"] or fields["repeat_weights"] else exec_passes(fields)
    first = fields["weight_line"]
    return range(first, first + passes * (1 + taps))
