"""Codewords under a quantized view: a live module's weights tied, saved, and written back into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import weight_limit
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.config import Objective, ProductConfig
from bitlathe.model.product.importance import mean_squares
from bitlathe.model.product.make_tie import make_tie
from bitlathe.model.product.plan import plan
from bitlathe.model.product.share import with_codebooks
from bitlathe.model.product.tie import Tie
from bitlathe.model.product.vectors import Layout
from bitlathe.model.quantize.float_network import FloatConv2d, FloatDense, Origin
from bitlathe.model.quantize.formula import Evaluation, Formula
from bitlathe.model.quantize.quantizer import QuantizedNetwork
from bitlathe.model.quantize.view import QuantizedView

Assignments = Mapping[str, Tensor]  # `layer.field` of each tied layer, to be saved
_CLOSE = 1e-5  # relative; a weight that was divided by its fold's scale and multiplied again


class TiedWeight(Formula):
    """A layer's folded weight, tied to codewords, as a formula of the free one."""

    def __init__(self, free: Formula, tie: Tie) -> None:
        self.free, self.tie = free, tie
        self.value = tie(free.value.detach())

    @property
    def operands(self) -> tuple[Formula, ...]:
        """The free weight."""
        return (self.free,)

    def compute(self, at: Evaluation) -> Tensor:
        """The tied weight at a state."""
        tied: Tensor = self.tie(at(self.free))
        return tied


def share_view(view: QuantizedView, config: ProductConfig, images: Tensor | None = None) -> QuantizedView:
    """A view of the same module whose layers share codewords; it trains as any view.

    The thresholds of tied weights no longer learn: codewords are at their binary points. `images` as `share`
    takes them. Errors: those of `plan`, `cluster` and `QuantizedView.network`.
    """
    quantized = view.network()
    codes, squares = plan(quantized.graph, config), {}
    if config.objective is Objective.OUTPUTS:
        assert images is not None
        squares = mean_squares(quantized.trainable(), images)
    ties = {}
    for node in _layers(quantized.graph):
        if node.name in codes:
            layer = quantized.network.by_name[node.name]
            assert isinstance(layer, (FloatConv2d, FloatDense))
            weight, square = torch.from_numpy(layer.weight), squares.get(node.name)
            ties[node.name] = make_tie(node, weight, codes[node.name], config, square)
    return _tied(view, ties)


def assignments(view: QuantizedView) -> dict[str, Tensor]:
    """Which codeword each vector of a tied view takes; with the module it makes the same view again."""
    saved = {}
    for name, tied in tied_weights(view).items():
        tie = tied.tie
        saved[f"{name}.members"], saved[f"{name}.importance"] = tie.members, tie.importance
        saved[f"{name}.shape"] = torch.tensor([tie.layout.length, tie.codewords, int(tie.zero)])
    return saved


def share_again(view: QuantizedView, saved: Assignments) -> QuantizedView:
    """The tied view that `assignments` were taken of; layers that changed their size since are left free."""
    ties = {}
    for node in _layers(view.network().graph):
        if f"{node.name}.members" in saved:
            length, codewords, zero = saved[f"{node.name}.shape"].tolist()
            layout = Layout(shape=node.weight.shape, length=length)
            if layout.vectors == len(saved[f"{node.name}.members"]):
                ties[node.name] = Tie(
                    layout,
                    saved[f"{node.name}.members"],
                    codewords,
                    fracs=node.weight_frac,
                    importance=saved[f"{node.name}.importance"],
                    zero=bool(zero),
                    limit=weight_limit(node.weight_bits),
                )
    return _tied(view, ties)


def tied_weights(view: QuantizedView) -> dict[str, TiedWeight]:
    """Formulas of the tied layers, by name."""
    nodes = view.frame.placed.network.nodes
    layers = (node for node in nodes if isinstance(node, (FloatConv2d, FloatDense)))
    formulas = {node.name: node.origin.weight for node in layers}
    return {name: formula for name, formula in formulas.items() if isinstance(formula, TiedWeight)}


def reassigned(view: QuantizedView) -> QuantizedView:
    """A view whose vectors take the codewords that are nearest to the free weights now."""
    at = view.evaluation(torch.float64)
    with torch.no_grad():
        for tied in tied_weights(view).values():
            tied.tie.refresh(at(tied.free))
    return QuantizedView(view.model, view.frame, view.learned)


def network_of(view: QuantizedView) -> QuantizedNetwork:
    """The integer network of a tied view, with its codebooks; errors: those of `QuantizedView.network`."""
    at, quantized = view.evaluation(torch.float64), view.network()
    with torch.no_grad():
        codebooks = {name: tied.tie.codebook(at(tied.free)) for name, tied in tied_weights(view).items()}
    return replace(quantized, graph=with_codebooks(quantized.graph, codebooks))


def write_back(view: QuantizedView) -> None:
    """Give the live module the weights that codebooks decode to, so that it computes the same untied.

    Raises UnsupportedLayer, naming the layer, where its weight is no multiple of a parameter's, or of one
    that another layer wants other values of.
    """
    graph, at = network_of(view).graph, view.evaluation(torch.float64)
    wanted: dict[str, tuple[Formula, Tensor]] = {}
    for name, tied in tied_weights(view).items():
        node = graph.by_name[name]
        assert isinstance(node, (Conv2d, Dense))
        scale = np.ldexp(1.0, -np.array(node.weight_frac)).reshape(-1, *[1] * (node.weight.ndim - 1))
        wanted[name] = tied.free, torch.from_numpy(node.weight * scale)
    for name, (free, values) in wanted.items():
        _write(name, free, values, at)
    for name, (free, values) in wanted.items():  # after all, for layers may share a parameter
        _check_written(name, free, values, at)


def _write(name: str, free: Formula, wanted: Tensor, at: Evaluation) -> None:
    """Set the parameter behind a formula that multiplies it, entry by entry, so that it gives `wanted`."""
    sources = [at.state[source] for source in dict.fromkeys(free.names())]
    parameter = next((s for s in sources if s.requires_grad and s.numel() == wanted.numel()), None)
    if parameter is None:
        raise UnsupportedLayer(f"{name}: no parameter is its weight; tie it only where one is")
    fresh = replace(at, done={})
    with torch.enable_grad():
        (factor,) = torch.autograd.grad(fresh(free).sum(), parameter)
    with torch.no_grad():
        target = wanted.view_as(parameter)
        parameter.copy_(torch.where(factor == 0, 0.0, target / factor.double()))


def _check_written(name: str, free: Formula, wanted: Tensor, at: Evaluation) -> None:
    with torch.no_grad():
        made = replace(at, done={})(free).view_as(wanted)
    if not torch.allclose(made, wanted, rtol=_CLOSE, atol=_CLOSE * float(wanted.abs().max())):
        raise UnsupportedLayer(
            f"{name}: its weight is no multiple of a parameter of its own, or a batch norm's scale is 0; "
            "remove such channels, and untie layers that share weights, first"
        )


def _tied(view: QuantizedView, ties: Mapping[str, Tie]) -> QuantizedView:
    frame = view.frame
    for name in ties:
        view.learned.of_layer(name).requires_grad_(False)
    network = frame.placed.network
    nodes = tuple(_with_tie(node, ties[node.name]) if node.name in ties else node for node in network.nodes)
    placed = replace(frame.placed, network=replace(network, nodes=nodes))
    return QuantizedView(view.model, replace(frame, placed=placed), view.learned)


def _with_tie(node: object, tie: Tie) -> FloatConv2d | FloatDense:
    assert isinstance(node, (FloatConv2d, FloatDense))
    free = node.origin.weight
    free = free.free if isinstance(free, TiedWeight) else free
    return replace(node, captured=Origin(weight=TiedWeight(free, tie), bias=node.origin.bias))


def _layers(graph: Graph) -> list[Conv2d | Dense]:
    return [node for node in graph.nodes if isinstance(node, Conv2d | Dense)]
