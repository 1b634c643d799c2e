"""State of a training run at the end of an epoch; enough to go on as if never stopped."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from bitlathe.model.graph.errors import DataError
from bitlathe.model.train.config import TrainConfig
from bitlathe.model.train.files import read_tensors, write_tensors

# settings that may differ between a run and its continuation without changing what is trained
_FREE_SETTINGS = frozenset({"threads"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMetrics:
    """What one epoch measured."""

    epoch: int  # from 1
    train_loss: float  # mean over the epoch's steps
    test_accuracy: float  # 0..1
    test_loss: float
    seconds: float  # wall time, evaluation included


class Optimizer(Protocol):
    """One of PyTorch's optimizers, or several that step together."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters, each with its rate `lr`."""

    def zero_grad(self) -> None:
        """Forget gradients."""

    def step(self) -> Any:
        """Move the parameters."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The moving parts of a run."""

    model: nn.Module
    optimizer: Optimizer
    generator: torch.Generator


History = tuple[EpochMetrics, ...]


def save_checkpoint(path: Path, run: RunState, config: TrainConfig, history: History) -> None:
    """Write everything a run needs to continue."""
    content = {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "generator": run.generator.get_state(),
        "config": config.to_dict(),
        "history": [dataclasses.asdict(metrics) for metrics in history],
    }
    write_tensors(path, content)


def load_checkpoint(path: Path, run: RunState, config: TrainConfig) -> History:
    """Put `run` back where the checkpoint was written; DataError if it was another run's."""
    content = read_tensors(path)
    try:
        _check_settings(path, content["config"], config.to_dict())
        run.model.load_state_dict(content["model"])
        run.optimizer.load_state_dict(content["optimizer"])
        run.generator.set_state(content["generator"])
        return tuple(EpochMetrics(**metrics) for metrics in content["history"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{path}: not a training checkpoint ({error}); start anew in another folder"
        ) from error


def _check_settings(path: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if name not in _FREE_SETTINGS and saved[name] != value:
            raise DataError(
                f"{path}: was trained with {name} {saved[name]}, now {value} is asked for; "
                "give the same settings or start anew in another folder"
            )
