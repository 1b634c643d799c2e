"""What the engine demands of a descriptor, held to a walk over every word, and to every program we make."""

from collections.abc import Iterator

import numpy as np
import pytest
from compiled_networks import NETWORKS, TINY, compiled_for
from hypothesis import given, settings
from strategies import SEEDS

from bitlathe.hls.checks import fault_of, map_reach, source_reach, weight_reach
from bitlathe.hls.config import TARGETS, EngineConfiguration
from bitlathe.hls.decode import decode_program
from bitlathe.hls.moves import add_positions
from bitlathe.hls.program import ErrorCode, Opcode
from bitlathe.model.graph.errors import CapacityError
from bitlathe.rtl_tb.execs import led_astray, one_step_outside, random_exec

NARROW = EngineConfiguration(pi=8, po=16, pp=3, banks=5, bank_lines=1024, weight_lines=1024)
Place = tuple[int, int]


def raster(fields: dict[str, int], name: str, step: Place, banks: int) -> Iterator[tuple[int, int, Place]]:
    """(row, column, place) of every output pixel, by steps of (line, bank) as the engine takes them."""
    place = fields[f"{name}_line"], fields[f"{name}_bank"]
    row_step = fields[f"{name}_row_line"], fields[f"{name}_row_bank"]
    for y in range(fields["out_h"]):
        for x in range(fields["out_w"]):
            yield y, x, place
            place = add_positions(place, row_step if x + 1 == fields["out_w"] else step, banks)


def taps(fields: dict[str, int], banks: int) -> Iterator[tuple[int, int, Place]]:
    """(row, column, step from the window's origin) of every tap."""
    place = (0, 0)
    for ky in range(fields["kernel_h"]):
        for kx in range(fields["kernel_w"]):
            yield ky, kx * fields["tap_step"], place
            row_ends = kx + 1 == fields["kernel_w"]
            step = (fields["tap_row_line"], fields["tap_row_bank"]) if row_ends else (0, fields["tap_step"])
            place = add_positions(place, step, banks)


def words_read(fields: dict[str, int], banks: int) -> set[Place]:
    """Every word that the array reads."""
    step = fields["in_step_line"], fields["in_step_bank"]
    passes = -(-fields["out_tiles"] // fields["sub_tiles"])
    tiles = [
        done * fields["in_tile_step"] + tile * fields["in_plane"]
        for done in range(passes)
        for tile in range(fields["ci_tiles"])
    ]
    read = set()
    for y, x, origin in raster(fields, "in", step, banks):
        for ky, kx, tap in taps(fields, banks):
            row = fields["start_y"] + y * fields["stride_h"] + ky
            column = fields["start_x"] + x * fields["stride_w"] + kx
            if 0 <= row < fields["in_h"] and 0 <= column < fields["in_w"]:
                line, bank = add_positions(origin, tap, banks)
                read |= {(line + lines, bank) for lines in tiles}
    return read


def words_of_map(fields: dict[str, int], name: str, banks: int) -> set[Place]:
    """Every word of the output or the residual."""
    halves = 2 if fields[f"{name}_packed"] else 1
    planes = {tile // halves * fields[f"{name}_plane"] for tile in range(fields["out_tiles"])}
    pixels = [place for _, _, place in raster(fields, name, (0, 1), banks)]
    return {(line + plane, bank) for line, bank in pixels for plane in planes}


def touched(fields: dict[str, int], banks: int) -> set[Place]:
    words = words_read(fields, banks) | words_of_map(fields, "out", banks)
    return words | (words_of_map(fields, "res", banks) if fields["has_residual"] else set())


@settings(max_examples=40)
@given(SEEDS)
def test_an_exec_that_passes_touches_no_word_outside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fields = random_exec(rng, NARROW)
    changed = led_astray(rng, fields)
    small = all(
        changed[name] <= 12 for name in ("out_h", "out_w", "kernel_h", "kernel_w", "ci_tiles", "out_tiles")
    )
    for one in (fields, changed) if small else (fields,):
        fault = fault_of(Opcode.EXEC, one, NARROW)
        if fault is None:
            words = touched(one, NARROW.banks)
            assert all(0 <= line < NARROW.bank_lines for line, _ in words)
            assert weight_reach(one).stop <= NARROW.weight_lines
        assert fault is None or one is changed


@settings(max_examples=40)
@given(SEEDS)
def test_a_reach_ends_where_the_walk_over_its_words_does(seed: int) -> None:
    fields, banks = random_exec(np.random.default_rng(seed), NARROW), NARROW.banks

    def ends(words: set[Place]) -> list[int]:
        positions = sorted(line * banks + bank for line, bank in words)
        return [positions[0], positions[-1]] if positions else []

    for name in ("out", "res"):
        reach = map_reach(fields, name, banks)
        assert ends(words_of_map(fields, name, banks)) == [reach[0], reach[-1]]
    reach, read = source_reach(fields, banks), ends(words_read(fields, banks))
    assert all(word in reach for word in read)
    is_dense = fields["tap_step"] == 1 and fields["stride_w"] <= fields["kernel_w"]
    if is_dense and fields["stride_h"] <= fields["kernel_h"]:  # else no window may meet the map's ends
        assert read == ([reach[0], reach[-1]] if reach else [])


@settings(max_examples=40)
@given(SEEDS)
def test_one_word_outside_is_out_of_bounds(seed: int) -> None:
    fields = random_exec(np.random.default_rng(seed), NARROW)
    for where, moved in one_step_outside(fields, NARROW).items():
        fault = fault_of(Opcode.EXEC, moved, NARROW)
        assert fault is not None and fault.code is ErrorCode.OUT_OF_BOUNDS, where


@pytest.mark.parametrize(
    "configuration",
    [*(target.engine for target in TARGETS.values()), TINY[0], TINY[3]],
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
            assert fault_of(each.opcode, each.fields, configuration) is None, each
    assert compiled
