"""The results of a finished pipeline: rows and charts of a report, and files of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bitlathe.hls.compile import compiler
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.program import Opcode
from bitlathe.hls.target.config import Target
from bitlathe.model.graph.files.account import layer_bits, layer_widths
from bitlathe.model.graph.graph import Graph
from bitlathe.model.search import Checkpoint, EpochRecord, LatencyBudget, Measures
from bitlathe.model.train import TaskMetric

IDLE = "(idle: loads, stores, waits)"  # cycles of no layer
BeforeAfter = Mapping[str, tuple[float, float]]  # by layer


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """One pipeline from its first epoch to the test images."""

    name: str
    dataset: str
    normalization: str  # of its images, that the network was trained with
    target: str
    metric: TaskMetric
    original_score: float | None  # by it, of a quantized ONNX file as ONNX Runtime runs it; None of others
    before_score: float  # by it, of the integers before the search, on the whole test split
    test_score: float  # of the integer network found, on the same, which nothing before has seen
    reference: Measures
    now: Measures
    found_epoch: int  # whose candidate the network is; 0: the network before the search
    found_method: str | None  # that made it
    budget: LatencyBudget | None  # that it must meet
    records: tuple[EpochRecord, ...]
    removed_channels: int
    training_cost: float  # steps of all candidates over those of plain training
    graph: str  # digest of the integer graph
    widths: BeforeAfter
    weight_bits: BeforeAfter
    activation_bits: BeforeAfter
    layer_cycles: BeforeAfter

    @property
    def choices(self) -> tuple[str, ...]:
        """The map Z."""
        return tuple(record.choice for record in self.records)

    @property
    def meets_budget(self) -> bool:
        """Whether it takes no more than the budget, if there is one."""
        return self.budget is None or self.now.meets(self.budget)

    @property
    def verdict(self) -> str | None:
        """The budget and whether it was met, in words; None without one."""
        if self.budget is None:
            return None
        return f"budget of {self.budget} {self.budget.verdict(self.now.cycles, self.now.latency_ms)}"

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(record.seconds for record in self.records)

    @property
    def test_accuracy(self) -> float | None:
        """The score where the metric is top-1, 0..1; else None."""
        return self.metric.accuracy(self.test_score)

    def said(self, measures: Measures) -> str:
        """Text of the score that measures on the judging images hold."""
        return self.metric.said(self.metric.merit(measures.merit))

    def _plain(self, measures: Measures) -> dict[str, Any]:
        """Measures with their score in place of the merit."""
        plain = asdict(measures)
        score = self.metric.merit(plain.pop("merit"))
        return {"accuracy": self.metric.accuracy(score), "score": score, **plain}

    def to_json(self) -> dict[str, Any]:
        """The row that --json prints."""
        return {
            "name": self.name,
            "dataset": self.dataset,
            "normalization": self.normalization,
            "target": self.target,
            "epochs": len(self.records),
            "metric": self.metric.name,
            "original_score": self.original_score,
            "before_score": self.before_score,
            "before_accuracy": self.metric.accuracy(self.before_score),
            "test_score": self.test_score,
            "test_accuracy": self.test_accuracy,
            "choices": list(self.choices),
            "reference": self._plain(self.reference),
            "found": self._plain(self.now),
            "found_epoch": self.found_epoch,
            "found_method": self.found_method,
            "budget": self.budget and self.budget.to_json(self.now.cycles, self.now.latency_ms),
            "cycles_share": self.now.cycles / self.reference.cycles,
            "removed_channels": self.removed_channels,
            "training_cost": self.training_cost,
            "graph": self.graph,
            "seconds": self.seconds,
        }


def before_after(before: Mapping[str, float], after: Mapping[str, float]) -> BeforeAfter:
    """Values of the layers that both networks have."""
    return {name: (before[name], after[name]) for name in before if name in after}


def comparisons(before: Graph, after: Graph, target: Target) -> dict[str, BeforeAfter]:
    """Widths, bits and cycles of each layer in two networks, by the name of a result's field."""
    bits = [layer_bits(graph) for graph in (before, after)]
    weights, outputs = ([{name: pair[i] for name, pair in each.items()} for each in bits] for i in (0, 1))
    return {
        "widths": before_after(layer_widths(before), layer_widths(after)),
        "weight_bits": before_after(*weights),
        "activation_bits": before_after(*outputs),
        "layer_cycles": before_after(layer_cycles(before, target), layer_cycles(after, target)),
    }


def layer_cycles(graph: Graph, target: Target) -> dict[str, int]:
    """Cycles in which the array works for each layer, and in which it is idle, by the cycle model."""
    program = compiler.compile_for(graph, target).program
    predicted = predict(program, DdrModel.of(target), weights_resident=True)
    cycles: dict[str, int] = {}
    for descriptor, timing in zip(program.descriptors, predicted.timings, strict=False):
        if descriptor.opcode is Opcode.EXEC:
            cycles[descriptor.node] = cycles.get(descriptor.node, 0) + timing.end - timing.start
    return {**cycles, IDLE: predicted.cycles - sum(cycles.values())}


def training_cost(checkpoint: Checkpoint, steps_an_epoch: int) -> float:
    """Steps that all candidates took over those of one plain training of as many epochs."""
    taken = sum(record.steps for record in checkpoint.records)
    return taken / max(1, len(checkpoint.records) * steps_an_epoch)
