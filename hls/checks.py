"""Rules that a descriptor must meet: the one specification of the engine's checks.

hls/rtl/field_check.sv and reach_check.sv and hls/vitis/include/bitlathe/check.hpp are held to it, as is the
compiler. What an EXEC touches is known from its fields in closed form: the pixels of its maps are at even
steps, so the first and the last one bound them all. docs/program.md lists the checks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bitlathe.hls.cycles.model import exec_passes
from bitlathe.hls.program import (
    Descriptor,
    Encoding,
    ErrorCode,
    Exec,
    LoadWeights,
    Move,
    Space,
    StoreMove,
    fields_of,
)
from bitlathe.hls.program.moves import WITHOUT_PARAMETERS
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import FormatError

LAST_PLACE = (1 << 12) - 1  # row or column of a window: the sequencer counts in signed 13-bit numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why the engine refuses a descriptor."""

    code: ErrorCode
    reason: str


def fault_of(descriptor: Descriptor, configuration: EngineConfiguration) -> Fault | None:
    """The first fault of a descriptor, None where the engine takes it."""
    reason = next(_impossible(descriptor, configuration), None)
    if reason is not None:
        return Fault(code=ErrorCode.BAD_FIELD, reason=reason)
    reason = next(_beyond(descriptor, configuration), None) if isinstance(descriptor, Exec) else None
    return None if reason is None else Fault(code=ErrorCode.OUT_OF_BOUNDS, reason=reason)


def check(descriptor: Descriptor, configuration: EngineConfiguration) -> None:
    """Raise FormatError, naming the decoded descriptor, where the engine would refuse it."""
    fault = fault_of(descriptor, configuration)
    if fault is not None:
        raise FormatError(f"{descriptor.node}: {fault.reason}; the program is wrong")


def _impossible(descriptor: Descriptor, configuration: EngineConfiguration) -> Iterator[str]:
    if isinstance(descriptor, Exec):
        yield from _impossible_sizes(descriptor, configuration)
        yield from _impossible_flags(descriptor)
        yield from _impossible_cycles(descriptor)
        yield from _impossible_steps(descriptor, configuration)
    elif isinstance(descriptor, Move | LoadWeights):
        yield from _impossible_move(descriptor, configuration)


def _impossible_move(move: Move | LoadWeights, configuration: EngineConfiguration) -> Iterator[str]:
    word, space = configuration.word_bytes, move.space
    if space not in Space.__members__.values():
        yield f"space {space} does not exist"
    if isinstance(move, StoreMove) and space not in (Space.OUTPUT, Space.SCRATCH):
        yield f"goes to space {space}"
    stride = move.segment_stride if isinstance(move, Move) else 0
    if move.offset % word or stride % word:
        yield f"an offset or a stride is not a multiple of {word}"
    if isinstance(move, LoadWeights):
        yield from _impossible_lines(move)
        return
    if 0 in (move.segment_words, move.segments, move.row_words):
        yield "a count is zero"
    yield from _impossible_banks(move, configuration.banks)


def _impossible_lines(load: LoadWeights) -> Iterator[str]:
    if not load.beats:
        yield "a count is zero"
    if load.encoding not in Encoding.__members__.values():
        yield f"encoding {load.encoding} does not exist"
    elif load.encoding != Encoding.SPARSE and (load.lines or load.narrow):
        yield "only SPARSE has lines and narrow"
    elif load.encoding == Encoding.SPARSE and not load.lines:
        yield "a sparse load makes no lines"
    elif load.encoding not in WITHOUT_PARAMETERS and not load.pass_lines:
        yield "encodes passes of no line"


def _impossible_banks(descriptor: Descriptor, banks: int) -> Iterator[str]:
    for field in fields_of(type(descriptor)):
        if field.name.endswith("bank") and (bank := getattr(descriptor, field.name)) >= banks:
            yield f"{field.name} {bank} of {banks} banks"


def _impossible_sizes(one: Exec, configuration: EngineConfiguration) -> Iterator[str]:
    counts = (one.kernel_h, one.kernel_w, one.ci_tiles, one.out_h, one.out_w, one.out_tiles)
    steps, lanes = (one.tap_rows, one.tap_step, one.out_step), one.group_lanes
    if 0 in counts + steps or not 1 <= lanes <= configuration.pp:
        yield f"a count is zero or {lanes} lanes are not 1..{configuration.pp}"
    if one.in_packed and lanes > configuration.pp // 2 * 2:
        yield f"{lanes} packed lanes, of which {configuration.pp // 2} pairs are there"
    if one.sub_tiles not in (1, configuration.sub_tiles):
        yield f"{one.sub_tiles} sub-tiles on a {configuration.po} wide array"
    yield from _impossible_banks(one, configuration.banks)


def _impossible_flags(one: Exec) -> Iterator[str]:
    if one.table and not one.has_table:
        yield f"table {one.table}, and no table is asked for"
    if one.is_product and not (one.is_max and one.has_residual):
        yield "a product is one of a maximum and a residual"
    if one.is_product and (one.in_packed or one.out_packed or one.res_packed):
        yield "a product takes and makes codes of 8 bits"
    if one.res_still and not one.has_residual:
        yield "no residual stays where it is"
    if one.hold_weights and (one.is_max or one.ci_tiles != 1 or one.skip_weights):
        yield "holds a line of weights for more than the taps of one tile"


def _impossible_cycles(one: Exec) -> Iterator[str]:
    """A group lasts as long as its products take, and as its words take even if it skips a kernel row."""
    slow = one.has_residual and not one.res_fast
    words = one.group_lanes * one.sub_tiles * (2 if slow else 1)
    row, skip = one.kernel_w * one.ci_tiles, one.skip_weights
    needed = max(one.kernel_h * row, words + skip)
    if skip and (skip != row or one.kernel_h < 2):
        yield f"skips {skip} lines, a kernel row has {row}"
    if skip and one.tap_rows != 1:
        yield f"skips kernel rows that are {one.tap_rows} rows apart"
    if one.group_cycles < needed:
        yield f"{one.group_cycles} cycles a group, needed {needed}"


def _impossible_steps(one: Exec, configuration: EngineConfiguration) -> Iterator[str]:
    """The steps form one raster: the next column is the next position, the next row a pitch further."""
    banks = configuration.banks
    pitch = map_pitch(one, banks)
    tap_row = one.tap_row_line * banks + one.tap_row_bank + (one.kernel_w - 1) * one.tap_step
    in_row = one.in_row_line * banks + one.in_row_bank + (one.out_w - 1) * one.strides[1]
    if tap_row != one.tap_rows * pitch:
        yield f"the kernel steps by other than {one.tap_rows} rows of {pitch} positions"
    if in_row != one.strides[0] * pitch:
        yield f"the input steps by other than {one.strides[0]} rows of {pitch} positions"
    if one.out_row_line < 0 or (one.has_residual and not one.res_still and one.res_row_line < 0):
        yield "a row is before the one above it"
    last_row, last_column = one.start_y + rows_reached(one), one.start_x + columns_reached(one)
    if max(last_row, last_column) > LAST_PLACE:
        yield f"its last window ends at row {last_row}, column {last_column}"


def _beyond(one: Exec, configuration: EngineConfiguration) -> Iterator[str]:
    banks, lines = configuration.banks, configuration.weight_lines
    words = configuration.bank_lines * banks
    touched = [source_reach(one, banks), output_words(one, banks).reach]
    if one.has_residual:
        touched.append(residual_words(one, banks).reach)
    if any(reach and not 0 <= reach.start < reach.stop <= words for reach in touched):
        yield f"reaches beyond the scratchpad of {words}"
    if weight_reach(one).stop > lines:
        yield f"reaches beyond the weight store of {lines}"


def source_position(one: Exec, banks: int) -> int:
    """Position of an EXEC's first window's origin as one number, so that a step is a sum."""
    return one.in_line * banks + one.in_bank


def map_pitch(one: Exec, banks: int) -> int:
    """Positions from a row of an EXEC's input to the next."""
    return one.pitch_line * banks + one.pitch_bank


def rows_reached(one: Exec) -> int:
    """Rows from the first window's origin to the last one's last row."""
    return (one.out_h - 1) * one.strides[0] + (one.kernel_h - 1) * one.tap_rows


def columns_reached(one: Exec) -> int:
    """Columns from the first window's origin to the last one's last column."""
    return (one.out_w - 1) * one.strides[1] + (one.kernel_w - 1) * one.tap_step


def source_reach(one: Exec, banks: int) -> range:
    """Positions of the scratchpad from the first to the last input pixel that a window may meet."""
    above, left = max(0, -one.start_y), max(0, -one.start_x)
    last_row = min(rows_reached(one), one.in_h - 1 - one.start_y)
    last_column = min(columns_reached(one), one.in_w - 1 - one.start_x)
    if last_row < above or last_column < left:
        return range(0)  # nothing but padding
    pitch, first = map_pitch(one, banks), source_position(one, banks)
    lines = (one.ci_tiles - 1) * one.in_plane + (exec_passes(one) - 1) * one.in_tile_step
    last = first + last_row * pitch + last_column + lines * banks
    return range(first + above * pitch + left, last + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapWords:
    """The words of an EXEC's output or residual, by position in the scratchpad."""

    first: int
    width: int  # words a row
    step: int  # positions from a word of a row to the next
    rows: int
    pitch: int  # positions from a row to the next
    planes: int
    plane: int  # positions from a plane to the next

    @property
    def reach(self) -> range:
        """From the first to the last."""
        return range(self.first, self.first + (self.planes - 1) * self.plane + self.plane_reach)

    @property
    def plane_reach(self) -> int:
        """Positions from a plane's first to its last, both included."""
        return (self.rows - 1) * self.pitch + (self.width - 1) * self.step + 1


def output_words(one: Exec, banks: int) -> MapWords:
    """Where an EXEC writes."""
    return MapWords(
        first=one.out_line * banks + one.out_bank,
        width=one.out_w,
        step=one.out_step,
        rows=one.out_h,
        pitch=one.out_row_line * banks + one.out_row_bank + (one.out_w - 1) * one.out_step,
        planes=-(-one.out_tiles // 2) if one.out_packed else one.out_tiles,
        plane=one.out_plane * banks,
    )


def residual_words(one: Exec, banks: int) -> MapWords:
    """Where an EXEC finds its residual."""
    return MapWords(
        first=one.res_line * banks + one.res_bank,
        width=one.out_w,
        step=0 if one.res_still else 1,
        rows=one.out_h,
        pitch=0 if one.res_still else one.res_row_line * banks + one.res_row_bank + one.out_w - 1,
        planes=-(-one.out_tiles // 2) if one.res_packed else one.out_tiles,
        plane=one.res_plane * banks,
    )


def weight_reach(one: Exec) -> range:
    """Lines of the weight store: parameters and weights of every pass, of a maximum parameters alone."""
    passes = 1 if one.is_max or one.repeat_weights else exec_passes(one)
    return range(one.weight_line, one.weight_line + passes * pass_lines(one))


def pass_lines(one: Exec) -> int:
    """Lines of the weight store that a pass takes: its parameters, and weights."""
    if one.is_max or one.hold_weights:
        return 1 if one.is_max else 2
    return 1 + one.kernel_h * one.kernel_w * one.ci_tiles
