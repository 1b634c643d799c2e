"""Nodes that are no more than some of a tensor's channels in some order: a slice, a channel shuffle."""

import numpy as np

from bitlathe.model.graph.graph import Graph, shifts
from bitlathe.model.graph.nodes import Conv2d, MaxPool2d, Node
from bitlathe.model.graph.resampling import PixelShuffle2d, PixelUnshuffle2d, Upsample2d


def channels_of(graph: Graph, node: Node) -> tuple[int, ...] | None:
    """Source channel of each output channel, where a node only selects channels, each once; else None."""
    if isinstance(node, Conv2d):
        return _selected(graph, node)
    if _is_identity(node):
        return tuple(range(graph.shapes[node.name][0]))
    return None


def _is_identity(node: Node) -> bool:
    if isinstance(node, MaxPool2d):
        edges = (*node.padding, *(node.end_padding or node.padding))
        return node.kernel_size == node.stride == (1, 1) and not any(edges)
    if isinstance(node, Upsample2d):
        return node.factors == (1, 1)
    return isinstance(node, PixelShuffle2d | PixelUnshuffle2d) and node.factor == 1


def _selected(graph: Graph, conv: Conv2d) -> tuple[int, ...] | None:
    edges = (*conv.padding, *(conv.end_padding or conv.padding))
    if conv.kernel_size != (1, 1) or conv.stride != (1, 1) or any(edges) or conv.residual is not None:
        return None
    source, inputs = graph.format_of(conv.source), conv.weight.shape[1]
    is_same = conv.lo <= source.lo and source.hi <= conv.hi and conv.format.signed == source.signed
    weight = conv.weight[:, :, 0, 0].astype(np.int64)
    ones = np.left_shift(1, np.array(shifts(graph, conv), np.int64))
    is_one = (weight == ones[:, None]) & ((weight != 0).sum(axis=1) == 1)[:, None]
    if not is_same or conv.bias.any() or not is_one.any(axis=1).all():
        return None
    group = np.arange(conv.out_channels) // (conv.out_channels // conv.groups)
    channels = tuple((group * inputs + is_one.argmax(axis=1)).tolist())
    return channels if len(set(channels)) == len(channels) else None
