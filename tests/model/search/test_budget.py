"""A search that has seen a network within its budget ends with one, whatever its rule chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from search_lab import LADDER, SPEC, choices, lasting, make_search

from bitlathe.model.compress.methods import PruneChannels, Quantize, Train
from bitlathe.model.graph.files.archive import decode_graph
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import LatencyBudget, Search, TrialJob, find_rule
from bitlathe.model.search.checkpoint import load_checkpoint

PRUNE = PruneChannels(channels=40, target=40, required=False)  # a bound, so that T may win all epochs
BUDGET = LatencyBudget(limit=400, in_cycles=True)  # of 420 before


def searching(folder: Path, rule: str = "accuracy", **settings: Any) -> Search:
    given = {"methods": (Train(), PRUNE), "budget": BUDGET, **settings}
    return make_search(folder, rule=find_rule(rule, given.pop("parameters", {})), **given)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search whose rule always prefers the network that misses the budget."""
    folder = tmp_path_factory.mktemp("search")
    assert choices(searching(folder).run()) == ["T", "T"]
    return folder


def test_what_met_the_budget_and_lost_its_epoch_is_the_result(searched: Path) -> None:
    search = searching(searched)
    done = search.run(resume=True)
    assert not done.now.meets(BUDGET)
    found = search.result(done)
    assert found.method == "P" and found.measures.meets(BUDGET)
    tried = [c.measures for record in done.records for c in record.candidates if c.method == "P"]
    assert found.measures.accuracy == max(each.accuracy for each in tried if each is not None)
    job = TrialJob(label="again", state=found.state.to_bytes(), method=None, until=0.0)
    again = search.lab.run(job)
    assert LADDER.highest.cost(decode_graph(again.graph)).cycles == found.measures.cycles
    assert again.merit == found.measures.accuracy, "its state is the one that was judged"


def test_a_search_without_a_budget_ends_as_it_chose(searched: Path) -> None:
    search = searching(searched, budget=None)
    assert search.result(search.run(resume=True)).method == "T"


def test_the_state_that_met_the_budget_is_in_the_checkpoint(searched: Path) -> None:
    kept = load_checkpoint(searched, SPEC, {"epochs": 2}).kept
    assert kept is not None and kept.state.removed_channels == 40
    assert kept.state.history[-1] == "P"


def test_a_budget_that_is_held_makes_a_network_within_it_win(tmp_path: Path) -> None:
    search = searching(tmp_path, is_held=True, spec=lasting(SPEC, epochs=1))
    done = search.run()
    assert choices(done) == ["P"] and search.result(done).measures == done.now


@pytest.mark.parametrize("rule", ["lagrange", "mnas"])
def test_a_rule_that_only_prices_latency_ends_within_its_budget(rule: str, tmp_path: Path) -> None:
    indifferent = {"lagrange": {"start": 0.0}, "mnas": {"exponent": 0.07}}[rule]
    parameters = {"budget_ms": 400 / 150_000, **indifferent}
    search = searching(tmp_path, rule, parameters=parameters, spec=lasting(SPEC, epochs=1))
    done = search.run()
    assert choices(done) == ["T"]
    assert search.result(done).measures.meets(BUDGET)


def test_where_nothing_met_the_budget_the_closest_is_the_result(tmp_path: Path) -> None:
    tight = LatencyBudget(limit=10, in_cycles=True)
    search = searching(tmp_path, is_held=True, budget=tight, spec=lasting(SPEC, epochs=1))
    done = search.run()
    assert choices(done) == ["P"] and done.kept is None
    assert search.result(done).measures == done.now


def test_a_network_that_met_the_budget_before_the_search_counts_as_seen(tmp_path: Path) -> None:
    loose = LatencyBudget(limit=420, in_cycles=True)
    search = searching(tmp_path, budget=loose, spec=lasting(SPEC, epochs=1))
    done = search.run()
    assert done.kept is not None and done.kept.measures.meets(loose)


def test_a_kept_network_that_owes_a_method_does_not_replace_one_that_does_not(tmp_path: Path) -> None:
    loose = LatencyBudget(limit=1000, in_cycles=True)
    quantize = Quantize(config=QuantizeConfig(weight_bits=2, activation_bits=2, calibration_images=32))
    spec = lasting(SPEC, epochs=1)
    search = searching(tmp_path, methods=(quantize,), budget=loose, spec=spec, parameters={})
    done = search.run()
    assert done.now.accuracy < done.reference.accuracy
    assert search.result(done).method == "Q(2,2)", "the network before the search is not quantized"


@pytest.mark.parametrize(
    ("cycles", "words"),
    [
        (400, "met: 400 cycles"),
        (500, "missed by 100 cycles (25.00 %): 500 cycles"),
    ],
)
def test_a_verdict_says_by_how_much_a_budget_is_missed(cycles: int, words: str) -> None:
    assert BUDGET.verdict(cycles, 1.0) == words
    in_ms = LatencyBudget(limit=0.4, in_cycles=False)
    assert in_ms.to_json(1, 0.5) == {"ms": 0.4, "met": False, "missed_by": pytest.approx(0.25)}
