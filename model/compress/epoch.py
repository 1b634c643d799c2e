"""One epoch of training, or a part of it, of a state under whatever compresses it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.randomness import step_generator
from bitlathe.model.compress.state import State
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.train.batches import Batch
from bitlathe.model.train.config import Precision, TrainConfig, learning_rate


class Diverged(BitlatheError):
    """A loss or a weight left the finite numbers."""


def train_epoch(
    state: State,
    data: MethodData,
    settings: TrainConfig,
    *,
    share: float = 1.0,
    advance: Callable[[], None] = lambda: None,
) -> float:
    """Train `state` in place up to `share` (0..1) of its present epoch; mean loss of the steps taken.

    A whole epoch in parts equals one in one go. Raises Diverged; the state is then of no use.
    """
    last = max(1, math.ceil(share * data.steps))
    losses = []
    forward = state.model
    while state.step < last:
        losses.append(_step(forward, state, data, settings))
        state.step += 1
        advance()
    _check_finite(state)
    if state.step == data.steps:
        state.epoch, state.step = state.epoch + 1, 0
    return sum(losses) / max(1, len(losses))


def _step(forward: nn.Module, state: State, data: MethodData, settings: TrainConfig) -> float:
    """Loss of one batch, after one step of the optimizer."""
    done = (state.epoch + state.step / data.steps) / settings.epochs
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(settings, min(1.0, done))
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        generator = step_generator(state.seed, state.epoch, state.step)
        torch.manual_seed(generator.initial_seed())
        loss = _loss(forward, data.batch(state.seed, state.epoch, state.step), settings)
    if not math.isfinite(loss.item()):
        raise Diverged(f"the loss became {loss.item()} at step {state.step + 1}; choose a lower lr")
    state.optimizer.zero_grad()
    loss.backward()
    state.optimizer.step()
    if state.masks is not None:
        state.masks.apply(state.model, state.optimizer)
    return loss.item()


def _loss(forward: nn.Module, batch: Batch, settings: TrainConfig) -> torch.Tensor:
    images, labels = batch
    forward.train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.precision is Precision.BFLOAT16):
        logits = forward(images)
    return functional.cross_entropy(logits.float(), labels, label_smoothing=settings.label_smoothing)


def _check_finite(state: State) -> None:
    for name, tensor in state.model.state_dict().items():
        if not tensor.isfinite().all():
            raise Diverged(f"{name} became NaN or infinite in epoch {state.epoch + 1}; choose a lower lr")
