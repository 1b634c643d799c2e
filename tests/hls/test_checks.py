"""What the engine demands of a descriptor, held to a walk over every word, and to every program we make."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compiled_networks import NETWORKS, TINY, compiled_for
from exec_walks import Place, origins, output_pixels, residual_pixels, taps
from hypothesis import given, settings
from strategies import SEEDS

from bitlathe.hls.checks import fault_of, output_words, residual_words, source_reach, weight_reach
from bitlathe.hls.program import ErrorCode, Exec
from bitlathe.hls.program.decode import decode_program
from bitlathe.hls.program.moves import add_positions
from bitlathe.hls.target.config import EngineConfiguration, reference_targets
from bitlathe.model.graph.errors import CapacityError
from bitlathe.rtl_tb.execs import led_astray, one_step_outside, random_exec

NARROW = EngineConfiguration(pi=8, po=16, pp=3, banks=5, bank_lines=1024, weight_lines=1024)


def words_read(one: Exec, banks: int) -> set[Place]:
    """Every word that the array reads."""
    passes = -(-one.out_tiles // one.sub_tiles)
    tiles = [
        done * one.in_tile_step + tile * one.in_plane
        for done in range(passes)
        for tile in range(one.ci_tiles)
    ]
    read = set()
    for y, x, origin in origins(one, banks):
        for ky, kx, tap in taps(one, banks):
            row, column = y + ky, x + kx
            if 0 <= row < one.in_h and 0 <= column < one.in_w:
                line, bank = add_positions(origin, tap, banks)
                read |= {(line + lines, bank) for lines in tiles}
    return read


def words_written(one: Exec, banks: int) -> set[Place]:
    """Every word of the output."""
    return _in_planes(one, output_pixels(one, banks), one.out_plane, one.out_packed)


def words_added(one: Exec, banks: int) -> set[Place]:
    """Every word of the residual."""
    return _in_planes(one, residual_pixels(one, banks), one.res_plane, one.res_packed)


def _in_planes(
    one: Exec, pixels: Iterator[tuple[int, int, Place]], plane: int, is_packed: bool
) -> set[Place]:
    planes = {tile // (2 if is_packed else 1) * plane for tile in range(one.out_tiles)}
    return {(line + lines, bank) for _, _, (line, bank) in pixels for lines in planes}


def touched(one: Exec, banks: int) -> set[Place]:
    words = words_read(one, banks) | words_written(one, banks)
    return words | (words_added(one, banks) if one.has_residual else set())


@settings(max_examples=40)
@given(SEEDS)
def test_an_exec_that_passes_touches_no_word_outside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = random_exec(rng, NARROW)
    changed = led_astray(rng, right)
    sizes = (changed.out_h, changed.out_w, changed.kernel_h, changed.kernel_w)
    small = max(*sizes, changed.ci_tiles, changed.out_tiles) <= 12
    for one in (right, changed) if small else (right,):
        fault = fault_of(one, NARROW)
        if fault is None:
            words = touched(one, NARROW.banks)
            assert all(0 <= line < NARROW.bank_lines for line, _ in words)
            assert weight_reach(one).stop <= NARROW.weight_lines
        assert fault is None or one is changed


@settings(max_examples=40)
@given(SEEDS)
def test_a_reach_ends_where_the_walk_over_its_words_does(seed: int) -> None:
    one, banks = random_exec(np.random.default_rng(seed), NARROW), NARROW.banks

    def ends(words: set[Place]) -> list[int]:
        positions = sorted(line * banks + bank for line, bank in words)
        return [positions[0], positions[-1]] if positions else []

    for reach, words in (
        (output_words(one, banks).reach, words_written(one, banks)),
        (residual_words(one, banks).reach, words_added(one, banks)),
    ):
        assert ends(words) == [reach[0], reach[-1]]
    reach, read = source_reach(one, banks), ends(words_read(one, banks))
    assert all(word in reach for word in read)
    is_dense = one.tap_step == 1 and one.strides[1] <= one.kernel_w
    if (
        is_dense and one.tap_rows == 1 and one.strides[0] <= one.kernel_h
    ):  # else no window may meet the map's ends
        assert read == ([reach[0], reach[-1]] if reach else [])


@settings(max_examples=40)
@given(SEEDS)
def test_one_word_outside_is_out_of_bounds(seed: int) -> None:
    one = random_exec(np.random.default_rng(seed), NARROW)
    for where, moved in one_step_outside(one, NARROW).items():
        fault = fault_of(moved, NARROW)
        assert fault is not None and fault.code is ErrorCode.OUT_OF_BOUNDS, where


@settings(max_examples=40)
@given(SEEDS)
def test_a_group_lasts_as_long_as_its_products_and_its_words_and_no_longer(seed: int) -> None:
    one = random_exec(np.random.default_rng(seed), NARROW)
    products = one.kernel_h * one.kernel_w * one.ci_tiles
    slots = one.group_lanes * one.sub_tiles * (2 if one.has_residual and not one.res_fast else 1)
    least = max(products, slots + one.skip_weights)
    assert fault_of(replace(one, group_cycles=least), NARROW) is None
    fault = fault_of(replace(one, group_cycles=least - 1), NARROW)
    assert fault is not None and fault.code is ErrorCode.BAD_FIELD


def least_exec(**changes: Any) -> Exec:
    """An EXEC of one pixel and one tap that passes, with the given fields."""
    ones = ("kernel_h", "kernel_w", "ci_tiles", "out_h", "out_w", "out_tiles", "tap_rows")
    steps = ("tap_step", "out_step", "sub_tiles", "group_lanes", "pitch_bank", "tap_row_bank")
    return Exec(**{**dict.fromkeys((*ones, *steps), 1), "group_cycles": 9, **changes})


@pytest.mark.parametrize(
    ("right", "change"),
    [
        ({"hold_weights": True, "kernel_h": 2}, {"is_max": True}),
        ({"hold_weights": True, "kernel_h": 2}, {"ci_tiles": 2}),
        ({"hold_weights": True, "kernel_h": 2}, {"skip_weights": 1}),
        ({"skip_weights": 1, "kernel_h": 2}, {"skip_weights": 2}),
        ({"has_table": True, "table": 3}, {"has_table": False}),
        ({"is_product": True, "is_max": True, "has_residual": True}, {"is_max": False}),
        ({"is_product": True, "is_max": True, "has_residual": True}, {"has_residual": False}),
        ({"is_product": True, "is_max": True, "has_residual": True}, {"res_packed": True}),
        ({"res_still": True, "has_residual": True}, {"has_residual": False}),
    ],
    ids=str,
)
def test_flags_that_do_not_go_together_are_refused(right: dict[str, int], change: dict[str, int]) -> None:
    assert fault_of(least_exec(**right), NARROW) is None
    fault = fault_of(least_exec(**{**right, **change}), NARROW)
    assert fault is not None and fault.code is ErrorCode.BAD_FIELD


@pytest.mark.parametrize(("pp", "most"), [(1, 0), (2, 2), (3, 2), (6, 6)])
def test_packed_pixels_come_in_pairs(pp: int, most: int) -> None:
    engine = EngineConfiguration(pp=pp, banks=7)
    for lanes in range(1, pp + 1):
        plain = least_exec(group_lanes=lanes)
        assert fault_of(plain, engine) is None
        fault = fault_of(replace(plain, in_packed=True), engine)
        assert (fault is None) is (lanes <= most)
        assert fault is None or fault.code is ErrorCode.BAD_FIELD


@pytest.mark.parametrize(
    "configuration",
    [*(target.engine for target in reference_targets().values()), TINY[0], TINY[3]],
    ids=lambda configuration: configuration.label,
)
def test_every_descriptor_of_a_compiled_network_passes(
    configuration: EngineConfiguration, rng: np.random.Generator
) -> None:
    compiled = 0
    for make in NETWORKS.values():
        try:
            program = compiled_for(make(rng), configuration).program
        except CapacityError:
            continue
        compiled += 1
        for each in decode_program(program.encode(), configuration).descriptors:
            assert fault_of(each, configuration) is None, each
    assert compiled
