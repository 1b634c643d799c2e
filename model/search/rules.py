"""Rules: pure functions that score a candidate; the highest score of an epoch wins.

A rule is any `(candidate, context, **parameters) -> float`. RULES lists those here by name; a user's own
rule is named `module:function`. Accuracy is the task's metric, negated where less is better: a share in 0..1
of a classifier, any number of other tasks, and greater is better.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from importlib import import_module
from math import isfinite, prod
from typing import Any, TypeAlias, cast

from bitlathe.model.graph.errors import BitlatheError, FormatError
from bitlathe.model.search.budget import LatencyBudget
from bitlathe.model.search.hypervolume import hypervolume
from bitlathe.model.search.records import Measures
from bitlathe.model.train.metrics import TOP1, TaskMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a rule gets besides the candidate."""

    reference: Measures  # the network before the search, in the deployment precision
    parent: Measures  # the state from which this epoch's candidates are made
    winners: tuple[Measures, ...] = ()  # of the epochs before, oldest first


COSTS = ("latency_ms", "cycles", "macs", "size_bytes", "channels")  # measures that a rule may reduce
TIE = 1e-6  # weight of the accuracy among otherwise equal candidates
_BOX = 1.1  # side of the volume of `pareto`, relative to the reference

Rule: TypeAlias = Callable[[Measures, Context], float]


class RuleError(FormatError):
    """A rule is unknown, has other parameters, fails, or does not return a number."""


def accuracy(candidate: Measures, context: Context) -> float:
    """Of a classifier, the share of correct first choices. Source: Ding et al., section III-C, first rule."""
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

    Among equally cheap candidates the most accurate wins. `floor` bounds the accuracy itself instead of its
    loss; `cost` is one of COSTS. Scores are in 0..1 if the constraint holds, else below 0: how far it is
    missed.
    """
    least = context.reference.accuracy - delta if floor is None else floor
    if candidate.accuracy < least:
        return candidate.accuracy - least
    before, now = _cost(context.reference, cost), _cost(candidate, cost)
    return before / (before + now) * (1 - TIE) + TIE * _bounded(candidate.accuracy)


def budget(
    candidate: Measures,
    context: Context,
    *,
    budget_ms: float | None = None,
    budget_cycles: float | None = None,
) -> float:
    """Most accurate candidate within the budget; if none, the closest to it, and of those the most accurate.

    The budget is given in milliseconds or in cycles. Scores are above -1 within it and below -1 above it.
    """
    bound = LatencyBudget.of(budget_ms, budget_cycles)
    if bound is None:
        raise RuleError("rule budget needs budget_ms or budget_cycles")
    accuracy = candidate.accuracy
    above_minus_1 = accuracy if accuracy >= 0 else accuracy / (1 - accuracy)
    if bound.is_met(candidate.cycles, candidate.latency_ms):
        return above_minus_1
    return -2 - bound.spent(candidate.cycles, candidate.latency_ms) + TIE * min(1.0, above_minus_1)


def ratio(
    candidate: Measures, context: Context, *, epsilon: float = 0.001, cost: str = "latency_ms"
) -> float:
    """Cost saved per unit of accuracy lost, both compared with the parent.

    A loss below `epsilon` counts as `epsilon`; a candidate that saves nothing scores by its loss, and among
    those that lose nothing the most accurate is best. `cost` is one of COSTS. Source: Yang et al. 2018,
    arXiv:1804.03230, which compares equal gains.
    """
    gain = _cost(context.parent, cost) - _cost(candidate, cost)
    loss = context.parent.accuracy - candidate.accuracy
    return gain / max(loss, epsilon) if gain > 0 else -max(loss, TIE * (1 + _bounded(loss)))


def lagrange(
    candidate: Measures, context: Context, *, budget_ms: float, rate: float = 0.1, start: float = 0.1
) -> float:
    """Accuracy minus a price for each share of latency above `budget_ms`.

    The price begins at `start` and changes by `rate` times the share by which each winner missed the budget
    (dual ascent).
    """

    def raised(price: float, winner: Measures) -> float:
        return max(0.0, price + rate * (winner.latency_ms / budget_ms - 1))

    price = reduce(raised, context.winners, start)
    return candidate.accuracy - price * max(0.0, candidate.latency_ms / budget_ms - 1)


def mnas(candidate: Measures, context: Context, *, budget_ms: float, exponent: float = -0.07) -> float:
    """Accuracy times (latency / budget) ** exponent. Source: Tan et al. 2019, arXiv:1807.11626, eq. 2."""
    return _weight("mnas", candidate) * float((candidate.latency_ms / budget_ms) ** exponent)


def pareto(candidate: Measures, context: Context) -> float:
    """Volume of accuracy, latency and bytes that it adds to the volume dominated by earlier winners.

    Latency and bytes are shares of the reference's; the volume ends 10 % above it, so that saving only one
    of them counts too.
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

    Accuracy is 1 at the reference's accuracy and 0 at `delta` below it; speed and size are 1 at `target` of
    the reference's latency or bytes and 0 at the reference's own. Source: Yager 1977,
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
    for rule in (accuracy, latency, macs, size, feasible, budget, ratio, lagrange, mnas, pareto, fuzzy)
}


def find_rule(name: str, parameters: Mapping[str, Any], metric: TaskMetric = TOP1) -> Rule:
    """The rule of a name in RULES, or `module:function`, with its parameters set; RuleError for a misfit.

    Parameters are in the unit of the metric, `floor` the least of it, or the most where less is better. It is
    tried on an example, so that bad parameters fail before training.
    """
    function = _named(name)
    known = _settable(name, function)
    for word, value in parameters.items():
        if word not in known:
            raise RuleError(f"rule {name} has no parameter {word}; it takes {', '.join(known) or 'none'}")
        _check_value(name, word, value, known[word].default)
    for word, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and word not in parameters:
            raise RuleError(f"rule {name} needs the parameter {word}")
    rule = partial(function, **_fitted(name, parameters, metric))
    score_of(rule, _SMALLER, _CONTEXT, name=f"rule {name}")
    return rule


def parameters_of(name: str) -> tuple[str, ...]:
    """Names of a rule's parameters; RuleError as `find_rule`."""
    return tuple(_settable(name, _named(name)))


_UNITS: Mapping[str, tuple[str, ...]] = {  # parameters in the metric's unit, whose defaults suit shares
    "feasible": ("delta", "floor"),  # of which one is enough
    "ratio": ("epsilon",),
    "lagrange": ("rate", "start"),
    "fuzzy": ("delta",),
}
_MULTIPLY = ("mnas", "pareto")


def _fitted(name: str, parameters: Mapping[str, Any], metric: TaskMetric) -> Mapping[str, Any]:
    """The parameters as a rule takes them for a metric; RuleError where it does not suit the metric."""
    if metric.is_share and not metric.is_lower_better:
        return parameters
    if name in _MULTIPLY and metric.is_lower_better:
        raise RuleError(
            f"rule {name} multiplies by the metric, and less is better of {metric.name}; take "
            f"{', '.join(rule for rule in RULES if rule not in _MULTIPLY)}"
        )
    units = _UNITS.get(name, ())
    given = [word for word in units if word in parameters]
    if len(given) < (1 if name == "feasible" else len(units)):
        joint = " or " if name == "feasible" else " and "
        raise RuleError(
            f"rule {name} needs {joint.join(units)} in the unit of {metric.name}; the defaults suit shares"
        )
    floor = parameters.get("floor")
    if name == "feasible" and floor is not None:
        return {**parameters, "floor": metric.merit(floor)}
    return parameters


def score_of(rule: Rule, candidate: Measures, context: Context, *, name: str = "the rule") -> float:
    """A rule's score of a candidate; RuleError if it fails or the score is not a finite number."""
    try:
        score = rule(candidate, context)
    except BitlatheError:
        raise
    except Exception as error:  # a user's own rule may raise anything
        raise RuleError(
            f"{name} failed for {candidate} ({type(error).__name__}: {error}); mend it or its parameters"
        ) from error
    if not _is_finite(score):
        raise RuleError(f"{name} returned {score!r} for {candidate}; it must return a finite number")
    return float(score)


def _is_finite(score: Any) -> bool:
    try:
        return isfinite(score)
    except (TypeError, OverflowError):  # a user's own rule may return anything
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_weight(value: Any) -> bool:
    return _is_number(value) and value >= 0


Demand: TypeAlias = tuple[Callable[[Any], bool], str]  # a check of a value, and its description
_TYPES: Mapping[type, Demand] = {  # by the type of the default
    bool: (lambda value: isinstance(value, bool), "true or false"),
    str: (lambda value: isinstance(value, str), "a text"),
    int: (_is_number, "a finite number"),
    float: (_is_number, "a finite number"),
}
_RANGES: Mapping[str, Demand] = {  # of parameters of the rules here
    "floor": (_is_number, "a finite number"),
    "budget_ms": (_is_positive, "a number above 0"),
    "budget_cycles": (_is_positive, "a number above 0"),
    "epsilon": (_is_positive, "a number above 0"),
    "target": (lambda value: _is_weight(value) and value < 1, "a number from 0 to below 1"),
    "accuracy_weight": (_is_weight, "0 or more"),
    "latency_weight": (_is_weight, "0 or more"),
    "size_weight": (_is_weight, "0 or more"),
}
_EXAMPLE = Measures(merit=0.9, cycles=10_000, latency_ms=0.1, macs=10_000, size_bytes=1000, channels=50)
_SMALLER = Measures(merit=0.89, cycles=8000, latency_ms=0.08, macs=8000, size_bytes=800, channels=40)
_CONTEXT = Context(reference=_EXAMPLE, parent=_EXAMPLE, winners=(_EXAMPLE,))


def _settable(name: str, function: Callable[..., float]) -> dict[str, inspect.Parameter]:
    """Keyword-only arguments by name: the parameters of a rule."""
    try:
        arguments = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:  # raised for some functions not written in Python
        raise RuleError(f"rule {name} shows no parameters ({error}); write it in Python") from error
    return {word: p for word, p in arguments.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _check_value(name: str, word: str, value: Any, default: Any) -> None:
    """Raise RuleError for a value with another type than the default, or out of a built-in rule's range."""
    for demand in (_TYPES.get(type(default)), _RANGES.get(word) if name in RULES else None):
        if demand is not None and not demand[0](value):
            raise RuleError(f"rule {name}: {word} is {value!r}; give {demand[1]}")
    if name in RULES and word == "cost":
        _cost(_EXAMPLE, value)


def _named(name: str) -> Callable[..., float]:
    return _imported(name) if ":" in name else _known(name)


def _known(name: str) -> Callable[..., float]:
    if name not in RULES:
        raise RuleError(
            f"no rule is called {name}; choose one of {', '.join(RULES)}, or your own as module:function"
        )
    return RULES[name]


def _imported(name: str) -> Callable[..., float]:
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except Exception as error:  # a user's own module may raise anything
        raise RuleError(f"rule {name} cannot be imported ({error}); name it module:function") from error
    if not callable(found):
        raise RuleError(f"rule {name} is a {type(found).__name__}; name a function")
    return cast(Callable[..., float], found)


def _cost(measures: Measures, kind: str) -> float:
    if kind not in COSTS:
        raise RuleError(f"no cost is called {kind}; choose one of {', '.join(COSTS)}")
    return float(getattr(measures, kind))


def _savings(measures: Measures, context: Context) -> tuple[float, float, float]:
    return (
        _weight("pareto", measures),
        _BOX - measures.latency_ms / context.reference.latency_ms,
        _BOX - measures.size_bytes / context.reference.size_bytes,
    )


def _weight(name: str, measures: Measures) -> float:
    """The accuracy where a rule multiplies by it."""
    if measures.accuracy < 0:
        raise RuleError(
            f"rule {name} multiplies by the metric, which is {measures.accuracy:.4g} and must not be below "
            "0; take another rule"
        )
    return measures.accuracy


def _bounded(number: float) -> float:
    """A number in -1..2 that grows with `number`, and is the number itself from 0 to 1.

    >>> _bounded(0.75), _bounded(-1.0), _bounded(4.0)
    (0.75, -0.5, 1.75)
    """
    if number < 0:
        return number / (1 - number)
    return number if number <= 1 else 2 - 1 / number


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, linear in between.

    >>> _ramp(0.5, 0.0, 2.0)
    0.25
    """
    return min(1.0, max(0.0, (value - low) / (high - low)))
