"""Tie the weights of a quantized view to codewords, and train, save and lower them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from bitlathe.model.capture.float_network import FloatConv2d, FloatDense, Origin
from bitlathe.model.capture.formula import Evaluation, Formula
from bitlathe.model.data import Images, to_input
from bitlathe.model.graph.fixed_point import weight_limit
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig
from bitlathe.model.product.importance import mean_squares
from bitlathe.model.product.make_tie import make_tie
from bitlathe.model.product.plan import plan
from bitlathe.model.product.tie import Tie
from bitlathe.model.product.vectors import WeightVectors
from bitlathe.model.qat.view import QuantizedView
from bitlathe.model.quantize.quantizer import QuantizedNetwork

Assignments = Mapping[str, Tensor]  # tensors of each tied layer by `layer.field`, to be saved
_MEASURED = 256  # images to find which weights matter, for Objective.OUTPUTS


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
        return self.tie(at(self.free))


def share(
    view: QuantizedView, config: ProductConfig, images: Images, saved: Assignments | None = None
) -> QuantizedView:
    """A view of the same module with layers that share codewords; it trains like any view.

    A layer takes its codewords' members from `saved` if they fit and is clustered otherwise; `images` are
    byte images (N, H, W, C) of the training split, for Objective.OUTPUTS. The thresholds of tied weights stay
    fixed, as codewords use their binary points. Errors: those of `plan`, `cluster` and
    `QuantizedView.network`.
    """
    quantized = view.network()
    codes = plan(quantized.graph, config)
    layers = [
        node for node in quantized.graph.nodes if isinstance(node, Conv2d | Dense) and node.name in codes
    ]
    ties = {node.name: tie for node in layers if (tie := _saved_tie(node, codes[node.name], saved or {}))}
    fresh, squares = [node for node in layers if node.name not in ties], {}
    if fresh and config.objective is Objective.OUTPUTS:
        squares = mean_squares(quantized.module(), to_input(images[:_MEASURED]))
    for node in fresh:
        layer = quantized.network.by_name[node.name]
        assert isinstance(layer, FloatConv2d | FloatDense)
        weight = torch.from_numpy(layer.weight)
        ties[node.name] = make_tie(node, weight, codes[node.name], config, squares.get(node.name))
    return _tied(view, ties)


def assignments(view: QuantizedView) -> dict[str, Tensor]:
    """Which codeword each vector of a tied view takes; with the module, it restores the same view."""
    saved = {}
    for name, tied in tied_weights(view).items():
        tie = tied.tie
        saved[f"{name}.members"], saved[f"{name}.importance"] = tie.members, tie.importance
        saved[f"{name}.shape"] = torch.tensor([tie.layout.length, tie.codewords, int(tie.zero)])
    return saved


def tied_weights(view: QuantizedView) -> dict[str, TiedWeight]:
    """Formulas of the tied layers, by name."""
    nodes = view.frame.placed.network.nodes
    layers = (node for node in nodes if isinstance(node, (FloatConv2d, FloatDense)))
    formulas = {node.name: node.origin.weight for node in layers}
    return {name: formula for name, formula in formulas.items() if isinstance(formula, TiedWeight)}


def network_of(view: QuantizedView) -> QuantizedNetwork:
    """The integer network of a view, with codebooks of its tied layers; errors: those of `view.network`."""
    at, quantized = view.evaluation(torch.float64), view.network()
    with torch.no_grad():
        codebooks = {name: tied.tie.codebook(at(tied.free)) for name, tied in tied_weights(view).items()}
    nodes = (
        replace(node, codebook=codebooks[node.name])
        if isinstance(node, Conv2d | Dense) and node.name in codebooks
        else node
        for node in quantized.graph.nodes
    )
    return replace(quantized, graph=replace(quantized.graph, nodes=tuple(nodes)))


def _saved_tie(node: Conv2d | Dense, codes: LayerCodes, saved: Assignments) -> Tie | None:
    """The saved tie of a layer; None if there is none or it has another size."""
    if f"{node.name}.members" not in saved:
        return None
    members, layout = (
        saved[f"{node.name}.members"],
        WeightVectors(shape=node.weight.shape, length=codes.length),
    )
    length, codewords, zero = saved[f"{node.name}.shape"].tolist()
    if length != codes.length or len(members) != layout.vectors:
        return None
    return Tie(
        layout,
        members,
        codewords,
        fracs=node.weight_frac,
        importance=saved[f"{node.name}.importance"],
        zero=bool(zero),
        limit=weight_limit(node.weight_bits),
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
    return replace(node, captured=Origin(weight=TiedWeight(node.origin.weight, tie), bias=node.origin.bias))
