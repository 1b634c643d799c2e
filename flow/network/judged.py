"""What a metric says of a network: the part that all results share, and the values that it judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.model.capture.returned import size_of
from bitlathe.model.graph.graph import Graph
from bitlathe.model.train import TaskMetric
from bitlathe.model.train.metrics import OutputValues


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A metric of a float network's outputs and of its integers'."""

    metric: TaskMetric | None  # None: none was given, and none suits the outputs
    score_float: float | None  # by the metric; None for a graph read from a file
    score_integer: float | None  # both None without a metric

    @property
    def accuracy_float(self) -> float | None:
        """The float score where the metric is top-1, 0..1; else None."""
        return self._accuracy(self.score_float)

    @property
    def accuracy_integer(self) -> float | None:
        """The integers' score where the metric is top-1, 0..1; else None."""
        return self._accuracy(self.score_integer)

    @property
    def title(self) -> str:
        """The metric's name in tables."""
        return "accuracy" if self.metric is None else self.metric.title

    def said(self, score: float | None) -> str:
        """Text of a score."""
        return "-" if self.metric is None or score is None else self.metric.said(score)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        plain = {field.name: _plain(getattr(self, field.name)) for field in fields(self) if field.compare}
        return {
            **plain,
            "metric": None if self.metric is None else self.metric.name,
            "accuracy_float": self.accuracy_float,
            "accuracy_integer": self.accuracy_integer,
        }

    def _accuracy(self, score: float | None) -> float | None:
        return None if self.metric is None or score is None else self.metric.accuracy(score)


def _plain(value: object) -> object:
    """A field as JSON has it: rows of a tuple as objects."""
    if not isinstance(value, tuple):
        return value
    return [asdict(row) if is_dataclass(row) and not isinstance(row, type) else row for row in value]


def values_of_codes(
    graph: Graph, outputs: Sequence[NDArray[np.integer[Any]]]
) -> OutputValues | tuple[OutputValues, ...]:
    """Real values (N, K) or (N, K, H, W) of the codes (N, C, H, W) of every output, several in a tuple.

    They are exact, as float32 holds 16 bits.
    """
    made: list[OutputValues] = []
    for output, codes in zip(graph.outputs, outputs, strict=True):
        values: OutputValues = np.ldexp(codes.astype(np.float32), -graph.format_of(output.tensor).frac)
        made.append(values.reshape(len(codes), *size_of(graph.shapes[output.tensor])))
    return made[0] if len(made) == 1 else tuple(made)
