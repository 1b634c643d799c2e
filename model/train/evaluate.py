"""Accuracy and loss of a network on held-out images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from bitlathe.model.data import Images, Labels, to_input
from bitlathe.model.graph.errors import DataError
from bitlathe.model.zoo.modes import evaluating
from bitlathe.model.zoo.outputs import class_scores, tensors_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Result over a set of images."""

    accuracy: float  # share of correct first choices, 0..1
    loss: float  # mean cross-entropy, nats
    count: int  # images


def evaluate(model: nn.Module, images: Images, labels: Labels, batch: int = 100) -> Metrics:
    """Run `model` in float32 over byte images (N, H, W, C) and compare with labels (N,)."""
    if not len(labels) or len(images) != len(labels):
        raise DataError(
            f"evaluate: {len(images)} images and {len(labels)} labels; give as many labels as images"
        )
    logits, targets = predict(model, images, batch), torch.from_numpy(labels)
    return Metrics(
        accuracy=float((logits.argmax(1) == targets).double().mean()),
        loss=float(functional.cross_entropy(logits, targets)),
        count=len(labels),
    )


def predict(model: nn.Module, images: Images, batch: int = 100) -> torch.Tensor:
    """Logits (N, classes) float32 of byte images (N, H, W, C), as `class_scores`; `model` keeps its mode."""
    return class_scores(predict_outputs(model, images, batch))


@torch.no_grad()
def predict_outputs(model: nn.Module, images: Images, batch: int = 100) -> tuple[torch.Tensor, ...]:
    """Every output, (N, K) or (N, K, H, W) float32, of byte images (N, H, W, C); `model` keeps its mode."""
    with evaluating(model):
        parts = [tensors_of(model(to_input(images[i : i + batch]))) for i in range(0, len(images), batch)]
    return tuple(torch.cat(part).float() for part in zip(*parts, strict=True))
