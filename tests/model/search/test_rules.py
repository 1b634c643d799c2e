"""Rules are pure functions of measures; the best score wins, ties go to the fastest."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.search.hypervolume import hypervolume, pareto_front
from bitlathe.model.search.records import Measures
from bitlathe.model.search.rules import RULES, Context, RuleError, find_rule
from bitlathe.model.train import METRICS, TaskMetric

REFERENCE = Measures(merit=0.9, cycles=1000, latency_ms=1.0, macs=100, size_bytes=400, channels=10)
CONTEXT = Context(reference=REFERENCE, parent=REFERENCE)

measures = st.builds(
    Measures,
    merit=st.floats(0, 1),
    cycles=st.integers(1, 2000),
    latency_ms=st.floats(0.01, 2),
    macs=st.integers(1, 200),
    size_bytes=st.integers(1, 800),
    channels=st.integers(1, 20),
)


def like_reference(**changes: Any) -> Measures:
    return replace(REFERENCE, **changes)


def score(name: str, candidate: Measures, context: Context = CONTEXT, **parameters: Any) -> float:
    return find_rule(name, parameters)(candidate, context)


PARAMETERS: dict[str, dict[str, Any]] = {name: {"budget_ms": 0.5} for name in ("budget", "lagrange", "mnas")}


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=25)
@given(candidate=measures)
def test_no_rule_prefers_a_slower_one_that_is_otherwise_equal(name: str, candidate: Measures) -> None:
    slower = replace(candidate, latency_ms=candidate.latency_ms * 2, cycles=candidate.cycles * 2)
    parameters = PARAMETERS.get(name, {})
    assert score(name, slower, **parameters) <= score(name, candidate, **parameters) + 1e-12


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=25)
@given(candidate=measures)
def test_no_rule_prefers_a_less_accurate_one_that_is_otherwise_equal(name: str, candidate: Measures) -> None:
    worse = replace(candidate, merit=candidate.accuracy / 2)
    parameters = PARAMETERS.get(name, {})
    assert score(name, worse, **parameters) <= score(name, candidate, **parameters) + 1e-12


def test_single_measures_are_rules() -> None:
    candidate = like_reference(merit=0.8, latency_ms=0.7, macs=60, size_bytes=300)
    found = [score(name, candidate) for name in ("accuracy", "latency", "macs", "size")]
    assert found == [0.8, -0.7, -60.0, -300.0]


@settings(max_examples=25)
@given(feasible=measures, other=measures)
def test_feasible_prefers_whatever_keeps_the_accuracy(feasible: Measures, other: Measures) -> None:
    kept, lost = replace(feasible, merit=0.89), replace(other, merit=0.88)
    assert score("feasible", kept, delta=0.015) > score("feasible", lost, delta=0.015)


@settings(max_examples=50)
@given(inside=measures, outside=measures, farther=measures)
def test_budget_takes_the_most_accurate_within_it_else_the_closest_to_it(
    inside: Measures, outside: Measures, farther: Measures
) -> None:
    inside = replace(inside, cycles=min(inside.cycles, 500))
    outside = replace(outside, cycles=501 + outside.cycles)
    farther = replace(farther, cycles=outside.cycles + farther.cycles)
    scores = [score("budget", each, budget_cycles=500) for each in (inside, outside, farther)]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 3
    assert scores[0] == inside.accuracy
    assert score("budget", replace(inside, cycles=500), budget_cycles=500) == inside.accuracy


@given(losses=st.lists(st.floats(0, 1e6), min_size=2, max_size=2))
def test_budget_takes_what_is_better_by_a_metric_that_is_negative(losses: list[float]) -> None:
    better, worse = (like_reference(merit=-loss) for loss in sorted(losses))
    above = like_reference(merit=1e9, latency_ms=1.5)
    assert score("budget", better, budget_ms=1.0) >= score("budget", worse, budget_ms=1.0)
    assert score("budget", worse, budget_ms=1.0) > score("budget", above, budget_ms=1.0)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({}, "rule budget needs budget_ms or budget_cycles"),
        ({"budget_ms": 0.0}, "rule budget: budget_ms is 0.0; give a number above 0"),
        ({"budget_ms": float("nan")}, "rule budget: budget_ms is nan; give a number above 0"),
        ({"budget_cycles": -3}, "rule budget: budget_cycles is -3; give a number above 0"),
        (
            {"budget_ms": 1.0, "budget_cycles": 3},
            "budget_cycles: stands beside `budget_ms`; give one of them",
        ),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(FormatError, match=re.escape(told)):
        find_rule("budget", parameters)


def test_feasible_takes_the_more_accurate_of_equally_cheap_ones_only() -> None:
    better, worse = like_reference(merit=0.9), like_reference(merit=0.895)
    assert score("feasible", better) > score("feasible", worse)
    assert score("feasible", better) < score("feasible", replace(worse, latency_ms=0.999))


def test_feasible_takes_the_most_accurate_where_none_keeps_the_accuracy() -> None:
    slow, fast = like_reference(merit=0.7), like_reference(merit=0.6, latency_ms=0.1)
    assert score("feasible", slow) > score("feasible", fast)


def test_feasible_can_take_an_absolute_floor_and_another_cost() -> None:
    small = like_reference(merit=0.5, size_bytes=100)
    quick = like_reference(merit=0.5, latency_ms=0.1)
    assert score("feasible", small, floor=0.5, cost="size_bytes") > score(
        "feasible", quick, floor=0.5, cost="size_bytes"
    )
    with pytest.raises(RuleError, match="no cost is called joules"):
        score("feasible", small, floor=0.5, cost="joules")


def test_ratio_weighs_milliseconds_against_accuracy() -> None:
    assert score("ratio", like_reference(merit=0.88, latency_ms=0.5)) == pytest.approx(25)
    assert score("ratio", like_reference(latency_ms=0.5)) == pytest.approx(500)
    assert score("ratio", like_reference(merit=0.88, latency_ms=1.5)) == pytest.approx(-0.02)


def test_of_those_that_gain_and_lose_nothing_ratio_takes_the_most_accurate() -> None:
    same, better, best = (score("ratio", like_reference(merit=a)) for a in (0.9, 0.91, 0.92))
    assert same < better < best < score("ratio", like_reference(merit=0.5, latency_ms=0.99))


def test_ratio_weighs_another_cost_where_asked() -> None:
    fewer = like_reference(merit=0.88, macs=60)
    assert score("ratio", fewer) == pytest.approx(-0.02)
    assert score("ratio", fewer, cost="macs") == pytest.approx(40 / 0.02)
    assert score("ratio", like_reference(merit=0.88, channels=7), cost="channels") == pytest.approx(150)


def test_lagranges_price_rises_while_winners_miss_the_budget() -> None:
    slow = like_reference(latency_ms=1.0)
    later = replace(CONTEXT, winners=(slow, slow))
    first = score("lagrange", slow, budget_ms=0.5, rate=0.1, start=0.1)
    assert first == pytest.approx(0.9 - 0.1)
    assert score("lagrange", slow, later, budget_ms=0.5, rate=0.1, start=0.1) == pytest.approx(0.9 - 0.3)


def test_mnas_is_the_published_product() -> None:
    assert score("mnas", REFERENCE, budget_ms=0.5) == pytest.approx(0.9 * 2**-0.07)


def test_pareto_gives_nothing_for_what_a_winner_dominates() -> None:
    winner = like_reference(latency_ms=0.5, size_bytes=200)
    seen = replace(CONTEXT, winners=(winner,))
    assert score("pareto", like_reference(latency_ms=0.6, size_bytes=300), seen) == pytest.approx(0)
    assert score("pareto", like_reference(latency_ms=0.4, size_bytes=300), seen) > 0


def test_fuzzy_is_full_at_the_target_and_nothing_past_the_loss() -> None:
    assert score("fuzzy", like_reference(latency_ms=0.5, size_bytes=200)) == 1
    assert score("fuzzy", like_reference(merit=0.87, latency_ms=0.5, size_bytes=200)) == 0


def only_bytes(candidate: Measures, context: Context, *, scale: float = 1.0) -> float:
    """A user's rule."""
    return -candidate.size_bytes * scale


def test_a_rule_of_the_users_own_is_imported() -> None:
    rule = find_rule(f"{__name__}:only_bytes", {"scale": 2.0})
    assert rule(REFERENCE, CONTEXT) == -800


def loud(candidate: Measures, context: Context, *, loud: bool = True) -> float:
    """A user's rule with a fault."""
    raise KeyError("volume")


def silent(candidate: Measures, context: Context) -> None:
    """A user's rule that forgets its score."""


def improving(candidate: Measures, context: Context) -> float:
    """A user's rule that looks at winners and divides by what was saved."""
    saved = context.parent.cycles - candidate.cycles
    return (candidate.accuracy - context.winners[-1].accuracy) / saved


def test_a_user_s_rule_need_not_bear_a_candidate_that_changes_nothing() -> None:
    assert find_rule(f"{__name__}:improving", {}) is not None


def test_a_module_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "faulty_rule.py").write_text("undefined\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuleError, match="rule faulty_rule:f cannot be imported \\(name 'undefined' is not"):
        find_rule("faulty_rule:f", {})


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("speed", {}, "no rule is called speed; choose one of accuracy, latency"),
        ("no.such.module:f", {}, "rule no.such.module:f cannot be imported (No module named 'no'); name it"),
        ("feasible", {"detla": 1}, "rule feasible has no parameter detla; it takes delta, floor, cost"),
        ("mnas", {}, "rule mnas needs the parameter budget_ms"),
        ("feasible", {"delta": "0.01"}, "rule feasible: delta is '0.01'; give a finite number"),
        ("feasible", {"delta": True}, "rule feasible: delta is True; give a finite number"),
        ("feasible", {"delta": float("nan")}, "rule feasible: delta is nan; give a finite number"),
        ("feasible", {"floor": "high"}, "rule feasible: floor is 'high'; give a finite number"),
        ("feasible", {"floor": 2.0, "cost": "joules"}, "no cost is called joules; choose one of latency_ms"),
        ("feasible", {"cost": 1}, "rule feasible: cost is 1; give a text"),
        ("mnas", {"budget_ms": 0}, "rule mnas: budget_ms is 0; give a number above 0"),
        ("ratio", {"epsilon": 0.0}, "rule ratio: epsilon is 0.0; give a number above 0"),
        ("fuzzy", {"target": 1.0}, "rule fuzzy: target is 1.0; give a number from 0 to below 1"),
        ("fuzzy", {"size_weight": -1}, "rule fuzzy: size_weight is -1; give 0 or more"),
        (
            "fuzzy",
            {"accuracy_weight": 0, "latency_weight": 0.0, "size_weight": 0},
            "rule fuzzy failed for Measures(merit=0.89, ",
        ),
        ("builtins:len", {}, "rule builtins:len failed for Measures(merit=0.89, "),
        (f"{__name__}:silent", {}, f"rule {__name__}:silent returned None for Measures(merit=0.89, "),
        ("math:pi", {}, "rule math:pi is a float; name a function"),
        ("math:hypot", {}, "rule math:hypot "),
        (".nope:fn", {}, "rule .nope:fn cannot be imported (the 'package' argument is required"),
        (f"{__name__}:only_bytes", {"scale": "2"}, "only_bytes: scale is '2'; give a finite number"),
        (f"{__name__}:loud", {"loud": 1}, "loud: loud is 1; give true or false"),
        (f"{__name__}:loud", {}, "loud failed for Measures(merit=0.89, cycles=8000, "),
    ],
)
def test_a_rule_that_misfits_is_told_of(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RuleError, match=re.escape(message)):
        find_rule(name, parameters)


points = st.lists(st.tuples(*[st.integers(1, 6)] * 3), min_size=1, max_size=8)


@settings(max_examples=25)
@given(points)
def test_the_hypervolume_counts_the_unit_cubes_below_some_point(found: list[tuple[int, ...]]) -> None:
    cubes = {
        (x, y, z)
        for x in range(6)
        for y in range(6)
        for z in range(6)
        if any(x < a and y < b and z < c for a, b, c in found)
    }
    assert hypervolume([tuple(map(float, point)) for point in found]) == len(cubes)


@settings(max_examples=25)
@given(points)
def test_the_front_dominates_what_all_points_do(found: list[tuple[int, ...]]) -> None:
    floats = [tuple(map(float, point)) for point in found]
    front = [floats[i] for i in pareto_front(floats)]
    assert hypervolume(front) == hypervolume(floats)
    assert all(hypervolume([p for p in front if p is not point]) < hypervolume(front) for point in front)


def unbounded(name: str) -> tuple[TaskMetric, dict[str, Any]]:
    """A metric of which less is better, and what a rule must be told of it."""
    parameters = {
        "feasible": {"delta": 20.0},
        "ratio": {"epsilon": 0.1},
        "lagrange": {"budget_ms": 0.5, "rate": 3.0, "start": 5.0},
        "fuzzy": {"delta": 20.0},
    }
    return METRICS["mse"], parameters.get(name, PARAMETERS.get(name, {}))


ANY = [name for name in RULES if name not in ("mnas", "pareto")]


@pytest.mark.parametrize("name", ANY)
@settings(max_examples=25)
@given(candidate=measures, error=st.floats(0, 1e6), less=st.floats(0, 1))
def test_rules_prefer_what_errs_less_by_a_metric_without_bounds(
    name: str, candidate: Measures, error: float, less: float
) -> None:
    metric, parameters = unbounded(name)
    rule = find_rule(name, parameters, metric)
    context = replace(CONTEXT, reference=like_reference(merit=-30.0), parent=like_reference(merit=-35.0))
    worse, better = replace(candidate, merit=-error), replace(candidate, merit=-less * error)
    assert rule(worse, context) <= rule(better, context) + 1e-12


def test_feasible_keeps_what_costs_least_within_an_error_that_may_rise() -> None:
    rule = find_rule("feasible", {"delta": 5.0}, METRICS["mse"])
    context = replace(CONTEXT, reference=like_reference(merit=-30.0))
    fast, faster = like_reference(merit=-34.0, latency_ms=0.5), like_reference(merit=-36.0, latency_ms=0.1)
    assert rule(fast, context) > rule(like_reference(merit=-1e-3), context) > 0 > rule(faster, context)


def test_a_floor_is_the_metric_s_own_the_most_where_less_is_better() -> None:
    rule = find_rule("feasible", {"floor": 2.5}, METRICS["mse"])
    assert rule(like_reference(merit=-2.5), CONTEXT) > 0 > rule(like_reference(merit=-2.6), CONTEXT)


@pytest.mark.parametrize("name", ["mnas", "pareto"])
def test_rules_that_multiply_by_the_metric_take_none_below_0(name: str) -> None:
    parameters = PARAMETERS.get(name, {})
    with pytest.raises(RuleError, match=f"rule {name} multiplies by the metric, and less is better of mse"):
        find_rule(name, parameters, METRICS["mse"])
    gain = TaskMetric(name="gain", title="gain", function=max)
    rule = find_rule(name, parameters, gain)
    assert rule(like_reference(merit=30.0), CONTEXT) > rule(like_reference(merit=20.0), CONTEXT)
    with pytest.raises(RuleError, match=r"multiplies by the metric, which is -2 and must not be below 0"):
        rule(like_reference(merit=-2.0), CONTEXT)


@pytest.mark.parametrize(
    ("name", "parameters", "needed"),
    [
        ("feasible", {}, "delta or floor"),
        ("ratio", {}, "epsilon"),
        ("lagrange", {"budget_ms": 0.5, "rate": 0.1}, "rate and start"),
        ("fuzzy", {"target": 0.5}, "delta"),
    ],
)
def test_what_is_in_the_metric_s_unit_must_be_given_where_it_is_no_share(
    name: str, parameters: dict[str, Any], needed: str
) -> None:
    with pytest.raises(RuleError, match=f"^rule {name} needs {needed} in the unit of mse; "):
        find_rule(name, parameters, METRICS["mse"])
    assert find_rule(name, {**PARAMETERS.get(name, {}), **parameters}, METRICS["miou"])


def test_measures_of_an_earlier_version_are_read() -> None:
    plain = {("accuracy" if name == "merit" else name): value for name, value in REFERENCE.to_json().items()}
    assert Measures.from_json(plain) == Measures.from_json(REFERENCE.to_json()) == REFERENCE
