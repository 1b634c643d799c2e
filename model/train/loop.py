"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import Progress
from torch import nn
from torch.nn import functional

from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.storage import make_folder
from bitlathe.model.train.batches import Batch, Batches, forward_in_training
from bitlathe.model.train.checkpoint import (
    EpochMetrics,
    History,
    Optimizer,
    RunState,
    load_checkpoint,
    save_checkpoint,
)
from bitlathe.model.train.config import Precision, TrainConfig, learning_rate
from bitlathe.model.train.evaluate import evaluate
from bitlathe.model.zoo import build

_LOG = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint.pt"

Objective = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # of images, logits, labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainResult:
    """A finished run: the network of the last epoch and what each epoch measured."""

    model: nn.Module  # in evaluation mode
    dataset: Dataset
    history: History
    checkpoint: Path

    @property
    def accuracy(self) -> float:
        """Share of held-out images classified correctly after the last epoch, 0..1."""
        return self.history[-1].test_accuracy


def train(
    config: TrainConfig,
    data_root: Path | None,
    out: Path,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a network of the zoo and keep a checkpoint of every epoch in `out`.

    The same settings, data and thread count give the same weights, resumed or not. Raises
    BitlatheError when the loss leaves the finite numbers; the checkpoint is then the last good one. Raises
    DataError, before anything is trained, where `out` cannot be made.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    dataset = load_dataset(config.dataset, data_root)
    make_folder(out)
    trainer = Trainer(config, dataset, out / CHECKPOINT_NAME)
    if resume and trainer.checkpoint.exists():
        trainer.resume()
    return trainer.run(progress if progress is not None else Progress(disable=True))


class Trainer:
    """One run: network, optimizer and random stream, stepped epoch by epoch.

    `model` is trained on instead of a fresh network; `before_epoch` gets the number, from 0, of each epoch.
    A group of `optimizer` may scale the schedule's rate by its `rate_scale`.
    """

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        checkpoint: Path,
        model: nn.Module | None = None,
        before_epoch: Callable[[int], None] = lambda epoch: None,
        optimizer: Optimizer | None = None,
        objective: Objective | None = None,
    ) -> None:
        self.config, self.dataset, self.checkpoint = config, dataset, checkpoint
        self._before_epoch = before_epoch
        self._objective = objective or (lambda images, logits, labels: cross_entropy(logits, labels, config))
        generator = torch.Generator().manual_seed(config.seed)
        model = _fresh_model(config, dataset) if model is None else model
        optimizer = weight_optimizer(model, config) if optimizer is None else optimizer
        self.state = RunState(model=model, optimizer=optimizer, generator=generator)
        self.history: History = ()
        self._batches = Batches(
            dataset.train_images,
            dataset.train_labels,
            batch_size=config.batch_size,
            augment=config.augment,
            generator=generator,
        )

    def resume(self) -> None:
        """Continue from the checkpoint on disk."""
        self.history = load_checkpoint(self.checkpoint, self.state, self.config)
        _LOG.info("resumed %s after epoch %d", self.config.network, len(self.history))

    def run(self, progress: Progress) -> TrainResult:
        """Train the remaining epochs."""
        steps = self.config.epochs * len(self._batches)
        task = progress.add_task(
            self.config.network, total=steps, completed=len(self.history) * len(self._batches)
        )
        while len(self.history) < self.config.epochs:
            metrics = self._epoch(lambda: progress.advance(task))
            progress.update(task, description=f"{self.config.network} {100 * metrics.test_accuracy:.2f} %")
        return TrainResult(
            model=self.state.model.eval(),
            dataset=self.dataset,
            history=self.history,
            checkpoint=self.checkpoint,
        )

    def _epoch(self, advance: Callable[[], None]) -> EpochMetrics:
        started, epoch = time.monotonic(), len(self.history) + 1
        self._before_epoch(len(self.history))
        losses = []
        for step, batch in enumerate(self._batches.epoch()):
            losses.append(self._step(batch, step))
            advance()
        metrics = self._measure(epoch, sum(losses) / len(losses), started)
        self.history += (metrics,)
        save_checkpoint(self.checkpoint, self.state, self.config, self.history)
        _log_epoch(metrics, self.config)
        return metrics

    def _step(self, batch: Batch, step: int) -> float:
        """Loss of one batch, after one step of the optimizer."""
        self._set_rate(step)
        loss = self._loss(batch)
        if not math.isfinite(loss.item()):
            raise self._diverged(f"the loss became {loss.item()} at step {step + 1}")
        self.state.optimizer.zero_grad()
        loss.backward()
        self.state.optimizer.step()
        return loss.item()

    def _loss(self, batch: Batch) -> torch.Tensor:
        images, labels = batch
        mixed = self.config.precision is Precision.BFLOAT16
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            logits = forward_in_training(self.state.model, images)
        return self._objective(images, logits.float(), labels)

    def _set_rate(self, step: int) -> None:
        done = len(self.history) + step / len(self._batches)
        for group in self.state.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, done / self.config.epochs) * group.get("rate_scale", 1.0)

    def _measure(self, epoch: int, train_loss: float, started: float) -> EpochMetrics:
        if not all(tensor.isfinite().all() for tensor in self.state.model.state_dict().values()):
            raise self._diverged("a weight became NaN or infinite")
        held_out = evaluate(self.state.model, self.dataset.test_images, self.dataset.test_labels)
        return EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            test_accuracy=held_out.accuracy,
            test_loss=held_out.loss,
            seconds=time.monotonic() - started,
        )

    def _diverged(self, what: str) -> BitlatheError:
        kept = f"{self.checkpoint} keeps epoch {len(self.history)}" if self.history else "nothing was kept"
        return BitlatheError(
            f"training {self.config.network}: {what} of epoch {len(self.history) + 1}; {kept}; "
            f"choose an lr below {self.config.lr}"
        )


def _fresh_model(config: TrainConfig, dataset: Dataset) -> nn.Module:
    return build(
        config.network,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        input_size=dataset.input_size,
        seed=config.seed,
    )


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, config: TrainConfig) -> torch.Tensor:
    """Mean cross-entropy of a batch, labels smoothed as settings say."""
    return functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)


def weight_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD on all parameters; biases and batch norm do not decay."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=True)


def _log_epoch(metrics: EpochMetrics, config: TrainConfig) -> None:
    _LOG.info(
        "epoch %d/%d: train loss %.4f, test loss %.4f, test accuracy %.2f %%, %.1f s",
        metrics.epoch,
        config.epochs,
        metrics.train_loss,
        metrics.test_loss,
        100 * metrics.test_accuracy,
        metrics.seconds,
    )
