"""Every width of the data path holds what legal codes and weights make of it, and none is a bit too large."""

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from array_model import narrow_sums, wide_sums

from bitlathe.hls import datapath as widths
from bitlathe.hls.compile.fold import PACKED_BITS
from bitlathe.hls.compile.limits import LANE_BITS
from bitlathe.hls.datapath import NARROW, WIDE, DataPath, Lanes, bits_of, datapath
from bitlathe.hls.target.config import INPUT_CHANNELS, EngineConfiguration
from bitlathe.model.graph.bounds import CodeRange
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.fixed_point import FixedPoint, weight_limit

NAMES = [field.name for field in fields(DataPath)]
Sums = Callable[[DataPath, np.ndarray, np.ndarray], np.ndarray]


def _sign_ranges(bits: int) -> list[tuple[int, int]]:
    formats = [FixedPoint(bits=bits, frac=0, signed=signed) for signed in (True, False)]
    return [(form.lo, form.hi) for form in formats]


def _turns(low: int, high: int, lanes: int) -> np.ndarray:
    """One corner in the first lanes, the other one in the rest, (2 * lanes + 2, lanes)."""
    place = np.arange(lanes)
    turned = np.arange(lanes + 1)[:, None] <= place
    return np.concatenate([np.where(turned, low, high), np.where(turned, high, low)])


def _narrow_cases(pi: int, codes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n, 2, lanes) and weights (n, 2, lanes): each corner all along, beside each turn of another."""
    lanes = pi * NARROW.channels
    weights = NARROW.weights.lo, NARROW.weights.hi
    act, weight = [], []
    for first, fixed in product(codes, weights):
        for second, corner in product(_turns(*codes, lanes), weights):
            act.append((np.full(lanes, first), second))
            weight.append((np.full(lanes, fixed), np.full(lanes, corner)))
        for corner, second in product(codes, _turns(*weights, lanes)):
            act.append((np.full(lanes, first), np.full(lanes, corner)))
            weight.append((np.full(lanes, fixed), second))
    return np.array(act), np.array(weight)


def _wide_cases(pi: int, codes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    weights = WIDE.weights.lo, WIDE.weights.hi
    act, weight = [], []
    for code, fixed, turning in product(_turns(*codes, pi), weights, _turns(*weights, pi)):
        act.append(code)
        weight.append((np.full(pi, fixed), turning))
    return np.array(act), np.array(weight)


def _wrong(path: DataPath, pi: int) -> list[str]:
    """Modes in which a data path of these widths gives some wrong sum at the corners."""
    wrong = []
    for codes in _sign_ranges(NARROW.bits):
        act, weight = _narrow_cases(pi, codes)
        for pixels in (act, act[:, ::-1]):
            for columns in (weight, weight[:, ::-1]):
                true = np.einsum("npi,noi->npo", pixels, columns)
                if not np.array_equal(narrow_sums(path, pixels, columns), true):
                    wrong.append(f"narrow {codes}")
    for codes in _sign_ranges(WIDE.bits):
        act, weight = _wide_cases(pi, codes)
        for columns in (weight, weight[:, ::-1]):
            if not np.array_equal(wide_sums(path, act, columns), np.einsum("ni,noi->no", act, columns)):
                wrong.append(f"wide {codes}")
    return wrong


@pytest.mark.parametrize("pi", INPUT_CHANNELS)
def test_sums_of_aligned_corners_are_exact(pi: int) -> None:
    assert _wrong(datapath(pi), pi) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pi", INPUT_CHANNELS)
def test_a_width_one_bit_smaller_gives_a_wrong_sum(pi: int, name: str) -> None:
    path = datapath(pi)
    assert _wrong(replace(path, **{name: getattr(path, name) - 1}), pi) != []


@pytest.mark.parametrize("pi", INPUT_CHANNELS)
def test_sums_of_random_codes_are_exact(pi: int, rng: np.random.Generator) -> None:
    path, count = datapath(pi), 3_000
    for lanes, pixels, sums in ((NARROW, 2, narrow_sums), (WIDE, 1, wide_sums)):
        for low, high in _sign_ranges(lanes.bits):
            channels = pi * lanes.channels
            act = rng.integers(low, high + 1, (count, pixels, channels))
            weight = rng.integers(lanes.weights.lo, lanes.weights.hi + 1, (count, 2, channels))
            true = np.einsum("npi,noi->npo", act, weight)
            got = sums(path, act if pixels == 2 else act[:, 0], weight)
            assert np.array_equal(got.reshape(true.shape), true)


@pytest.mark.parametrize("lanes", [NARROW, WIDE], ids=["narrow", "wide"])
def test_no_product_leaves_its_corners(lanes: Lanes) -> None:
    codes = np.arange(lanes.codes.lo, lanes.codes.hi + 1)
    weights = np.arange(lanes.weights.lo, lanes.weights.hi + 1)
    every = np.multiply.outer(codes, weights)
    assert (every.min(), every.max()) == (lanes.sums(1).lo, lanes.sums(1).hi)


def test_the_widths_are_these() -> None:
    assert datapath(8) == DataPath(
        code_bits=9,
        act_bits=14,
        weight_bits=25,
        product_bits=35,
        chain_bits=36,
        wide_spacing=17,
        narrow_spacing=9,
        field_bits=12,
        sum_bits=24,
        entry_bits=19,
    )
    assert datapath(16) == replace(datapath(8), field_bits=13, sum_bits=26, entry_bits=20)


def test_operands_fit_the_ports_of_the_smaller_multiplier() -> None:
    narrower, wider = widths.PORTS
    for pi in INPUT_CHANNELS:
        assert datapath(pi).act_bits <= narrower and datapath(pi).weight_bits <= wider


def test_a_weight_of_minus_128_would_leave_the_port() -> None:
    lowest = -128
    assert bits_of(CodeRange(lo=(lowest << WIDE.spacing) + lowest, hi=0)) > widths.PORTS[1]


def test_no_engine_has_other_input_channels_than_those_with_widths() -> None:
    for pi in range(1, 65):
        if pi in INPUT_CHANNELS:
            for sub_tiles, pp in product(range(1, 5), range(1, 16)):
                EngineConfiguration(pi=pi, po=pi * sub_tiles, pp=pp, banks=15)
        else:
            with pytest.raises(CapacityError, match="pi must be 8 or 16"):
                EngineConfiguration(pi=pi, po=pi)


def test_weights_that_a_graph_may_hold_are_those_the_array_multiplies() -> None:
    for bits in range(2, LANE_BITS + 1):
        limit = weight_limit(bits)
        assert WIDE.weights.lo <= -limit and limit <= WIDE.weights.hi
        if bits <= PACKED_BITS:
            assert NARROW.weights.lo <= -limit and limit <= NARROW.weights.hi
