"""Area of an engine configuration: blocks counted, logic fitted to what Yosys measured; a part's limits.

Multipliers and block RAMs follow from the sizes. LUTs and flip-flops are a sum of terms, one for each way in
which the engine grows, with weights of least squares over the measured configurations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bitlathe.hls.target.config import EngineConfiguration, Target
from bitlathe.hls.target.measured import AreaPoint, measured
from bitlathe.model.graph.errors import CapacityError

OTHER_DSP = 2  # outside the array: for the planes of results and of residuals
CHECK_DSP = 2  # of reach_check
TABLE_LANES = 4  # of the output stage, that a RAMB36 holds the tables for: two RAMB18, two ports each
# Share of a part that an engine may use: the rest is for interconnect; routing fails well below all LUTs.
USABLE_LUT, USABLE_FF, USABLE_DSP, USABLE_BRAM = 0.70, 0.70, 0.97, 0.97
RAMB18_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18))  # lines, bits (AMD UG473)
RAMB36_SHAPES = ((32768, 1), (16384, 2), (8192, 4), (4096, 9), (2048, 18), (1024, 36))
SIMPLE_SHAPE = (512, 72)  # of a RAMB36 that is written on one port and read on the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Resources of a part that an engine takes."""

    lut: int
    ff: int
    dsp: int
    bram36: float
    is_measured: bool  # by Yosys; else LUT and FF are estimates

    def uses(self) -> tuple[tuple[str, float], ...]:
        """Name and amount of each resource, in the order in which limits are checked."""
        return ("DSP", self.dsp), ("BRAM36", self.bram36), ("LUT", self.lut), ("FF", self.ff)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartBudget:
    """Resources of a part that an engine may take."""

    part: str
    dsp: int
    bram36: int
    lut: int
    ff: int
    word_bytes: int  # of the widest memory port

    @classmethod
    def of(cls, target: Target) -> "PartBudget":
        """The usable share of a target's part."""
        return cls(
            part=target.part,
            dsp=int(target.dsp * USABLE_DSP),
            bram36=int(target.bram36 * USABLE_BRAM),
            lut=int(target.lut * USABLE_LUT),
            ff=int(target.ff * USABLE_FF),
            word_bytes=target.port_bytes,
        )

    def limits(self) -> dict[str, int]:
        """Limit of each resource by its name."""
        return {"DSP": self.dsp, "BRAM36": self.bram36, "LUT": self.lut, "FF": self.ff}

    def violated(self, configuration: EngineConfiguration, area: Area) -> str | None:
        """The first limit that an engine violates, None where it fits."""
        if configuration.word_bytes > self.word_bytes:
            return f"{configuration.word_bytes} bytes a beat, its memory port moves {self.word_bytes}"
        for name, used in area.uses():
            limit = self.limits()[name]
            if used > limit:
                about = "" if area.is_measured or name in ("DSP", "BRAM36") else "about "
                return f"{about}{used:,.0f} {name}, {limit:,} of {self.part} are usable"
        return None


def check_fits(target: Target) -> None:
    """Raise CapacityError, naming the first limit violated, when a target's engine cannot fit its part."""
    broken = PartBudget.of(target).violated(target.engine, area_of(target.engine, target.family))
    if broken is not None:
        raise CapacityError(
            f"{target.name}: an engine of {target.engine.label} takes {broken}; choose a smaller one "
            "(bitlathe explore lists those that fit)"
        )


def area_of(configuration: EngineConfiguration, part_family: str) -> Area:
    """Measured area where Yosys has synthesized the configuration, else an estimate."""
    for point in measured():
        if (point.configuration, point.family) == (configuration, part_family):
            dsp, bram36 = point.dsp + _later_multipliers(configuration), point.bram36 + _tables(configuration)
            return Area(lut=point.lut, ff=point.ff, dsp=dsp, bram36=bram36, is_measured=True)
    return estimate(configuration, measured())


def estimate(configuration: EngineConfiguration, points: Sequence[AreaPoint]) -> Area:
    """Area by the model fitted to `points`."""
    lut, ff = _weights(tuple(points))
    return Area(
        lut=round(float(terms(configuration) @ lut)),
        ff=round(float(terms(configuration) @ ff)),
        dsp=multipliers(configuration),
        bram36=block_rams(configuration),
        is_measured=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """Error of the model at a measured point that it was not fitted to."""

    point: AreaPoint
    lut: float  # share of the measured
    ff: float


def deviations() -> Iterator[Deviation]:
    """For each measured point, the error of the estimate fitted to all others."""
    points = measured()
    for index, point in enumerate(points):
        guess = estimate(point.configuration, (*points[:index], *points[index + 1 :]))
        yield Deviation(point=point, lut=guess.lut / point.lut - 1, ff=guess.ff / point.ff - 1)


def multipliers(configuration: EngineConfiguration) -> int:
    """DSP blocks: one for two products."""
    return configuration.macs_per_cycle // 2 + OTHER_DSP + _later_multipliers(configuration)


def _later_multipliers(configuration: EngineConfiguration) -> int:
    """DSP blocks that the points of measured.json lack: of reach_check, and of residuals, one a lane."""
    return CHECK_DSP + configuration.pi


def _tables(configuration: EngineConfiguration) -> float:
    """RAMB36 of the tables of activations, which the points of measured.json lack too."""
    return configuration.pi / TABLE_LANES


def block_rams(configuration: EngineConfiguration) -> float:
    """RAMB36, a RAMB18 counting half: two halves a bank, a store for each output lane's weights, tables.

    Of blocks of one shape a memory; Yosys mixes shapes and may need up to 3 % less.

    >>> block_rams(EngineConfiguration())
    130.0
    """
    half = _ram36(configuration.bank_lines, 4 * configuration.pi, is_simple=False)
    column = _ram36(configuration.weight_lines, 8 * configuration.pi, is_simple=True)
    return 2 * configuration.banks * half + configuration.po * column + _tables(configuration)


def terms(configuration: EngineConfiguration) -> NDArray[np.float64]:
    """The ways in which the engine grows: constant, products, accumulators, crossbar, weight pipeline."""
    each = configuration
    return np.array(
        [1, each.macs_per_cycle, each.pp * each.po, each.pp * each.banks * each.pi, each.pi * each.po],
        np.float64,
    )


def _ram36(lines: int, bits: int, *, is_simple: bool) -> float:
    shapes = [*((depth, width, 1.0) for depth, width in RAMB36_SHAPES)]
    shapes += [(depth, width, 0.5) for depth, width in RAMB18_SHAPES]
    shapes += [(*SIMPLE_SHAPE, 1.0)] if is_simple else []
    return min(-(-lines // depth) * -(-bits // width) * blocks for depth, width, blocks in shapes)


@cache
def _weights(points: tuple[AreaPoint, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrix = np.stack([terms(point.configuration) for point in points])
    return (
        _non_negative(matrix, np.array([point.lut for point in points], np.float64)),
        _non_negative(matrix, np.array([point.ff for point in points], np.float64)),
    )


def _non_negative(matrix: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative weights of least relative squares: the best over all subsets of the few terms."""
    rows, width = matrix / wanted[:, np.newaxis], matrix.shape[1]
    best, least = np.zeros(width), np.inf
    for size in range(1, min(matrix.shape) + 1):
        for chosen in map(list, combinations(range(width), size)):
            weights = np.linalg.lstsq(rows[:, chosen], np.ones(len(rows)), rcond=None)[0]
            error = float(np.square(rows[:, chosen] @ weights - 1).sum())
            if (weights >= 0).all() and error < least - 1e-12:
                best, least = np.zeros(width), error
                best[chosen] = weights
    return best
