"""Train a state for one epoch, or a part of it, under whatever compresses it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.randomness import step_generator
from bitlathe.model.compress.state import Quantization, State
from bitlathe.model.data import to_input
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.product.live import assignments
from bitlathe.model.prune.channels.group_lasso import GroupLasso
from bitlathe.model.qat.view import QuantizedView
from bitlathe.model.train.batches import Batch, forward_in_training
from bitlathe.model.train.config import Precision, TrainConfig, learning_rate
from bitlathe.model.zoo.outputs import float_outputs

_EXAMPLES = 2  # images to trace a network with
_GOOD, _BAD = 0.5, 0.9  # shares of the loss of guessing: has learned below the first, not above
_FEWEST = 16  # steps below which an epoch is too short to tell a rise from noise
_LAST = 0.25  # share of an epoch's steps over which the final loss is averaged


class Diverged(BitlatheError):
    """A loss or a weight became NaN or infinite, or what had been learned was lost."""


def train_epoch(
    state: State,
    data: MethodData,
    settings: TrainConfig,
    *,
    share: float = 1.0,
    since: int = 0,
    penalty: GroupLasso | None = None,
    advance: Callable[[], None] = lambda: None,
) -> EpochResult:
    """Train `state` in place up to `share` (0..1) of its current epoch, with `penalty` added to the loss.

    The learning rate's schedule spans `settings.epochs` epochs from epoch `since` on. An epoch trained
    in parts equals one trained in one go. Raises Diverged; the state is then unusable.
    """
    last = max(1, math.ceil(share * data.steps))
    trainee = _trainee(state, data, penalty)
    losses = []
    while state.step < last:
        done = (state.epoch - since + state.step / data.steps) / settings.epochs
        rate = learning_rate(settings, min(1.0, done))
        losses.append(_step(trainee, state, data, settings, rate))
        state.step += 1
        advance()
    _check_finite(state)
    _check_learning(losses, data.guess, state)
    state.quantization = trainee.quantization()
    if state.sharing is not None and state.quantization is not None:
        state.sharing = replace(state.sharing, assignments=assignments(trainee.view))
        # newly calibrated binary points would not be the ones that the codewords were trained with
        state.quantization = replace(state.quantization, thresholds=trainee.view.thresholds())
    if state.step == data.steps:
        state.epoch, state.step = state.epoch + 1, 0
    loss = sum(losses) / max(1, len(losses))
    return EpochResult(loss=loss, view=None if trainee.before is None else trainee.view)


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochResult:
    """What an epoch returns besides the state."""

    loss: float  # mean over the steps taken, without the penalty
    view: QuantizedView | None  # that a quantized state was trained through; can judge it too


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trainee:
    """What an epoch's steps move: the module that computes, and the thresholds if there are any."""

    forward: nn.Module
    before: Quantization | None
    thresholds: torch.optim.Optimizer | None  # None if the thresholds are fixed or there is no view
    penalty: Callable[[], torch.Tensor] | None = None  # added to the loss

    @property
    def view(self) -> QuantizedView:
        """The module that computes; only for a quantized state."""
        assert isinstance(self.forward, QuantizedView)
        return self.forward

    def quantization(self) -> Quantization | None:
        """The quantizer as the steps left it."""
        if self.thresholds is None or self.before is None:
            return self.before
        learned, moments = self.view.thresholds(), self.thresholds.state_dict()
        return replace(self.before, thresholds=learned, moments=moments)


def _trainee(state: State, data: MethodData, penalty: GroupLasso | None) -> _Trainee:
    trainee = _of_precision(state, data)
    if penalty is None:
        return trainee
    return replace(trainee, penalty=penalty.on(state.model, to_input(data.train_images[:_EXAMPLES])))


def _of_precision(state: State, data: MethodData) -> _Trainee:
    quantization = state.quantization
    if quantization is None:
        return _Trainee(forward=state.model, before=None, thresholds=None)
    view = integer_view(state, data, quantization.config)
    if quantization.threshold_lr == 0:
        view.requires_grad_(False)
        return _Trainee(forward=view, before=quantization, thresholds=None)
    optimizer = torch.optim.Adam(view.parameters_learned(), lr=quantization.threshold_lr)
    _take_up(optimizer, quantization)
    return _Trainee(forward=view, before=quantization, thresholds=optimizer)


def _take_up(optimizer: torch.optim.Optimizer, quantization: Quantization) -> None:
    """Restore the moments of the thresholds, unless pruning changed their shapes."""
    if quantization.moments is None:
        return
    shapes = dict(enumerate(parameter.shape for parameter in optimizer.param_groups[0]["params"]))
    found = {i: entry["exp_avg"].shape for i, entry in quantization.moments["state"].items()}
    known = len(shapes) == len(quantization.moments["param_groups"][0]["params"])
    if known and found.items() <= shapes.items():  # a threshold without a gradient has no moments
        # Adam updates them in place, and other copies of the state share them
        optimizer.load_state_dict(copy.deepcopy(quantization.moments))


def _step(trainee: _Trainee, state: State, data: MethodData, settings: TrainConfig, rate: float) -> float:
    """Loss of one batch, after one step of the optimizers at a learning rate."""
    _set_rates(trainee, state, rate, rate / settings.lr)
    with torch.random.fork_rng(devices=[]):  # dropout uses the global generator
        generator = step_generator(state.seed, state.epoch, state.step)
        torch.manual_seed(generator.initial_seed())
        batch = data.batch(state.seed, state.epoch, state.step)
        loss = _loss(trainee.forward, batch, data, settings)
    if not math.isfinite(loss.item()):
        raise Diverged(f"the loss became {loss.item()} at step {state.step + 1}; choose a lower lr")
    optimizers = [state.optimizer, *([trainee.thresholds] if trainee.thresholds is not None else [])]
    for optimizer in optimizers:
        optimizer.zero_grad()
    (loss if trainee.penalty is None else loss + trainee.penalty()).backward()
    for optimizer in optimizers:
        optimizer.step()
    if state.masks is not None and state.sharing is None:  # codewords are 0 by their tie, not by a mask
        state.masks.apply(state.model, state.optimizer)
    return loss.item()


def _set_rates(trainee: _Trainee, state: State, rate: float, share: float) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    if trainee.thresholds is not None and trainee.before is not None:
        for group in trainee.thresholds.param_groups:
            group["lr"] = trainee.before.threshold_lr * share


def _loss(forward: nn.Module, batch: Batch, data: MethodData, settings: TrainConfig) -> torch.Tensor:
    images, labels = batch
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.precision is Precision.BFLOAT16):
        returned = forward_in_training(forward, images)
    outputs = float_outputs(returned)
    loss = data.loss.smoothed(settings.label_smoothing)(outputs, labels)
    return loss if data.teacher is None else data.teacher.loss(loss, outputs, images)


def _check_finite(state: State) -> None:
    for name, tensor in state.model.state_dict().items():
        if not tensor.isfinite().all():
            raise Diverged(f"{name} became NaN or infinite in epoch {state.epoch + 1}; choose a lower lr")


def _check_learning(losses: Sequence[float], guess: float | None, state: State) -> None:
    """Raise Diverged if training began far below the loss of guessing and ended up there.

    Under a quantizer, too high a rate does not lead to NaN, as fake-quantized values saturate.
    """
    if guess is None or len(losses) < _FEWEST:
        return
    end = losses[-round(_LAST * len(losses)) :]
    reached = sum(end) / len(end)
    if losses[0] < _GOOD * guess and reached > _BAD * guess:
        raise Diverged(
            f"the loss rose from {losses[0]:.2f} to {reached:.2f} in epoch {state.epoch + 1}, where a guess "
            f"has {guess:.2f}; choose a lower lr"
        )
