"""Make a tie from a layer's weights."""

from __future__ import annotations

import torch
from torch import Tensor

from bitlathe.model.graph.fixed_point import weight_limit
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.cluster import cluster
from bitlathe.model.product.config import LayerCodes, ProductConfig
from bitlathe.model.product.importance import importance
from bitlathe.model.product.tie import Tie
from bitlathe.model.product.vectors import WeightVectors

ZERO_SHARE = 0.1  # share of zero vectors from which they get a codeword


def make_tie(
    node: Conv2d | Dense, weight: Tensor, codes: LayerCodes, config: ProductConfig, squares: Tensor | None
) -> Tie:
    """Cluster a layer's real weights; `squares` as for `importance`. Errors: those of `cluster`."""
    layout = WeightVectors(shape=node.weight.shape, length=codes.length)
    factor = importance(node, layout, config.objective, squares)
    vectors = (layout.split(weight) * layout.scales(node.weight_frac)[:, None]).numpy()
    zero = config.zero
    if zero is None:
        zero = bool((~vectors.any(axis=1)).mean() >= ZERO_SHARE)
    clusters = cluster(
        node.name,
        vectors,
        factor.numpy(),
        codes.codewords,
        zero=zero,
        iterations=config.iterations,
        seed=config.seed,
    )
    return Tie(
        layout,
        torch.from_numpy(clusters.members).long(),
        len(clusters.codewords),
        fracs=node.weight_frac,
        importance=factor,
        zero=zero,
        limit=weight_limit(node.weight_bits),
    )
