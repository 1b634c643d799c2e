"""Losses that a network is trained by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bitlathe.model.data import Labels
from bitlathe.model.graph.errors import DataError, FormatError
from bitlathe.model.zoo.outputs import class_scores

IGNORED = (
    255  # in a map of classes: a pixel that counts neither in losses nor in metrics, as do negative ones
)

LossFunction: TypeAlias = Callable[[Any, Tensor], Tensor]  # of what a module returns, and labels (N, ...)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLoss:
    """A scalar of a batch's outputs and labels (int64 or float32), the smaller the better.

    What a module returns with dimensions of one pixel, (N, K, 1, 1), is given as (N, K).
    """

    name: str  # of LOSSES, or the user's function
    function: LossFunction
    guess: Callable[[Labels], float] | None = None  # its value for outputs that ignore the image

    def __call__(self, outputs: Any, labels: Tensor) -> Tensor:
        """The loss; DataError where it is no scalar with a gradient."""
        loss = self.function(outputs, labels)
        if wrong := _unlike_loss(loss):
            raise DataError(f"loss {self.name}: {wrong}")
        return loss

    def smoothed(self, share: float) -> TaskLoss:
        """The same with a share of the target spread over all classes; FormatError unless it has classes."""
        if not share:
            return self
        if self.function is not cross_entropy:
            raise FormatError(
                f"label_smoothing is {share}, but the loss {self.name} has no classes; leave it out"
            )
        return replace(self, function=partial(cross_entropy, label_smoothing=share))


def cross_entropy(outputs: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean over images, or over the pixels of maps of classes that are not IGNORED; in nats."""
    one = class_scores(outputs)
    if labels.is_floating_point() or (len(one), *one.shape[2:]) != tuple(labels.shape):
        raise DataError(
            f"loss cross_entropy: outputs are {_size(one)}, labels {_size(labels)} {labels.dtype}; it takes "
            "(N, K) and integers (N,), or (N, K, H, W) and integers (N, H, W)"
        )
    if labels.ndim > 1:
        counted = counts(labels, one.shape[1])
        one, labels = one.movedim(1, -1)[counted], labels[counted]
        if not len(labels):
            return one.sum()  # 0, with a gradient of 0
    if labels.max() >= one.shape[1] or labels.min() < 0:
        raise DataError(
            f"loss cross_entropy: labels span {labels.min()}..{labels.max()}, the outputs have classes "
            f"0..{one.shape[1] - 1}"
        )
    return functional.cross_entropy(one, labels, label_smoothing=label_smoothing)


def mse(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error."""
    return functional.mse_loss(*_alike("mse", outputs, labels))


def l1(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean absolute error."""
    return functional.l1_loss(*_alike("l1", outputs, labels))


def bce(outputs: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy of logits and labels from 0 to 1."""
    logits, target = _alike("bce", outputs, labels)
    if target.min() < 0 or target.max() > 1:
        raise DataError(f"loss bce: labels span {target.min():g}..{target.max():g}; it takes 0 to 1")
    return functional.binary_cross_entropy_with_logits(logits, target)


def counts(labels: Any, classes: int) -> Any:
    """Which pixels of maps of classes are not ignored; 255 is a class where there are so many."""
    return labels >= 0 if classes > IGNORED else (labels >= 0) & (labels != IGNORED)


def _uniform(labels: Labels) -> float:
    """Cross entropy of outputs that say the same of every class."""
    seen = labels if labels.ndim == 1 else labels[counts(labels, 1)]
    return math.log(int(seen.max(initial=0)) + 1)


def _spread(labels: Labels) -> float:
    """Mean squared error of outputs that are the labels' mean."""
    return float(np.var(labels, axis=0, dtype=np.float64).mean())


CROSS_ENTROPY = TaskLoss(name="cross_entropy", function=cross_entropy, guess=_uniform)
LOSSES: Mapping[str, TaskLoss] = {
    loss.name: loss
    for loss in (
        CROSS_ENTROPY,
        TaskLoss(name="mse", function=mse, guess=_spread),
        TaskLoss(name="l1", function=l1),
        TaskLoss(name="bce", function=bce),
    )
}


def _unlike_loss(loss: object) -> str | None:
    if not isinstance(loss, Tensor):
        return f"returned {type(loss).__name__}; return a scalar tensor, made of the outputs by PyTorch"
    if loss.shape != () or not loss.is_floating_point():
        return f"returned {loss.dtype} {_size(loss)}; return a scalar, such as the mean over the batch"
    if torch.is_grad_enabled() and not loss.requires_grad:
        return "has no gradient; make it of the outputs without detach, argmax or NumPy"
    return None


def _one(name: str, outputs: Any) -> Tensor:
    if not isinstance(outputs, Tensor):
        raise DataError(f"loss {name}: takes one output; give FILE.py:FUNCTION for a network with several")
    return outputs


def _alike(name: str, outputs: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs, and labels in their shape."""
    one = _one(name, outputs)
    if labels.shape[:1] != one.shape[:1] or labels.numel() != one.numel():
        raise DataError(
            f"loss {name}: outputs are {_size(one)}, labels {_size(labels)}; it takes labels of their shape"
        )
    return one, labels.reshape(one.shape).to(one.dtype)


def _size(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
