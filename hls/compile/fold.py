"""How narrow layers fill the array: kernel columns folded into channel lanes, 4-bit codes two to a byte.

A folded word holds `fold` neighbouring pixels of a first layer of few channels, so a kernel of kernel_w
columns takes ceil(kernel_w / fold) taps, `fold` columns apart, and the lanes that 1 or 3 channels leave idle
multiply too. The horizontal padding becomes part of the packed map. A dense convolution takes packed codes at
twice the rate.
"""

from dataclasses import replace

import numpy as np

from bitlathe.hls.compile.layout import InputLayout
from bitlathe.hls.datapath import PACKED_BITS
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.aliases import channels_of
from bitlathe.model.graph.elementwise import Lookup
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense, IntWeights, Node


def fold_of(graph: Graph, consumers: tuple[Node, ...], configuration: EngineConfiguration) -> int:
    """Columns that a word of the input holds: more than 1 if its only reader is a convolution that gains."""
    if len(consumers) != 1 or not isinstance(consumers[0], Conv2d | Dense):
        return 1
    conv = graph.convolution(consumers[0])
    is_plain = conv.groups == 1 and conv.dilation[1] == 1 and conv.padding[1] >= 0
    if not is_plain or conv.residual == graph.input.name or channels_of(graph, conv) is not None:
        return 1
    return _fold(graph.input.shape[0], conv.kernel_size[1], configuration)


def _fold(channels: int, kernel_width: int, configuration: EngineConfiguration) -> int:
    fold = min(kernel_width, configuration.pi // channels)
    if fold >= kernel_width:
        return max(fold, 1)
    return max(min(fold, configuration.banks - 1), 1)  # taps are less than `banks` positions apart


def folded_layout(graph: Graph, conv: Conv2d, fold: int, word_bytes: int) -> InputLayout:
    """Layout of the input whose words hold `fold` columns of `conv`'s windows."""
    channels, height, width = graph.input.shape
    taps = -(-conv.kernel_size[1] // fold)
    last_origin = (graph.shapes[conv.name][2] - 1) * conv.stride[1]
    return InputLayout(
        channels=channels,
        height=height,
        width=width,
        packed_width=last_origin + (taps - 1) * fold + 1,
        left_pad=conv.padding[1],
        fold=fold,
        word_bytes=word_bytes,
    )


def folded_convolution(conv: Conv2d, fold: int) -> Conv2d:
    """`conv` over the folded input: lane d * channels + c of tap t is kernel column t * fold + d."""
    edges = conv.padding if conv.end_padding is None else conv.end_padding
    return replace(
        conv,
        weight=_folded_weight(conv.weight, fold),
        padding=(conv.padding[0], 0),
        end_padding=(edges[0], 0),
        codebook=None,
    )


def _folded_weight(weight: IntWeights, fold: int) -> IntWeights:
    out_channels, channels, height, width = weight.shape
    taps = -(-width // fold)
    padded = np.zeros((out_channels, channels, height, taps * fold), weight.dtype)
    padded[..., :width] = weight
    lanes = padded.reshape(out_channels, channels, height, taps, fold).transpose(0, 4, 1, 2, 3)
    return lanes.reshape(out_channels, fold * channels, height, taps)


def packed_tensors(
    graph: Graph, nodes: tuple[Node, ...], configuration: EngineConfiguration
) -> frozenset[str]:
    """Tensors of at most 4 bits whose readers all take them packed; never the graph's ends."""
    if configuration.pp < 2 or configuration.sub_tiles not in (1, 2, 4):
        return frozenset()
    ends = {graph.input.name, *graph.output_tensors}
    packed = {graph.input.name: False}
    for node in nodes[1:]:
        if channels_of(graph, node) is not None:
            packed[node.name] = packed[node.sources[0]]  # the same memory
        else:
            packed[node.name] = _is_packable(graph, node) and _all_take_packed(graph, node.name, ends)
    return frozenset(name for name, is_packed in packed.items() if is_packed)


def _is_packable(graph: Graph, node: Node) -> bool:
    """Whether the layers that make a node can write two codes to a byte."""
    if node.format.bits > PACKED_BITS:
        return False
    if isinstance(node, Lookup):
        node = graph.by_name[node.source]
    if not isinstance(node, Conv2d | Dense | AvgPool2d):
        return False
    conv = graph.convolution(node)
    return conv.groups == 1 or conv.is_depthwise


def _all_take_packed(graph: Graph, tensor: str, ends: set[str]) -> bool:
    readers = [reader for reader in graph.needed if tensor in reader.sources]
    return tensor not in ends and all(_takes_packed(graph, reader, tensor, ends) for reader in readers)


def _takes_packed(graph: Graph, reader: Node, tensor: str, ends: set[str]) -> bool:
    if channels_of(graph, reader) is not None:
        return _all_take_packed(graph, reader.name, ends)
    if not isinstance(reader, Conv2d | Dense):
        return False
    conv = graph.convolution(reader)
    return conv.groups == 1 and (conv.source != tensor or conv.weight_bits <= PACKED_BITS)
