"""Rules: pure functions that score a candidate; the highest score of an epoch wins.

A rule is any `(candidate, context, **parameters) -> float`. Those here are in RULES by name; a user's own is
named `module:function`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from importlib import import_module
from math import prod
from typing import Any, TypeAlias

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.search.hypervolume import hypervolume
from bitlathe.model.search.measures import Measures


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a rule may know besides the candidate."""

    reference: Measures  # the network before the search, in the deployment precision
    parent: Measures  # the state that this epoch's candidates come from
    winners: tuple[Measures, ...] = ()  # of the epochs before, oldest first


COSTS = ("latency_ms", "cycles", "macs", "size_bytes", "channels")  # measures that a rule may save
TIE = 1e-6  # weight of the accuracy among candidates that are equal otherwise
_BOX = 1.1  # side of the volume of `pareto`, in shares of the reference

Rule: TypeAlias = Callable[[Measures, Context], float]


class RuleError(FormatError):
    """A rule that is unknown, has other parameters, or returns no number."""


def accuracy(candidate: Measures, context: Context) -> float:
    """Share of correct first choices. Source: Ding et al., section III-C, first rule."""
    return candidate.accuracy


def latency(candidate: Measures, context: Context) -> float:
    """The faster the better, whatever it classifies. Source: the same, second rule."""
    return -candidate.latency_ms


def macs(candidate: Measures, context: Context) -> float:
    """The fewer operations the better. Source: the same, third rule."""
    return -float(candidate.macs)


def size(candidate: Measures, context: Context) -> float:
    """The fewer bytes the better."""
    return -float(candidate.size_bytes)


def feasible(
    candidate: Measures,
    context: Context,
    *,
    delta: float = 0.01,
    floor: float | None = None,
    cost: str = "latency_ms",
) -> float:
    """Cheapest candidate that loses at most `delta` of the reference's accuracy; if none, the most accurate.

    Of equally cheap ones the most accurate too. `floor` is an accuracy instead of a loss; `cost` one of
    COSTS. Scores are in 0..1 where the constraint holds and below 0 elsewhere.
    """
    least = context.reference.accuracy - delta if floor is None else floor
    if candidate.accuracy < least:
        return candidate.accuracy - 1.0
    before, now = _cost(context.reference, cost), _cost(candidate, cost)
    return before / (before + now) * (1 - TIE) + TIE * candidate.accuracy


def ratio(
    candidate: Measures, context: Context, *, epsilon: float = 0.001, cost: str = "latency_ms"
) -> float:
    """Cost saved for each unit of accuracy lost, both against the parent.

    A loss below `epsilon` counts as one; what gains nothing scores by its loss, and where it loses nothing
    the most accurate is best. `cost` is one of COSTS. Source: Yang et al. 2018, arXiv:1804.03230, which
    compares equal gains.
    """
    gain = _cost(context.parent, cost) - _cost(candidate, cost)
    loss = context.parent.accuracy - candidate.accuracy
    return gain / max(loss, epsilon) if gain > 0 else -max(loss, TIE * (1 + loss))


def lagrange(
    candidate: Measures, context: Context, *, budget_ms: float, rate: float = 0.1, start: float = 0.1
) -> float:
    """Accuracy less a price for each share of latency above `budget_ms`.

    The price begins at `start` and moves by `rate` times the share that each winner missed the budget by:
    dual ascent.
    """

    def raised(price: float, winner: Measures) -> float:
        return max(0.0, price + rate * (winner.latency_ms / budget_ms - 1))

    price = reduce(raised, context.winners, start)
    return candidate.accuracy - price * max(0.0, candidate.latency_ms / budget_ms - 1)


def mnas(candidate: Measures, context: Context, *, budget_ms: float, exponent: float = -0.07) -> float:
    """Accuracy times (latency / budget) ** exponent. Source: Tan et al. 2019, arXiv:1807.11626, eq. 2."""
    return candidate.accuracy * float((candidate.latency_ms / budget_ms) ** exponent)


def pareto(candidate: Measures, context: Context) -> float:
    """Volume of accuracy, latency and bytes that it adds to what the winners before dominate.

    Latency and bytes are shares of the reference's; the volume ends 10 % above it, so that saving one of
    them alone counts too.
    """
    front = [_savings(winner, context) for winner in (*context.winners, context.parent)]
    return hypervolume([*front, _savings(candidate, context)]) - hypervolume(front)


def fuzzy(
    candidate: Measures,
    context: Context,
    *,
    delta: float = 0.02,
    target: float = 0.5,
    accuracy_weight: float = 2.0,
    latency_weight: float = 1.0,
    size_weight: float = 1.0,
) -> float:
    """Weighted geometric mean of how accurate, fast and small it is, each a membership in 0..1.

    Fully accurate is the reference's accuracy, not at all `delta` below it; fully fast, or small, is `target`
    of the reference's latency, or bytes, not at all is the reference's own. Source: Yager 1977,
    doi 10.1016/0165-0114(78)90025-5 (exponents as importance).
    """
    accurate = _ramp(candidate.accuracy, context.reference.accuracy - delta, context.reference.accuracy)
    fast, small = (
        _ramp(1 - _cost(candidate, kind) / _cost(context.reference, kind), 0.0, 1 - target)
        for kind in ("latency_ms", "size_bytes")
    )
    weights = (accuracy_weight, latency_weight, size_weight)
    return float(
        prod(m**w for m, w in zip((accurate, fast, small), weights, strict=True)) ** (1 / sum(weights))
    )


RULES: Mapping[str, Callable[..., float]] = {
    rule.__name__: rule
    for rule in (accuracy, latency, macs, size, feasible, ratio, lagrange, mnas, pareto, fuzzy)
}


def find_rule(name: str, parameters: Mapping[str, Any]) -> Rule:
    """The rule of a name in RULES, or `module:function`, its parameters set; RuleError if they misfit."""
    function = _imported(name) if ":" in name else _known(name)
    known = inspect.signature(function).parameters
    settable = [word for word, p in known.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for word in parameters:
        if word not in settable:
            raise RuleError(f"rule {name} has no parameter {word}; it takes {', '.join(settable) or 'none'}")
    for word in settable:
        if known[word].default is inspect.Parameter.empty and word not in parameters:
            raise RuleError(f"rule {name} needs the parameter {word}")
    return partial(function, **parameters)


def _known(name: str) -> Callable[..., float]:
    if name not in RULES:
        raise RuleError(
            f"no rule is called {name}; choose one of {', '.join(RULES)}, or your own as module:function"
        )
    return RULES[name]


def _imported(name: str) -> Callable[..., float]:
    module, _, function = name.partition(":")
    try:
        found: Callable[..., float] = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise RuleError(f"rule {name} cannot be imported ({error}); name it module:function") from error
    return found


def _cost(measures: Measures, kind: str) -> float:
    if kind not in COSTS:
        raise RuleError(f"no cost is called {kind}; choose one of {', '.join(COSTS)}")
    return float(getattr(measures, kind))


def _savings(measures: Measures, context: Context) -> tuple[float, float, float]:
    return (
        measures.accuracy,
        _BOX - measures.latency_ms / context.reference.latency_ms,
        _BOX - measures.size_bytes / context.reference.size_bytes,
    )


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, a line between.

    >>> _ramp(0.5, 0.0, 2.0)
    0.25
    """
    return min(1.0, max(0.0, (value - low) / (high - low)))
