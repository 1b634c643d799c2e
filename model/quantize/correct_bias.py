"""Bias correction: subtract each channel's mean quantization error over calibration images from its bias.

Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2 (with measured instead of assumed activations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import inf

import torch
from torch import Tensor, nn

from bitlathe.model.capture.float_forward import normalized, output_of
from bitlathe.model.capture.float_network import FloatConv2d, FloatNetwork, FloatNode
from bitlathe.model.graph.graph import dead_after
from bitlathe.model.quantize.calibrate import BATCH
from bitlathe.model.quantize.exact_layers import ExactProducts
from bitlathe.model.quantize.exact_network import ExactNetwork
from bitlathe.model.quantize.weight_formats import WeightedNode

TensorsFunction = Callable[[list[Tensor]], Tensor]


@torch.no_grad()
def correct_bias(network: FloatNetwork, module: ExactNetwork, images: Tensor) -> FloatNetwork:
    """`network` with biases that compensate `module`'s mean error before each clamp, layer by layer.

    Images are (N, C, H, W), x = (pixel - 128) / 128. A layer is corrected on what corrected layers feed it,
    so errors do not add up. `module`, made from `network`, gets the new biases too.
    """
    exact = {network.input.name: normalized(network.front, images)}
    quantized = {network.input.name: module.input_values(images)}
    dead, nodes = dead_after(network.nodes), list(network.nodes)
    for position, (node, layer) in enumerate(zip(network.nodes, module.layers, strict=True)):
        if position == 0:
            continue
        ideal, real = [exact[name] for name in node.sources], [quantized[name] for name in node.sources]
        if isinstance(layer, ExactProducts) and not _is_selection(node):
            assert isinstance(node, WeightedNode)
            nodes[position], *made = _corrected(node, layer, ideal, real)
            exact[node.name], quantized[node.name] = made
        else:
            exact[node.name] = _batched(partial(output_of, node), ideal)
            quantized[node.name] = _batched(partial(_apply, layer), real)
        for name in dead.get(node.name, ()):
            del exact[name], quantized[name]
    return replace(network, nodes=tuple(nodes))


def _is_selection(node: FloatNode) -> bool:
    """Whether a layer copies codes, which a bias would corrupt."""
    return isinstance(node, FloatConv2d) and node.is_selection


def _apply(layer: nn.Module, sources: list[Tensor]) -> Tensor:
    result: Tensor = layer(*sources)
    return result


def _corrected(
    node: WeightedNode, layer: ExactProducts, ideal: list[Tensor], real: list[Tensor]
) -> tuple[WeightedNode, Tensor, Tensor]:
    """The layer with a better bias, which `layer` gets too, and its ideal and real output."""
    wanted = _batched(partial(output_of, replace(node, low=-inf, high=inf)), ideal)
    sums = _batched(lambda sources: layer.accumulate(*sources), real)
    error = _channel_means(wanted) - _channel_means(sums)
    better = replace(node, bias=node.bias + error.numpy(), captured=None)
    step = layer.set_bias(torch.from_numpy(better.bias))
    return better, wanted.clamp_(node.low, node.high), _batched(partial(_moved, layer, step), [sums])


def _moved(layer: ExactProducts, step: Tensor, sources: list[Tensor]) -> Tensor:
    """Output of a layer whose accumulator its new bias moves by `step` (C,)."""
    return layer.requantized(sources[0].double() + step.view(-1, 1, 1))


def _channel_means(values: Tensor) -> Tensor:
    """Mean of each channel (C,) float64 of a tensor (N, C, H, W), summed batch by batch."""
    total = torch.stack([batch.sum((0, 2, 3), dtype=torch.float64) for batch in values.split(BATCH)]).sum(0)
    return total / values[:, 0].numel()


def _batched(function: TensorsFunction, sources: list[Tensor]) -> Tensor:
    return torch.cat([function(batch) for batch in _batches(sources)])


def _batches(sources: list[Tensor]) -> Iterator[list[Tensor]]:
    return (list(batch) for batch in zip(*(source.split(BATCH) for source in sources), strict=True))
