"""Train a network in float from its first weights, with a checkpoint of every epoch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from bitlathe.model.compress.architecture import Architecture, ZooArchitecture
from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.epoch import Diverged, train_epoch
from bitlathe.model.compress.state import State, fresh_state, load
from bitlathe.model.data import Dataset
from bitlathe.model.graph.files.storage import make_folder
from bitlathe.model.graph.normalization import NONE, Normalization
from bitlathe.model.train.config import TrainConfig
from bitlathe.model.train.evaluate import evaluate, score
from bitlathe.model.train.metrics import TOP1, TaskMetric
from bitlathe.model.train.task import CLASSIFICATION, Task

_LOG = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.pt"
_FREE_SETTINGS = ("threads",)  # may differ between a run and its continuation without affecting the result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainResult:
    """Result of a finished training run."""

    model: nn.Module  # of the last epoch, in evaluation mode
    dataset: Dataset
    metric: TaskMetric
    score: float  # by the metric, on the test images

    @property
    def accuracy(self) -> float | None:
        """Share of test images classified correctly, 0..1; None where the metric is not top-1."""
        return self.metric.accuracy(self.score)


def train(
    config: TrainConfig,
    dataset: Dataset,
    out: Path,
    resume: bool = False,
    progress: Callable[[int, int], None] = lambda done, steps: None,
    architecture: Architecture | None = None,
    task: Task = CLASSIFICATION,
    normalization: Normalization | None = None,
) -> TrainResult:
    """Train a network, by default the one of the zoo, and keep a checkpoint of every epoch in `out`.

    `normalization` is the one that was asked for; an architecture that is given has it already.
    The same settings, data and thread count give the same weights, resumed or not. `progress` gets the steps
    done and those of all epochs. Raises Diverged when training diverges; the checkpoint is then the last
    good one. Raises DataError, before anything is trained, if `out` cannot be made.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    make_folder(out)
    checkpoint, identity = out / CHECKPOINT_NAME, _identity(config, dataset, task, normalization)
    made = architecture or _of_the_zoo(config, dataset, normalization or NONE)
    if resume and checkpoint.exists():
        state = load(checkpoint, made, config, identity)
        _LOG.info("resumed %s after epoch %d", config.network, state.epoch)
    else:
        state = fresh_state(made.build(), config)
    data = MethodData.whole(
        dataset,
        batch_size=config.batch_size,
        augment=config.augment,
        loss=task.loss,
        teacher=task.teacher,
    )
    if task.metric != TOP1:  # one that fails is told before anything is trained
        score(state.model, dataset.test_images, dataset.test_labels, task.metric)

    def advance() -> None:
        progress(state.epoch * data.steps + state.step, config.epochs * data.steps)

    advance()
    while state.epoch < config.epochs:
        _train_epoch(state, data, config, dataset, task, checkpoint, identity, advance)
    return TrainResult(
        model=state.model.eval(),
        dataset=dataset,
        metric=task.metric,
        score=score(state.model, dataset.test_images, dataset.test_labels, task.metric),
    )


def _of_the_zoo(config: TrainConfig, dataset: Dataset, normalization: Normalization) -> Architecture:
    return ZooArchitecture(
        network=config.network,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        input_size=dataset.input_size,
        normalization=normalization,
        seed=config.seed,
    )


def _train_epoch(
    state: State,
    data: MethodData,
    config: TrainConfig,
    dataset: Dataset,
    task: Task,
    checkpoint: Path,
    identity: dict[str, object],
    advance: Callable[[], None],
) -> None:
    started, last = time.monotonic(), state.epoch
    try:
        trained = train_epoch(state, data, config, advance=advance)
    except Diverged as error:
        kept = f"{checkpoint} keeps epoch {last}" if last else "nothing was kept"
        raise Diverged(f"training {config.network}: {error}; {kept}") from error
    tested = evaluate(state.model, dataset.test_images, dataset.test_labels, task=task)
    state.save(checkpoint, identity)
    _LOG.info(
        "epoch %d/%d: train loss %.4f, test loss %.4f, test %s %s, %.1f s",
        state.epoch,
        config.epochs,
        trained.loss,
        tested.loss,
        task.metric.title,
        task.metric.said(tested.score),
        time.monotonic() - started,
    )


def _identity(
    config: TrainConfig, dataset: Dataset, task: Task, normalization: Normalization | None
) -> dict[str, object]:
    """What must be equal to resume a training run."""
    asked = {} if normalization is None else {"normalize": str(normalization)}
    settings = config.to_dict() | {"dataset": dataset.identity} | task.shaping | asked
    return {name: value for name, value in settings.items() if name not in _FREE_SETTINGS}
