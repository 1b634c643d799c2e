"""How much an error of each vector counts."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.config import Objective
from bitlathe.model.product.vectors import WeightVectors
from bitlathe.model.quantize.exact_network import ExactNetwork


def importance(
    node: Conv2d | Dense, layout: WeightVectors, objective: Objective, squares: Tensor | None
) -> Tensor:
    """Factor (vectors,) of each vector's squared error in codes, of mean 1.

    `squares` are the mean squares (in_channels,), or (in_features,), of the weights' inputs, which
    Objective.OUTPUTS needs: the diagonal of their covariance, as in Stock et al. 2020, arXiv:1907.05686.
    """
    factor = torch.ones(layout.vectors)
    if objective is not Objective.CODES:
        factor *= layout.scales(node.weight_frac, -2)
    if objective is Objective.OUTPUTS:
        assert squares is not None
        groups = node.groups if isinstance(node, Conv2d) else 1
        read = squares.view(groups, -1).repeat_interleave(layout.shape[0] // groups, dim=0)
        shaped = read.view(*read.shape, *[1] * (len(layout.shape) - 2)).expand(layout.shape)
        factor *= layout.split(shaped).sum(dim=1) / layout.present().sum(dim=1)
    mean = factor.mean()
    return factor / mean if mean > 0 else torch.ones(layout.vectors)


@torch.no_grad()
def mean_squares(module: ExactNetwork, images: Tensor) -> dict[str, Tensor]:
    """Mean square of each input channel of a convolution or input feature of a dense layer, by node."""
    sources = {node.source: node for node in module.nodes if isinstance(node, Conv2d | Dense)}
    wanted = [(node.name, node.source, node) for node in module.nodes if isinstance(node, Conv2d | Dense)]
    found: dict[str, Tensor] = {}
    for made, tensor in module.tensors(module.input_values(images)):
        if made.name in sources:
            found |= {name: _squares(tensor, node) for name, source, node in wanted if source == made.name}
    return found


def _squares(tensor: Tensor, node: Conv2d | Dense) -> Tensor:
    squares = tensor.float().square()
    if isinstance(node, Dense):
        return squares.mean(dim=0).reshape(prod(tensor.shape[1:]))
    return squares.mean(dim=(0, 2, 3))
