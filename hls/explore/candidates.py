"""The space that is explored: arrays, banks and stores that the sources allow for a target."""

from collections.abc import Iterator
from dataclasses import replace

from bitlathe.hls.target.area import PartBudget, block_rams
from bitlathe.hls.target.config import EngineConfiguration, Target

PI = (8, 16)  # one beat of memory; the sources take no other
PO_TILES = (1, 2, 4)
# Pixels, and the fewest banks that are prime to the strides 1, 2 and (but for three banks) 3.
PIXELS = ((2, 3), (3, 5), (4, 5), (5, 7), (6, 7), (8, 11), (12, 13))
BANK_LINES = (1024, 2048, 4096, 8192)
WEIGHT_STEP = 512  # lines of one block RAM
LEAST_WEIGHT_LINES = 512


def candidates(target: Target) -> Iterator[EngineConfiguration]:
    """For every array, each depth of the banks with all and with half of the weight store that then fits.

    Arrays too large for the part are among them, with the smallest stores, to show their limit.
    """
    budget = PartBudget.of(target)
    for pi in PI:
        for tiles in PO_TILES:
            for pp, banks in PIXELS:
                for lines in BANK_LINES:
                    yield from _deepest(budget, EngineConfiguration(
                        pi=pi, po=pi * tiles, pp=pp, banks=banks, bank_lines=lines,
                        weight_lines=LEAST_WEIGHT_LINES,
                    ))  # fmt: skip


def _deepest(budget: PartBudget, smallest: EngineConfiguration) -> Iterator[EngineConfiguration]:
    """With as many weight lines as fit, and half as many; itself, of least banks, where none do."""
    limit = (1 << 16) // WEIGHT_STEP
    depths = [
        configuration
        for step in range(1, limit + 1)
        if block_rams(configuration := replace(smallest, weight_lines=step * WEIGHT_STEP)) <= budget.bram36
    ]
    if depths:
        yield from dict.fromkeys((depths[-1], depths[(len(depths) - 1) // 2]))
    elif smallest.bank_lines == BANK_LINES[0]:
        yield smallest
