"""Settings of a training run, and the learning rate they imply."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bitlathe.model.graph.files.settings import SEEDS, demand, is_seed


class Schedule(Enum):
    """Course of the learning rate over a run."""

    ONE_CYCLE = "one-cycle"  # linear rise over the first fifth, then half a cosine down to zero
    COSINE = "cosine"  # half a cosine from the top down to zero


class Precision(Enum):
    """Number type of the forward pass in training; weights and batch norm stay float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"  # faster only if the processor multiplies bfloat16 natively


_WARM_UP = 0.2  # share of a one-cycle run in which the rate rises


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one run; together with the data they decide every weight.

    Raises WrongValue for a value outside its range.
    """

    network: str = "lenet5"  # as it was named, like the data set
    dataset: str = "digits"
    epochs: int = 40
    batch_size: int = 64
    lr: float = 0.05  # the highest rate of the schedule
    momentum: float = 0.9  # Nesterov
    weight_decay: float = 5e-4  # on weights, not on biases and batch norm
    schedule: Schedule = Schedule.ONE_CYCLE
    label_smoothing: float = 0.0
    augment: bool = False  # shifted crops and left-right flips
    precision: Precision = Precision.FLOAT32
    seed: int = 0
    threads: int | None = None  # processor threads; None: PyTorch's choice

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            demand(self, name, getattr(self, name) >= 1, "1 or more")
        demand(self, "lr", 0 < self.lr < math.inf, "more than 0")
        demand(self, "momentum", 0 < self.momentum < 1, "a number between 0 and 1")
        demand(self, "weight_decay", 0 <= self.weight_decay < math.inf, "0 or more")
        demand(self, "label_smoothing", 0 <= self.label_smoothing < 1, "0 or more and less than 1")
        demand(self, "seed", is_seed(self.seed), f"one of {SEEDS}")
        demand(self, "threads", self.threads is None or self.threads >= 1, "1 or more")

    def to_dict(self) -> dict[str, Any]:
        """Settings as plain values, for a file."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: v.value if isinstance(v, Enum) else v for name, v in values.items()}


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Learning rate after the share `progress` (0..1) of all steps.

    >>> config = TrainConfig(lr=0.5, schedule=Schedule.ONE_CYCLE)
    >>> [round(learning_rate(config, p), 3) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.25, 0.5, 0.25, 0.0]
    """
    warm_up = _WARM_UP if config.schedule is Schedule.ONE_CYCLE else 0.0
    if progress < warm_up:
        return config.lr * progress / warm_up
    return config.lr * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
