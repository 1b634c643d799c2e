"""A fake-quantized network whose layers share codewords: made, trained on, and lowered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor
from torch.nn.utils import parametrize

from bitlathe.model.graph.fixed_point import weight_limit
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.cluster import cluster
from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig
from bitlathe.model.product.importance import importance, mean_squares
from bitlathe.model.product.plan import plan
from bitlathe.model.product.tie import Tie
from bitlathe.model.product.vectors import Layout
from bitlathe.model.quantize.fake_layers import Weighted
from bitlathe.model.quantize.fake_quant import FakeQuantNetwork

ZERO_SHARE = 0.1  # of vectors that are zero, from which on a codeword is spent on them


def share(module: FakeQuantNetwork, config: ProductConfig, images: Tensor | None = None) -> tuple[str, ...]:
    """Tie the layers of `module` to codewords, in place; names of those layers.

    `images` (N, C, H, W), which Objective.OUTPUTS needs, are a few hundred of the training split. The module
    trains on as before; `lowered` makes its graph. Errors: those of `plan` and `cluster`.
    """
    graph = Graph(name=module.title, nodes=module.nodes, output=module.output)
    codes = plan(graph, config)
    squares = {}
    if config.objective is Objective.OUTPUTS:
        assert images is not None
        squares = mean_squares(module, images)
    for layer in module.weighted():
        if layer.node.name in codes:
            _tie(layer, codes[layer.node.name], config, squares.get(layer.node.name))
    return tuple(codes)


def ties(module: FakeQuantNetwork) -> Iterator[tuple[Weighted, Tie]]:
    """Layers that are tied to codewords, each with its tie."""
    for layer in module.weighted():
        if parametrize.is_parametrized(layer, "weight"):
            (tie,) = layer.parametrizations["weight"]  # type: ignore[index]
            yield layer, tie


def refresh(module: FakeQuantNetwork) -> int:
    """Assign all free weights to the nearest codewords anew; number of vectors that changed."""
    return sum(tie.refresh(_free(layer)) for layer, tie in ties(module))


def lowered(module: FakeQuantNetwork) -> Graph:
    """Integer graph of the present weights, with the codebooks they are made of."""
    graph = module.to_graph()
    codebooks = {layer.node.name: tie.codebook(_free(layer)) for layer, tie in ties(module)}
    nodes = (
        replace(node, codebook=codebooks[node.name])
        if isinstance(node, Conv2d | Dense) and node.name in codebooks
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def _tie(layer: Weighted, codes: LayerCodes, config: ProductConfig, squares: Tensor | None) -> None:
    node = layer.node
    layout = Layout(shape=node.weight.shape, length=codes.length)
    factor = importance(node, layout, config.objective, squares)
    vectors = (layout.split(layer.weight.detach()) * layout.scales(node.weight_frac)[:, None]).numpy()
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
    tie = Tie(
        layout,
        clusters,
        fracs=node.weight_frac,
        importance=factor,
        zero=zero,
        limit=weight_limit(node.weight_bits),
    )
    parametrize.register_parametrization(layer, "weight", tie)


def _free(layer: Weighted) -> Tensor:
    original: Tensor = layer.parametrizations["weight"].original  # type: ignore[index, union-attr]
    return original
