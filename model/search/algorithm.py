"""Algorithm 1: in every epoch try each method from the same state, score each by the rule, keep the best.

Source: Ding et al., "Regularized Training Framework for Combining Pruning and Quantization to Compress
Neural Networks", Algorithm 1. docs/search.md says how its gaps are closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Protocol

from bitlathe.model.compress.method import Method
from bitlathe.model.compress.state import State
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.files.account import layer_bits, layer_widths
from bitlathe.model.graph.files.settings import demand
from bitlathe.model.search.budget import LatencyBudget
from bitlathe.model.search.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    SeenState,
    load_checkpoint,
    save_checkpoint,
    write_derived,
)
from bitlathe.model.search.executors import Executor, KeptOutcomes
from bitlathe.model.search.lab import Lab, TrialJob, TrialOutcome
from bitlathe.model.search.ladder import Ladder, Latency
from bitlathe.model.search.records import CandidateRecord, EpochRecord, Measures, TrialStage
from bitlathe.model.search.rules import Context, Rule, score_of
from bitlathe.model.search.strategies import Strategy, check_names, check_reach, check_targets, owed
from bitlathe.model.search.trials import Scorer, Trial, agreement, best, measured


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How much to train before a choice, and when two candidates count as equal."""

    probe: float | None = None  # share of the epoch for which each candidate trains; None: all of it
    audited_epochs: int = 1  # first epochs in which probes are compared with whole epochs
    least_agreement: float = 0.5  # mean tau of those epochs below which probing stops
    tie: float = 0.0  # scores within this of the best are equal; the fastest of them wins

    def __post_init__(self) -> None:
        probe = self.probe
        demand(self, "probe", probe is None or 0 < probe < 1, "a share of the epoch between 0 and 1")
        demand(self, "tie", 0 <= self.tie < inf, "0 or more")
        demand(self, "audited_epochs", self.audited_epochs >= 0, "0 or more")
        demand(self, "least_agreement", -1 <= self.least_agreement <= 1, "a tau in -1..1")


class Listener(Protocol):
    """Observes a search; must not change it."""

    def epoch_started(self, epoch: int, methods: Sequence[str]) -> None:
        """An epoch, counted from 1, will try these methods."""

    def candidate_scored(self, record: CandidateRecord) -> None:
        """A candidate has been judged."""

    def epoch_finished(self, record: EpochRecord) -> None:
        """A choice has been made and is on disk."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """One search in one folder."""

    lab: Lab
    strategy: Strategy
    rule: Rule
    ladder: Ladder
    executor: Executor
    settings: SearchSettings
    folder: Path
    identity: Mapping[str, Any]  # plain values that must be equal to resume a search
    budget: LatencyBudget | None = None  # that the result must meet
    is_held: bool = False  # whether each choice holds to it; else the rule does, in a way of its own
    listeners: tuple[Listener, ...] = ()

    def run(self, resume: bool = False) -> Checkpoint:
        """Search to the last epoch; with `resume`, start from the folder's checkpoint, if any.

        A search killed at any moment and resumed makes the same choices. Raises BitlatheError if every
        candidate of an epoch failed; the checkpoint is then the last good one.
        """
        check_names(self.strategy.methods)
        checkpoint = self._resumed() if resume and (self.folder / CHECKPOINT).exists() else self._begun()
        while checkpoint.state.epoch < self.lab.spec.settings.epochs:
            checkpoint = self._epoch(checkpoint)
        return checkpoint

    def result(self, checkpoint: Checkpoint) -> SeenState:
        """The last epoch's state, or the one kept where only that meets the budget or the rule prefers it."""
        last, kept = checkpoint.last, checkpoint.kept
        if kept is None or self.budget is None:
            return last
        if not self.meets(last.measures):
            return kept
        if self._owed(kept.state) > self._owed(last.state):
            return last
        context = Context(reference=checkpoint.reference, parent=checkpoint.reference)
        scores = [score_of(self.rule, seen.measures, context) for seen in (last, kept)]
        return kept if scores[1] > scores[0] else last

    def best(self, trials: Sequence[Trial]) -> Trial:
        """The trial that an epoch chooses."""
        return best(trials, self.settings.tie, self.budget if self.is_held else None)

    def meets(self, measures: Measures) -> bool:
        """Whether there is a budget and these meet it."""
        return self.budget is not None and measures.meets(self.budget)

    def kept(self, seen: Iterable[SeenState | None]) -> SeenState | None:
        """Of states that meet the budget the one that owes least, the most accurate, the fastest."""
        return max((each for each in seen if each is not None), key=self._worth, default=None)

    def _worth(self, seen: SeenState) -> tuple[float, ...]:
        return -self._owed(seen.state), seen.measures.accuracy, -seen.measures.cycles

    def _owed(self, state: State) -> int:
        return owed(self.strategy.methods, state)

    def _resumed(self) -> Checkpoint:
        checkpoint = load_checkpoint(self.folder, self.lab.spec, self.identity)
        write_derived(self.folder, checkpoint)
        return checkpoint

    def _begun(self) -> Checkpoint:
        state = self.lab.first_state()
        check_targets(self.strategy.methods, state, self.lab.spec.settings.epochs)
        check_reach(self.strategy.methods, state, self.lab.data)
        outcome = self.lab.run(TrialJob(label="reference", state=state.to_bytes(), method=None, until=0.0))
        if outcome.failure is not None:
            raise BitlatheError(f"search: the network itself cannot be judged: {outcome.failure}")
        reference = measured(outcome, self.ladder.highest)
        checkpoint = Checkpoint(state=state, now=reference, reference=reference)
        if self.meets(reference):
            checkpoint = replace(checkpoint, kept=checkpoint.last)
        save_checkpoint(self.folder, checkpoint, self.identity)
        return checkpoint

    def _epoch(self, checkpoint: Checkpoint) -> Checkpoint:
        started, epoch = time.monotonic(), _Epoch(search=self, checkpoint=checkpoint)
        for listener in self.listeners:
            listener.epoch_started(epoch.number, [method.name for method in epoch.methods])
        probes, finals = epoch.trials()
        after = epoch.committed(self.best(finals), probes, finals, started)
        save_checkpoint(self.folder, after, self.identity)
        epoch.kept.clear()
        for listener in self.listeners:
            listener.epoch_finished(after.records[-1])
        return after


class _Epoch:
    """The trials of one epoch."""

    def __init__(self, *, search: Search, checkpoint: Checkpoint) -> None:
        self._search, self._checkpoint = search, checkpoint
        self.number = checkpoint.state.epoch + 1
        self.kept = KeptOutcomes(search.folder / "epochs" / str(self.number), search.executor)
        remaining = search.lab.spec.settings.epochs - checkpoint.state.epoch
        self.methods = search.strategy.candidates(checkpoint.state, checkpoint.now, remaining)
        context = Context(
            reference=checkpoint.reference,
            parent=checkpoint.now,
            winners=tuple(record.measures for record in checkpoint.records),
        )
        self._scorer = Scorer(
            rule=search.rule, rung=search.ladder.highest, context=context, epoch=self.number
        )

    def trials(self) -> tuple[tuple[Trial, ...], tuple[Trial, ...]]:
        """Probes, if any, and candidates trained for the whole epoch."""
        state, probe = self._checkpoint.state.to_bytes(), self._search.settings.probe
        whole = [TrialJob(label=m.name, state=state, method=m, until=1.0) for m in self.methods]
        if probe is None or len(whole) == 1 or self._distrusts_probes():
            return (), self._tried(whole, TrialStage.EPOCH)
        probes = self._tried([replace(job, until=probe) for job in whole], TrialStage.PROBE)
        going_on = [trial for trial in probes if trial.record.failure is None]
        if self.number > self._search.settings.audited_epochs:
            going_on = [self._search.best(probes)]
        jobs = [
            TrialJob(label=t.method.name, state=t.outcome.state, method=t.method, is_begun=True, until=1.0)
            for t in going_on
        ]
        return probes, self._tried(jobs, TrialStage.EPOCH)

    def committed(
        self, winner: Trial, probes: Sequence[Trial], finals: Sequence[Trial], started: float
    ) -> Checkpoint:
        """The search after this epoch."""
        state, measures, graph = self._after(winner), winner.measures, winner.graph
        truth = Latency(cycles=measures.cycles, milliseconds=measures.latency_ms)
        record = EpochRecord(
            epoch=self.number,
            choice=winner.method.name,
            measures=measures,
            candidates=tuple(trial.record for trial in (*probes, *finals)),
            agreement=agreement(probes, finals),
            audits=self._search.ladder.audit(graph, truth),
            seconds=time.monotonic() - started,
            removed_channels=state.removed_channels,
            widths=layer_widths(graph),
            bits=layer_bits(graph),
        )
        records = (*self._checkpoint.records, record)
        kept = self._search.kept((self._checkpoint.kept, *self._met((*finals, *probes))))
        return replace(self._checkpoint, state=state, now=measures, records=records, kept=kept)

    def _met(self, trials: Iterable[Trial]) -> Iterator[SeenState]:
        """The states of trials that meet the budget."""
        for trial in trials:
            if trial.record.failure is None and self._search.meets(trial.measures):
                yield SeenState(
                    state=self._after(trial),
                    measures=trial.measures,
                    epoch=self.number,
                    method=trial.method.name,
                )

    def _after(self, trial: Trial) -> State:
        """The state of a trial, with its method in the history."""
        state = self._search.lab.read(trial.outcome.state)
        state.history = (*self._checkpoint.state.history, trial.method.name)
        return state

    def _distrusts_probes(self) -> bool:
        """Whether the audited epochs showed that probes rank candidates badly."""
        settings = self._search.settings
        taus = [record.agreement for record in self._checkpoint.records if record.agreement is not None]
        over = self.number > settings.audited_epochs
        return over and bool(taus) and sum(taus) / len(taus) < settings.least_agreement

    def _tried(self, jobs: Sequence[TrialJob], stage: TrialStage) -> tuple[Trial, ...]:
        by_name: Mapping[str, Method] = {method.name: method for method in self.methods}
        trials: dict[str, Trial] = {}

        def score(outcome: TrialOutcome) -> None:
            trial = self._scorer.trial(by_name[outcome.label], outcome, stage)
            trials[outcome.label] = trial
            for listener in self._search.listeners:
                listener.candidate_scored(trial.record)

        done: Callable[[TrialOutcome], None] = score
        self.kept.run(jobs, done)
        return tuple(trials[job.label] for job in jobs)
