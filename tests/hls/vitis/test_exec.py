"""Random EXECs leave what the functional engine leaves, and a wrong one is refused by its place."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import product

import needs
import numpy as np
import pytest
from exec_programs import ExecProgram, random_program, random_words
from hls_engines import ENGINES, FEW_BANKS, WIDE
from lone_execs import LONGEST

from bitlathe.hls.checks import fault_of
from bitlathe.hls.cycles.model import exec_cycles
from bitlathe.hls.program import (
    Descriptor,
    Encoding,
    ErrorCode,
    Exec,
    LoadMove,
    LoadWeights,
    Space,
    StoreMove,
)
from bitlathe.hls.program.registers import NO_DESCRIPTOR
from bitlathe.hls.target.config import Target
from bitlathe.hls.vitis.csim import EngineStopped, HlsEngine, Types
from bitlathe.model.graph.arrays import Bytes
from bitlathe.rtl_tb.execs import led_astray, one_step_outside, random_exec

TARGETS = ENGINES | FEW_BANKS | WIDE
CODES = (0xFF, 0x80, 0x7F, 0x88, 0x77)  # ends of 8 bits, signed and not, and of both halves of a byte
WEIGHTS = (-127, 127, -120, 119)  # the last two have halves of -8 and 7
# What random EXECs are to have among them, alone and together.
FEATURES: Mapping[str, Callable[[Exec], bool]] = {
    "dilated": lambda one: one.tap_rows > 1 and one.tap_step > 1 and min(one.kernel_h, one.kernel_w) > 1,
    "taps further apart than a line": lambda one: one.tap_step > 11 and one.kernel_w > 1,
    "pixels further apart than a line": lambda one: one.out_step > 11 and one.out_w > 1,
    "packed, dilated and spread": lambda one: (
        one.in_packed and one.out_packed and one.tap_step > 1 and one.kernel_w > 1 and one.out_step > 1
    ),
    "packed through a table": lambda one: one.out_packed and one.has_table,
    "maximum through a table": lambda one: one.is_max and one.has_table and not one.is_product,
    "signed product": lambda one: one.is_product and one.in_signed and one.res_signed,
    "unsigned product": lambda one: one.is_product and not one.in_signed and not one.res_signed,
    "product with a vector": lambda one: one.is_product and one.res_still and one.out_h * one.out_w > 1,
    "packed vector": lambda one: one.res_still and one.res_packed and one.out_tiles > 2,
    "held, packed": lambda one: one.hold_weights and one.in_packed and one.kernel_h > 1,
    "held, new lines a tile": lambda one: one.hold_weights and not one.repeat_weights and one.out_tiles > 1,
    "held, the same lines": lambda one: one.hold_weights and one.repeat_weights and one.out_tiles > 1,
    "halves to even": lambda one: one.half_even and not one.is_max,
    "last table": lambda one: one.has_table and one.table == 7,
    "half an output plane": lambda one: one.out_packed and one.out_tiles % 2 == 1,
}


def _wrong(
    target: Target, programs: Iterable[ExecProgram], words: Bytes, types: Types = Types.PLAIN
) -> list[ExecProgram]:
    """The programs that leave something else of a scratchpad that held `words`."""
    engine = HlsEngine(target, types)
    return [made for made in programs if not np.array_equal(engine.run(made, words), made.expected(words))]


def _programs(rng: np.random.Generator, target: Target, count: int, **fields: int) -> list[ExecProgram]:
    return [random_program(rng, target.engine, 3, **fields) for _ in range(count)]


@pytest.mark.parametrize("name", TARGETS)
def test_random_execs_leave_what_the_functional_engine_leaves(rng: np.random.Generator, name: str) -> None:
    target = TARGETS[name]
    assert _wrong(target, _programs(rng, target, 40), random_words(rng, target.engine)) == []


@pytest.mark.parametrize("name", ["pynq-z2", "16x32x3"])
def test_random_execs_have_everything_among_them(rng: np.random.Generator, name: str) -> None:
    execs = [one for made in _programs(rng, TARGETS[name], 40) for one in made.execs]
    assert [feature for feature, has in FEATURES.items() if not any(map(has, execs))] == []


def _wrong_when_aligned(
    rng: np.random.Generator, target: Target, count: int, types: Types = Types.PLAIN
) -> list[ExecProgram]:
    """Programs that are wrong on bytes all alike, with weights all alike, for all ends of either."""
    wrong = []
    for byte, weight in product(CODES, WEIGHTS):
        words = np.full_like(random_words(rng, target.engine), byte)
        wrong += _wrong(target, _programs(rng, target, count, weight=weight), words, types)
    return wrong


@pytest.mark.parametrize("name", ["pynq-z2", "8x16x3", "16x32x3"])
def test_codes_and_weights_that_all_add_up_leave_what_the_functional_engine_leaves(
    rng: np.random.Generator, name: str
) -> None:
    assert _wrong_when_aligned(rng, TARGETS[name], 2) == []


@pytest.mark.parametrize("name", ["8x16x3", "16x16x2"])
def test_random_execs_need_no_more_than_the_exact_widths(rng: np.random.Generator, name: str) -> None:
    needs.package("hls4ml")
    target = TARGETS[name]
    assert _wrong(target, _programs(rng, target, 6), random_words(rng, target.engine), Types.AP) == []
    assert _wrong_when_aligned(rng, target, 1, Types.AP) == []


def _with(made: ExecProgram, descriptors: Iterable[Descriptor]) -> ExecProgram:
    return replace(made, program=replace(made.program, descriptors=tuple(descriptors)))


def test_tables_stay_from_start_to_start(rng: np.random.Generator) -> None:
    target = TARGETS["pynq-z2"]
    made = random_program(rng, target.engine, 1, has_table=1)
    once = (
        replace(one, once=True) if isinstance(one, LoadWeights) else one for one in made.program.descriptors
    )
    made = _with(made, once)
    words = np.concatenate([random_words(rng, target.engine) for _ in range(2)])
    assert np.array_equal(HlsEngine(target).run(made, words), made.expected(words))


def _fault(descriptors: tuple[Descriptor, ...], target: Target) -> tuple[ErrorCode, int]:
    """Code and index of the first descriptor that is wrong."""
    for index, one in enumerate(descriptors):
        if (fault := fault_of(one, target.engine)) is not None:
            return fault.code, index
    return ErrorCode.NONE, NO_DESCRIPTOR


def _said(target: Target, made: ExecProgram, words: Bytes) -> tuple[ErrorCode, int]:
    """Code and index that the engine stops with."""
    try:
        HlsEngine(target).run(made, words)
    except EngineStopped as fault:
        return fault.code, fault.descriptor
    return ErrorCode.NONE, NO_DESCRIPTOR


@pytest.mark.parametrize("name", ["8x8x1", "16x16x1"])  # one pixel a group asks no bank twice
def test_the_first_wrong_exec_of_a_program_is_named(rng: np.random.Generator, name: str) -> None:
    target, seen = TARGETS[name], set()
    words = random_words(rng, target.engine)
    for made in _programs(rng, target, 60):
        damaged = tuple(
            led_astray(rng, one) if isinstance(one, Exec) and rng.random() < 0.5 else one
            for one in made.program.descriptors
        )
        code, index = _fault(damaged, target)
        runs = [one for one in damaged[: index if code else None] if isinstance(one, Exec)]
        if max(map(exec_cycles, runs), default=0) > LONGEST:
            continue
        assert _said(target, _with(made, damaged), words) == (code, index), damaged
        seen.add(code)
    assert seen == {ErrorCode.NONE, ErrorCode.BAD_FIELD, ErrorCode.OUT_OF_BOUNDS}


@pytest.mark.parametrize("name", ["pynq-z2", "zcu104", "16x32x3", "8x32x4"])
def test_an_exec_of_any_size_is_refused_as_specified(rng: np.random.Generator, name: str) -> None:
    target, seen = TARGETS[name], set()
    engine = HlsEngine(target)
    for number in range(150):
        right = random_exec(rng, target.engine, is_large=number % 2 == 0)
        outside = one_step_outside(right, target.engine).values()
        for one in (right, *outside, *(led_astray(rng, right) for _ in range(8))):
            code, _ = _fault((one,), target)
            assert engine.check(one) is code, one
            seen.add(code)
    assert seen == {ErrorCode.NONE, ErrorCode.BAD_FIELD, ErrorCode.OUT_OF_BOUNDS}


_MOVES = (
    LoadMove(segment_words=8, segments=2, row_words=4, plane=3, row_bank=1),
    StoreMove(space=Space.OUTPUT, segment_words=8, segments=2, row_words=4, plane=3, row_bank=1),
    *(LoadWeights(encoding=encoding, beats=9, pass_lines=1) for encoding in Encoding),
    *(LoadWeights(encoding=encoding, beats=9, pass_lines=1, lines=2) for encoding in Encoding),
    LoadWeights(encoding=Encoding.SPARSE, beats=9, pass_lines=1, lines=2, narrow=True),
    LoadWeights(encoding=Encoding.NIBBLES, beats=9, pass_lines=1, narrow=True),
)


@pytest.mark.parametrize("name", ["pynq-z2", "zcu104", "16x32x3"])
def test_a_move_is_refused_as_specified(rng: np.random.Generator, name: str) -> None:
    target, seen = TARGETS[name], set()
    engine = HlsEngine(target)
    for move in _MOVES:
        for one in (move, *(led_astray(rng, move) for _ in range(200))):
            code, _ = _fault((one,), target)
            assert engine.check(one) is code, one
            seen.add(code)
    assert seen == {ErrorCode.NONE, ErrorCode.BAD_FIELD}


# Fields that need or exclude one another, with the values that matter.
_FLAG = (0, 1)
COMBINED = {
    "tables": {"has_table": _FLAG, "table": (0, 7)},
    "residuals": {
        **dict.fromkeys(("is_max", "has_residual", "is_product", "res_still"), _FLAG),
        **dict.fromkeys(("in_packed", "out_packed", "res_packed"), _FLAG),
        "res_row_line": (0, -1),
    },
    "weights": {
        **dict.fromkeys(("is_max", "hold_weights", "skip_weights"), _FLAG),
        **dict.fromkeys(("kernel_h", "ci_tiles", "tap_rows"), (1, 2)),
    },
}


@pytest.mark.parametrize("group", COMBINED)
def test_fields_are_refused_in_the_specified_combinations(group: str) -> None:
    target, seen = TARGETS["pynq-z2"], set()
    engine = HlsEngine(target)
    ones = ("kernel_h", "kernel_w", "ci_tiles", "out_h", "out_w", "out_tiles", "tap_rows", "tap_step")
    sizes = dict.fromkeys((*ones, "out_step", "sub_tiles", "group_lanes", "pitch_bank"), 1)
    for values in product(*COMBINED[group].values()):
        fields = {**sizes, **dict(zip(COMBINED[group], values, strict=True)), "group_cycles": 99}
        one = Exec(**fields, tap_row_bank=fields["tap_rows"])  # of rows one position apart
        skips = replace(one, skip_weights=one.skip_weights * one.ci_tiles)  # a kernel row, or none
        code, _ = _fault((skips,), target)
        assert engine.check(skips) is code, skips
        seen.add(code)
    assert seen == {ErrorCode.NONE, ErrorCode.BAD_FIELD}
