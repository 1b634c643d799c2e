"""Turn outcomes into scores, and scores into a choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

from bitlathe.model.compress.method import Method
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.files.account import Account, layer_widths
from bitlathe.model.graph.files.archive import decode_graph
from bitlathe.model.graph.graph import Graph
from bitlathe.model.search.budget import LatencyBudget
from bitlathe.model.search.lab import TrialOutcome
from bitlathe.model.search.ladder import LatencyRung
from bitlathe.model.search.records import CandidateRecord, Measures, TrialStage
from bitlathe.model.search.rules import Context, Rule, RuleError, score_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """A scored candidate."""

    method: Method
    outcome: TrialOutcome
    record: CandidateRecord

    @property
    def measures(self) -> Measures:
        """Measures of a candidate that did not fail."""
        assert self.record.measures is not None
        return self.record.measures

    @property
    def score(self) -> float:
        """Score of a candidate that did not fail."""
        assert self.record.score is not None
        return self.record.score

    @property
    def graph(self) -> Graph:
        """Integer graph of a candidate that did not fail."""
        return decode_graph(self.outcome.graph)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scorer:
    """Scores the candidates of one epoch."""

    rule: Rule
    rung: LatencyRung
    context: Context
    epoch: int  # from 1

    def trial(self, method: Method, outcome: TrialOutcome, stage: TrialStage) -> Trial:
        """A candidate with its score; if it cannot be measured or scored, it has failed."""
        measures, score, failure = None, None, outcome.failure
        if failure is None:
            try:
                measures = measured(outcome, self.rung)
                score = score_of(self.rule, measures, self.context)
            except RuleError:
                raise
            except BitlatheError as error:
                measures, failure = None, str(error)
        record = CandidateRecord(
            epoch=self.epoch,
            method=method.name,
            stage=stage,
            score=score,
            measures=measures,
            loss=outcome.loss,
            steps=outcome.steps,
            seconds=outcome.seconds,
            failure=failure,
        )
        return Trial(method=method, outcome=outcome, record=record)


def measured(outcome: TrialOutcome, rung: LatencyRung) -> Measures:
    """Measures of a candidate; raises BitlatheError if its graph cannot be run."""
    graph = decode_graph(outcome.graph)
    latency, account = rung.cost(graph), Account.of(graph)
    return Measures(
        merit=outcome.merit,
        cycles=latency.cycles,
        latency_ms=latency.milliseconds,
        macs=account.macs,
        size_bytes=account.file_bytes,
        channels=sum(layer_widths(graph).values()),
    )


def best(trials: Sequence[Trial], tie: float, budget: LatencyBudget | None = None) -> Trial:
    """The fastest trial within `tie` of the highest score; the first of equally fast ones.

    Under a budget those that meet it come before all others; where none does, the closest to it wins.
    Raises BitlatheError, with the reason of each, if all failed.
    """
    able = [trial for trial in trials if trial.record.failure is None]
    if not able:
        reasons = "; ".join(f"{trial.method.name}: {trial.record.failure}" for trial in trials)
        raise BitlatheError(f"search: every candidate of epoch {trials[0].record.epoch} failed: {reasons}")
    if budget is not None:
        within = [trial for trial in able if trial.measures.meets(budget)]
        if not within:
            return min(able, key=lambda trial: (trial.measures.spends(budget), -trial.score))
        able = within
    highest = max(trial.score for trial in able)
    equal = [trial for trial in able if trial.score >= highest - tie]
    return min(equal, key=lambda trial: (trial.measures.cycles if tie else 0, -trial.score))


def agreement(probes: Sequence[Trial], finals: Sequence[Trial]) -> float | None:
    """Kendall's tau of probes and whole epochs, over the methods that have both; None for fewer than two."""
    scores = {trial.method.name: trial.score for trial in finals if trial.record.failure is None}
    pairs = [
        (probe.score, scores[probe.method.name])
        for probe in probes
        if probe.record.failure is None and probe.method.name in scores
    ]
    return kendall_tau(*zip(*pairs, strict=True)) if len(pairs) > 1 else None


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's rank correlation tau-b of two scorings, -1..1; None if one of them ranks nothing.

    Source: Kendall 1945, doi 10.1093/biomet/33.3.239.

    >>> kendall_tau([1, 2, 3], [1, 3, 2])
    0.3333333333333333
    """
    pairs = [
        (_sign(a[0] - b[0]), _sign(a[1] - b[1]))
        for a, b in combinations(list(zip(first, second, strict=True)), 2)
    ]
    ranked = [sum(bool(pair[side]) for pair in pairs) for side in (0, 1)]
    if not all(ranked):
        return None
    return sum(x * y for x, y in pairs) / sqrt(ranked[0] * ranked[1])


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
