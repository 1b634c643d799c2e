"""A fake-quantized network whose layers share codewords: made, trained on, and lowered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import Tensor
from torch.nn.utils import parametrize

from bitlathe.model.graph.codebook import Codebook
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig
from bitlathe.model.product.importance import mean_squares
from bitlathe.model.product.make_tie import make_tie
from bitlathe.model.product.plan import plan
from bitlathe.model.product.tie import Tie
from bitlathe.model.quantize.fake_layers import Weighted
from bitlathe.model.quantize.fake_quant import FakeQuantNetwork


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
    codebooks = {layer.node.name: tie.codebook(_free(layer)) for layer, tie in ties(module)}
    return with_codebooks(module.to_graph(), codebooks)


def with_codebooks(graph: Graph, codebooks: Mapping[str, Codebook]) -> Graph:
    """The graph with codebooks by node; FormatError where one does not decode to its node's weights."""
    nodes = (
        replace(node, codebook=codebooks[node.name])
        if isinstance(node, Conv2d | Dense) and node.name in codebooks
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def _tie(layer: Weighted, codes: LayerCodes, config: ProductConfig, squares: Tensor | None) -> None:
    tie = make_tie(layer.node, layer.weight.detach(), codes, config, squares)
    parametrize.register_parametrization(layer, "weight", tie)


def _free(layer: Weighted) -> Tensor:
    original: Tensor = layer.parametrizations["weight"].original  # type: ignore[index, union-attr]
    return original
