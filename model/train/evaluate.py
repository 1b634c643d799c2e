"""Metric and loss of a network on held-out images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree

from bitlathe.model.data import Images, Labels, to_input, to_target
from bitlathe.model.graph.errors import DataError
from bitlathe.model.train.metrics import TOP1, OutputValues, TaskMetric
from bitlathe.model.train.task import CLASSIFICATION, Task
from bitlathe.model.zoo.modes import evaluating
from bitlathe.model.zoo.outputs import float_outputs, tensors_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Result over a set of images."""

    score: float  # by the task's metric
    loss: float  # mean, of cross entropy in nats
    count: int  # images

    @property
    def accuracy(self) -> float:
        """The score of a classifier, the share of correct first choices, 0..1."""
        return self.score


@torch.no_grad()
def evaluate(
    model: nn.Module, images: Images, labels: Labels, batch: int = 100, task: Task = CLASSIFICATION
) -> Metrics:
    """Run `model` in float32 over byte images (N, H, W, C) and compare with labels (N, ...)."""
    outputs = _predicted(model, images, labels, batch)
    return Metrics(
        score=task.metric(values_of(outputs), labels),
        loss=float(task.loss(outputs, to_target(labels))),
        count=len(labels),
    )


def score(
    model: nn.Module, images: Images, labels: Labels, metric: TaskMetric = TOP1, batch: int = 100
) -> float:
    """The metric alone."""
    return metric(values_of(_predicted(model, images, labels, batch)), labels)


@torch.no_grad()
def predict(model: nn.Module, images: Images, batch: int = 100) -> Any:
    """What `model` returns of byte images (N, H, W, C), in float32; `model` keeps its mode.

    Vectors are (N, K), logits (N, classes) among them, maps (N, K, H, W).
    """
    with evaluating(model):
        parts = [float_outputs(model(to_input(images[i : i + batch]))) for i in range(0, len(images), batch)]
    leaves, (structure, *_) = zip(*map(_pytree.tree_flatten, parts), strict=True)
    return _pytree.tree_unflatten([torch.cat(same) for same in zip(*leaves, strict=True)], structure)


def values_of(outputs: Any) -> OutputValues | tuple[OutputValues, ...]:
    """Outputs as arrays, several in a tuple, as metrics take them."""
    found = tuple(tensor.numpy() for tensor in tensors_of(outputs))
    return found[0] if len(found) == 1 else found


def _predicted(model: nn.Module, images: Images, labels: Labels, batch: int) -> Any:
    if not len(labels) or len(images) != len(labels):
        raise DataError(
            f"evaluate: {len(images)} images and {len(labels)} labels; give as many labels as images"
        )
    return predict(model, images, batch)
