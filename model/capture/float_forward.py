"""Forward pass of a float network in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatConvTranspose2d,
    FloatDense,
    FloatInterpolate2d,
    FloatIntervalPool2d,
    FloatLookup,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatProduct,
    FloatUpsample2d,
    Front,
)
from bitlathe.model.graph.arrays import only
from bitlathe.model.graph.graph import dead_after
from bitlathe.model.graph.nodes import Pair, Windows
from bitlathe.model.graph.resampling import ConvTranspose2d


def logits(network: FloatNetwork, x: Tensor) -> Tensor:
    """The one output, logits (N, classes), of images (N, C, H, W), x = (pixel - 128) / 128."""
    return only(flat_outputs(network, x))


def flat_outputs(network: FloatNetwork, x: Tensor) -> list[Tensor]:
    """Every output, (N, values), of images (N, C, H, W)."""
    tensors = [output.tensor for output in network.outputs]
    made = {node.name: values.flatten(1) for node, values in forward(network, x) if node.name in tensors}
    return [made[tensor] for tensor in tensors]


def forward(network: FloatNetwork, x: Tensor) -> Iterator[tuple[FloatNode, Tensor]]:
    """Each node with its output (N, C, H, W), in order; a tensor is freed after its last reader."""
    tensors: dict[str, Tensor] = {}
    dead = dead_after(network.nodes)
    for node in network.nodes:
        sources = [tensors[name] for name in node.sources] or [normalized(network.front, x)]
        tensors[node.name] = output_of(node, sources)
        yield node, tensors[node.name]
        for name in dead.get(node.name, ()):
            del tensors[name]


def normalized(front: Front | None, x: Tensor) -> Tensor:
    """Images after the network's own normalisation."""
    if front is None:
        return x
    scale, offset = (
        torch.from_numpy(a.astype(np.float32)).view(-1, 1, 1) for a in (front.scale, front.offset)
    )
    return x * scale + offset


def output_of(node: FloatNode, sources: list[Tensor]) -> Tensor:
    """Output of one node for its sources (N, C, H, W)."""
    if isinstance(node, (FloatConv2d, FloatDense)):
        return torch.clamp(preactivation(node, sources), node.low, node.high)
    if isinstance(node, FloatMaxPool2d):
        x, padding = surrounded(sources[0], node.windows, -inf)
        return functional.max_pool2d(x, node.kernel_size, node.stride, padding, node.dilation)
    if isinstance(node, FloatConvTranspose2d):
        return torch.clamp(_transposed(node, sources[0]), node.low, node.high)
    if isinstance(node, FloatProduct):
        return torch.clamp(sources[0] * sources[1], node.low, node.high)
    if isinstance(node, FloatLookup):
        return node.function.apply(sources[0])
    if isinstance(node, RESAMPLING):
        return resampled(node, sources[0])
    if isinstance(node, FloatAvgPool2d):
        return functional.avg_pool2d(sources[0], node.kernel_size, node.stride, node.padding)
    if isinstance(node, FloatConcat):
        return torch.cat(sources, dim=1)
    return sources[0]


def preactivation(node: FloatConv2d | FloatDense, sources: list[Tensor]) -> Tensor:
    """bias + sum(x * w) + residual, before the clamp, (N, C, H, W)."""
    total = _linear_part(node, sources[0])
    return total + sources[1] if len(sources) > 1 else total


def _linear_part(node: FloatConv2d | FloatDense, x: Tensor) -> Tensor:
    weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias.astype(np.float32))
    if isinstance(node, FloatDense):
        return functional.linear(x.flatten(1), weight, bias)[:, :, None, None]
    x, padding = surrounded(x, node.windows, 0.0)
    return functional.conv2d(x, weight, bias, node.stride, padding, node.dilation, node.groups)


def surrounded(x: Tensor, windows: Windows, value: float) -> tuple[Tensor, Pair]:
    """Maps (N, C, H, W) with the padding that PyTorch cannot have around them, and the padding it can."""
    (top, left), (bottom, right) = windows.padding, windows.end_padding
    halves = (windows.kernel_size[0] // 2, windows.kernel_size[1] // 2)
    if (top, left) == (bottom, right) and 0 <= top <= halves[0] and 0 <= left <= halves[1]:
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom), value=value), (0, 0)


def _transposed(node: FloatConvTranspose2d, x: Tensor) -> Tensor:
    weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias.astype(np.float32))
    return transposed_convolution(x, weight, bias, node)


def transposed_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, node: FloatConvTranspose2d | ConvTranspose2d
) -> Tensor:
    """Sums of a transposed convolution with weights (out, in / groups, height, width)."""
    kernels = weight.split(len(weight) // node.groups)
    by_input = torch.cat([kernel.transpose(0, 1) for kernel in kernels])  # as PyTorch orders them
    return functional.conv_transpose2d(
        x, by_input, bias, node.stride, node.padding, node.output_padding, node.groups
    )


RESAMPLING = (
    FloatIntervalPool2d,
    FloatInterpolate2d,
    FloatPixelShuffle2d,
    FloatPixelUnshuffle2d,
    FloatUpsample2d,
)


def resampled(node: FloatNode, x: Tensor) -> Tensor:
    """Output of a node of `RESAMPLING` for its source (N, C, H, W)."""
    if isinstance(node, FloatIntervalPool2d):
        return _pooled(node, x)
    if isinstance(node, FloatPixelShuffle2d):
        return functional.pixel_shuffle(x, node.factor)
    if isinstance(node, FloatPixelUnshuffle2d):
        return functional.pixel_unshuffle(x, node.factor)
    if isinstance(node, FloatUpsample2d):
        return x.repeat_interleave(node.factors[0], 2).repeat_interleave(node.factors[1], 3)
    assert isinstance(node, FloatInterpolate2d)
    scale = (float(node.factors[0]), float(node.factors[1]))
    return functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=node.align_corners)


def _pooled(node: FloatIntervalPool2d, x: Tensor) -> Tensor:
    """Rows first, then columns; an average divides at the end."""
    for axis, intervals in ((2, node.rows), (3, node.columns)):
        taken = [x.narrow(axis, each.first, each.end - each.first) for each in intervals]
        x = torch.stack([part.amax(axis) if node.is_max else part.sum(axis) for part in taken], axis)
    if node.is_max:
        return x
    rows, columns = (
        torch.tensor([each.counted for each in intervals], dtype=x.dtype, device=x.device)
        for intervals in (node.rows, node.columns)
    )
    return x / (rows[:, None] * columns)
