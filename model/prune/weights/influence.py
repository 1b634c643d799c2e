"""Influence of single weights on the result: how much the loss would change without them.

Source: "Pruning and quantization-aware training", which prunes weights by their influence and builds on Han
et al. 2015 (magnitude) and LeCun et al. 1990, "Optimal brain damage" (second order).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import torch
from torch import Tensor, nn

from bitlathe.model.graph.errors import DataError
from bitlathe.model.train.batches import Batch
from bitlathe.model.train.losses import CROSS_ENTROPY, TaskLoss
from bitlathe.model.zoo.modes import evaluating
from bitlathe.model.zoo.outputs import float_outputs

_WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


class Influence(Enum):
    """Estimate of a weight's influence on the loss."""

    MAGNITUDE = "magnitude"  # |w|
    TAYLOR = "taylor"  # |w * dL/dw|, the first-order change of the loss, mean over batches
    OBD = "obd"  # h * w**2 / 2 with h the mean of (dL/dw)**2 over batches, the empirical Fisher information


def weight_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Weights of convolutions and dense layers by name, in the order of the modules.

    A weight that several layers share is listed once, as in `named_parameters`; one that a parametrization
    computes is not listed.
    """
    weights = {id(layer.weight) for layer in model.modules() if isinstance(layer, _WEIGHTED)}
    return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in weights}


def influences(
    model: nn.Module,
    kind: Influence,
    batches: Iterable[Batch] = (),
    forward: nn.Module | None = None,
    loss: TaskLoss = CROSS_ENTROPY,
) -> dict[str, Tensor]:
    """Influence of each weight by name, with the weight's shape; never negative, 0 for a weight of 0.

    Gradients are those of the loss of `batches` through `forward`, by default the model, in
    evaluation mode; none are left in the parameters. Raises DataError if a batch is needed and missing.
    """
    weights = weight_parameters(model)
    if kind is Influence.MAGNITUDE:
        return {name: weight.detach().abs() for name, weight in weights.items()}
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    count = 0
    for batch in batches:
        for (name, weight), gradient in zip(
            weights.items(), _gradients(forward or model, weights, batch, loss), strict=True
        ):
            sums[name] += _term(kind, weight.detach(), gradient)
        count += 1
    if count == 0:
        raise DataError(f"influence {kind.value}: needs batches of images; give at least one")
    return {name: total / count for name, total in sums.items()}


def _gradients(
    forward: nn.Module, weights: dict[str, nn.Parameter], batch: Batch, loss: TaskLoss
) -> tuple[Tensor, ...]:
    images, labels = batch
    with evaluating(forward):
        found = loss(float_outputs(forward(images)), labels)
    return torch.autograd.grad(found, list(weights.values()))


def _term(kind: Influence, weight: Tensor, gradient: Tensor) -> Tensor:
    product = weight * gradient
    return product.abs() if kind is Influence.TAYLOR else product.square() / 2
