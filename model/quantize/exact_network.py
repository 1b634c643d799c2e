"""An integer graph in PyTorch floats, equal bit for bit; `view` has the forward pass for training.

Tensors hold values, code * 2**-frac. Scales are powers of two, so a float holds a value exactly where it
holds the code. Each layer computes in float32 if its weights prove that 24 bits hold every partial sum,
else in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bitlathe.model.capture.returned import ReturnedForm
from bitlathe.model.graph.arrays import Outputs, only
from bitlathe.model.graph.bounds import CodeRange, code_ranges
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph, dead_after, outputs_of
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, MaxPool2d, Node
from bitlathe.model.graph.reference import check_input
from bitlathe.model.graph.resampling import ConvTranspose2d, Interpolate2d, IntervalPool2d
from bitlathe.model.quantize.exact_layers import (
    AveragePool,
    Concatenation,
    ExactProducts,
    Interpolation,
    IntervalPool,
    MapProduct,
    MaximumPool,
    Movement,
    Table,
)
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.model.quantize.resampled import MovingNode


class ExactNetwork(nn.Module):
    """An integer graph as a PyTorch module.

    It takes what the float model takes, images x = (pixel - 128) / 128; without a `preprocess` it takes
    values of the graph's input. It returns its outputs in the `form` of the float model, else several in a
    tuple. It has nothing to train.
    """

    def __init__(
        self, graph: Graph, preprocess: Preprocess | None = None, form: ReturnedForm | None = None
    ) -> None:
        super().__init__()
        ranges = code_ranges(graph)
        self.nodes, self.title, self.output = graph.nodes, graph.name, graph.output
        self.form = form or ReturnedForm.of([graph.shapes[output.tensor] for output in graph.outputs])
        self.pixels = None if preprocess is None else Pixels(preprocess, graph.input.format)
        self.layers = nn.ModuleList(_layer(graph, node, ranges) for node in graph.nodes)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Any:
        """Values of the outputs, as the float model returns them, for images (N, C, H, W)."""
        return self.form.returned([values for _, values in self._outputs(self.input_values(x))])

    def input_values(self, x: Tensor) -> Tensor:
        """Values of the graph's input for images."""
        return x if self.pixels is None else self.pixels(x)

    def tensors(self, values: Tensor) -> Iterator[tuple[Node, Tensor]]:
        """Each node with its output (N, C, H, W) for values of the input; freed after the last reader."""
        live: dict[str, Tensor] = {}
        dead = dead_after(self.nodes)
        for node, layer in zip(self.nodes, self.layers, strict=True):
            sources = [live[name] for name in node.sources] or [values]
            live[node.name] = layer(*sources)
            yield node, live[node.name]
            for name in dead.get(node.name, ()):
                del live[name]

    @torch.no_grad()
    def codes(self, codes: IntArray) -> npt.NDArray[np.int32]:
        """Output codes (N, C, H, W) of input codes (N, C, H, W), as `reference.evaluate` computes them."""
        return only(self.output_codes(codes))

    @torch.no_grad()
    def output_codes(self, codes: IntArray) -> Outputs:
        """Codes (N, C, H, W) of every output, as `reference.evaluate_outputs` computes them."""
        check_input(Graph(name=self.title, nodes=self.nodes, output=self.output), codes)
        values = torch.from_numpy(np.ldexp(codes.astype(np.float32), -self.nodes[0].format.frac))
        values = values.to(next(self.buffers(), values).device)
        return tuple(
            np.ldexp(result.double().cpu().numpy(), node.format.frac).astype(np.int32)
            for node, result in self._outputs(values)
        )

    def _outputs(self, values: Tensor) -> list[tuple[Node, Tensor]]:
        """The node of every output and its values (N, C, H, W)."""
        tensors = [output.tensor for output in outputs_of(self.output)]
        made = {node.name: (node, tensor) for node, tensor in self.tensors(values) if node.name in tensors}
        return [made[tensor] for tensor in tensors]


class Pixels(nn.Module):
    """Images x = (pixel - 128) / 128 as values of the graph's input, by the host's table."""

    values: Tensor  # (256, C)

    def __init__(self, preprocess: Preprocess, form: FixedPoint) -> None:
        super().__init__()
        values = torch.from_numpy(preprocess.table.astype(np.float32)) * form.scale
        self.register_buffer("values", values, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Values (N, C, H, W)."""
        pixels = (x * 128 + 128).round().clamp(0, 255).long()
        return torch.stack([self.values[pixels[:, c], c] for c in range(self.values.shape[1])], dim=1)


def _layer(graph: Graph, node: Node, ranges: dict[str, CodeRange]) -> nn.Module:
    if isinstance(node, Conv2d | Dense | ConvTranspose2d):
        return ExactProducts(graph, node, ranges)
    if isinstance(node, AvgPool2d):
        return AveragePool(node, ranges[node.source])
    if isinstance(node, MaxPool2d):
        return MaximumPool(node)
    if isinstance(node, IntervalPool2d):
        return IntervalPool(node, ranges[node.source])
    if isinstance(node, Interpolate2d):
        return Interpolation(node, ranges[node.source])
    if isinstance(node, MovingNode):
        return Movement(node)
    if isinstance(node, Product):
        return MapProduct(graph, node, ranges)
    if isinstance(node, Lookup):
        return Table(node, graph.format_of(node.source))
    return Concatenation() if isinstance(node, Concat) else nn.Identity()
