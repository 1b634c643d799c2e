"""Forward pass of a float network in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatDense,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    Front,
)
from bitlathe.model.graph.arrays import only
from bitlathe.model.graph.graph import dead_after


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
        return functional.max_pool2d(sources[0], node.kernel_size, node.stride, node.padding)
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
    return functional.conv2d(x, weight, bias, node.stride, node.padding, groups=node.groups)
