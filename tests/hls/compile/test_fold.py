"""4-bit tensors lie two codes to a byte where readers gain by it; residuals are read as fast as is safe."""

import numpy as np
import pytest
from compiled_networks import ROOMY, TINY, compiled_for, computed

from bitlathe.hls.compile.fast_residual import WRITE_DELAY, Raster, ResidualSlots, are_apart
from bitlathe.hls.program import Opcode
from bitlathe.hls.program.skipping import Sweep
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

BANKS, LANES = 7, 6


def _count(compiled, field: str) -> int:
    execs = [d for d in compiled.program.descriptors if d.opcode is Opcode.EXEC]
    return sum(getattr(d, field) for d in execs)


@pytest.mark.parametrize("configuration", [*ROOMY, *TINY[:1], TINY[3]], ids=str)
@pytest.mark.parametrize("channels", [(16, 32, 64), (13, 27, 40)], ids=str)
def test_a_4_bit_resnet_is_packed_and_equals_the_reference(
    channels: tuple[int, ...], configuration: EngineConfiguration, rng: np.random.Generator
) -> None:
    graph = random_resnet(rng, blocks=1, channels=channels, bits=4)
    compiled = compiled_for(graph, configuration)
    codes = random_inputs(rng, graph, 1)
    assert _count(compiled, "in_packed") >= 7
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))


def test_an_8_bit_network_is_never_packed(rng: np.random.Generator) -> None:
    compiled = compiled_for(random_resnet(rng, blocks=1), ROOMY[0])
    assert not any(_count(compiled, field) for field in ("in_packed", "out_packed", "res_packed"))


def test_four_bits_halve_the_cycles_of_wide_layers(rng: np.random.Generator) -> None:
    wide, narrow = (
        compiled_for(random_resnet(rng, blocks=3, bits=bits), ROOMY[0]).predicted.cycles for bits in (8, 4)
    )
    assert narrow <= 0.6 * wide


@pytest.mark.parametrize("pitches", [(32, 32), (32, 37), (16, 39), (9, 13), (8, 8)], ids=str)
@pytest.mark.parametrize("row_break", [0, 1])
@pytest.mark.parametrize("skip", [0, 3, 6])
def test_a_fast_residual_is_never_read_from_the_bank_that_is_written(
    pitches: tuple[int, int], row_break: int, skip: int
) -> None:
    height, width = 8, min(pitches)
    residual, target = (Raster(origin=3 * pitch, pitch=pitch) for pitch in pitches)
    windows = {"in_h": height, "kernel_h": 3, "stride_h": 1, "start_y": -1}
    sweep = Sweep(out_h=height, out_w=width, group_lanes=LANES, row_break=bool(row_break), **windows)
    slots = ResidualSlots(sweep=sweep, words=1, residual=residual, target=target, banks=BANKS)
    cycles = next(c for c in range(LANES + 1 + skip, 40) if are_apart(slots, c, skip))
    reads, writes, start = {}, {}, 0
    for _ in range(2):
        for y in range(0, height, 1 if row_break else height):
            rows = [y] if row_break else range(height)
            pixels = [(row, x) for row in rows for x in range(width)]
            for first in range(0, len(pixels), LANES):
                group = pixels[first : first + LANES]
                is_at_an_edge = {row for row, _ in group} in ({0}, {height - 1})
                start += cycles - (skip if is_at_an_edge else 0)
                for slot, (row, x) in enumerate(group):
                    reads[start + slot] = (residual.origin + row * residual.pitch + x) % BANKS
                    writes[start + slot + WRITE_DELAY] = (target.origin + row * target.pitch + x) % BANKS
        start += 1
    assert all(writes.get(cycle) != bank for cycle, bank in reads.items())
