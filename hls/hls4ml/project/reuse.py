"""Reuse factors: how many cycles share one multiplier, so that a network fits a target's DSPs."""

from collections.abc import Iterator

from bitlathe.hls.hls4ml.project.plan import Multipliers, ProjectLayer
from bitlathe.hls.target.config import Target
from bitlathe.model.graph.errors import CapacityError

DSP_SHARE = 0.9  # of the target's DSPs; a full chip does not route


def divisors(number: int) -> tuple[int, ...]:
    """Divisors in ascending order.

    >>> divisors(12)
    (1, 2, 3, 4, 6, 12)
    """
    small = [n for n in range(1, int(number**0.5) + 1) if number % n == 0]
    return tuple(sorted({*small, *(number // n for n in small)}))


def legal_reuse_factors(multipliers: Multipliers) -> tuple[int, ...]:
    """Reuse factors that hls4ml does not move, ascending.

    Its `_validate_reuse_factor` in closed form: a divisor of the rows, or rows times one of the columns.
    """
    rows, columns = multipliers.rows, multipliers.columns
    if not multipliers.is_resource:
        return divisors(rows * columns)
    return tuple(sorted({*divisors(rows), *(rows * n for n in divisors(columns))}))


def choose_reuse_factors(layers: tuple[ProjectLayer, ...], target: Target) -> dict[str, int]:
    """Reuse factor of each layer with multipliers: the shortest interval whose DSPs the target has.

    Raises CapacityError when even one multiplier a layer is too many.
    """
    works = _works(layers)
    budget = int(target.dsp * DSP_SHARE)
    for interval in _intervals(works):
        factors = {name: _largest_within(multipliers, interval) for name, multipliers in works.items()}
        if _dsps(works, factors) <= budget:
            return factors
    raise CapacityError(
        f"{target.name}: {len(works)} layers need at least {_least(works)} DSPs, {budget} of {target.dsp} "
        "may be used; choose a larger target or a network of fewer layers"
    )


def check_reuse_factor(layers: tuple[ProjectLayer, ...], target: Target, reuse_factor: int) -> dict[str, int]:
    """The same reuse factor for each layer; CapacityError where it is not legal or its DSPs are too many."""
    works = _works(layers)
    for name, multipliers in works.items():
        legal = legal_reuse_factors(multipliers)
        if reuse_factor not in legal:
            raise CapacityError(
                f"{name}: reuse factor {reuse_factor} is not legal for {multipliers.rows} x "
                f"{multipliers.columns} products; choose one of {_some(legal)}, or none to have them chosen"
            )
    factors = dict.fromkeys(works, reuse_factor)
    if (needed := _dsps(works, factors)) > target.dsp:
        raise CapacityError(
            f"{target.name}: reuse factor {reuse_factor} needs {needed} DSPs, the target has {target.dsp}; "
            "choose a larger factor, or none to have them chosen"
        )
    return factors


def _works(layers: tuple[ProjectLayer, ...]) -> dict[str, Multipliers]:
    return {layer.name: layer.multipliers for layer in layers if layer.multipliers}


def _intervals(works: dict[str, Multipliers]) -> Iterator[int]:
    """Every interval that some layer can have, ascending."""
    lengths = {m.cycles(factor) for m in works.values() for factor in legal_reuse_factors(m)}
    shortest = max((m.cycles(1) for m in works.values()), default=0)
    return iter(sorted(length for length in lengths if length >= shortest) or [0])


def _largest_within(multipliers: Multipliers, interval: int) -> int:
    return max(f for f in legal_reuse_factors(multipliers) if multipliers.cycles(f) <= interval or f == 1)


def _dsps(works: dict[str, Multipliers], factors: dict[str, int]) -> int:
    return sum(multipliers.dsps(factors[name]) for name, multipliers in works.items())


def _least(works: dict[str, Multipliers]) -> int:
    return sum(m.dsps(legal_reuse_factors(m)[-1]) for m in works.values())


def _some(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown}, ... {numbers[-1]}"
