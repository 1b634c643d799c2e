"""Random integer networks, valid by construction: test material for every implementation.

A network grows operation by operation while the codes of a few random images flow through it, so each
requantize shift is chosen from what its accumulators really hold and outputs are neither all zero nor
all saturated. Formats have at most 8 bits; 9 to 16 bits come up too when `wide` is set. Most layers have
codebooks when `product` is set, and most round halves to even when `half_even` is.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode
from bitlathe.model.graph.graph import Graph, Output, with_rounding
from bitlathe.model.graph.nodes import Conv2d, Dense, Node, Pair
from bitlathe.model.graph.proof import check
from bitlathe.rtl_tb.random_networks.draws import one_of
from bitlathe.rtl_tb.random_networks.layers import Sketch
from bitlathe.rtl_tb.random_networks.others import OTHERS

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 10, 13, 16, 16, 24, 27, 32)
KERNELS: tuple[Pair, ...] = ((3, 3), (3, 3), (3, 3), (1, 1), (1, 1), (5, 5), (2, 2), (1, 3), (3, 1), (5, 3))
STRIDES: tuple[Pair, ...] = ((1, 1), (1, 1), (1, 1), (2, 2), (2, 2), (2, 1), (3, 3))

NARROW_WIDTHS = (*range(2, 9), *[8] * 7)  # mostly 8 bits
WIDE_WIDTHS = (*range(2, 17), *[8] * 7)
LIVELY_CODES = 5
MOST_OUTPUTS = 4

SketchStep = Callable[[Sketch, str], str]  # adds nodes that read the named tensor, returns the new head


def random_graph(
    rng: np.random.Generator,
    *,
    budget: int = 200_000,
    wide: bool = False,
    product: bool = False,
    half_even: bool = False,
    several: bool = False,
    others: bool = False,
) -> Graph:
    """Random network that passes the overflow proof; its convolutions take at most `budget` MACs an image.

    A last dense layer of a few hundred MACs may come on top. Over a few images the output takes at least
    LIVELY_CODES values. With `several`, most networks have further outputs: tensors that other nodes read,
    ends of branches, now and then one twice. With `others` every kind of node comes up, and windows of any
    dilation, padding and groups. The same generator state gives the same network.
    """
    while True:
        widths = WIDE_WIDTHS if wide else NARROW_WIDTHS
        sketch = Sketch(rng=rng, widths=widths, budget=budget, product=product)
        head = _grow(sketch, (*OPERATIONS, *OTHERS, *OTHERS) if others else OPERATIONS)
        if np.unique(sketch.samples[head]).size >= LIVELY_CODES:
            break
    output = _outputs(sketch, head) if several else head
    behind = [head] if isinstance(output, str) else [one.tensor for one in output]
    graph = Graph(name="random", nodes=sketch.nodes_behind(*behind), output=output)
    if half_even:  # few sums are halves, so the shifts suit them as before
        even = [node.name for node in graph.nodes if rng.random() < 0.7]
        graph = with_rounding(graph, dict.fromkeys(even, RoundingMode.HALF_EVEN))
    check(graph)
    return graph


def with_zeros(rng: np.random.Generator, graph: Graph) -> Graph:
    """The network with some of the weights of most layers pruned, a share of 30 to 99 % each.

    What shares codewords keeps them; sums only shrink, so the overflow proof still holds.
    """

    def thinned(node: Node) -> Node:
        if not isinstance(node, Conv2d | Dense) or node.codebook is not None or rng.random() < 0.3:
            return node
        kept = rng.random(node.weight.shape) >= rng.uniform(0.3, 0.99)
        return replace(node, weight=node.weight * kept)

    return replace(graph, nodes=tuple(map(thinned, graph.nodes)))


def _outputs(sketch: Sketch, head: str) -> str | tuple[Output, ...]:
    """The head alone, or with some of the other tensors, in any order."""
    rng, inner = sketch.rng, [node.name for node in sketch.nodes[1:]]
    others = [one_of(rng, inner) for _ in range(rng.integers(MOST_OUTPUTS))]
    if not others:
        return head
    tensors = [str(tensor) for tensor in rng.permutation([head, *others])]
    return tuple(Output(name=f"output {place}", tensor=tensor) for place, tensor in enumerate(tensors))


def _grow(sketch: Sketch, operations: Sequence[SketchStep]) -> str:
    """Add random operations; return the output."""
    head = sketch.input(_input_format(sketch), _input_shape(sketch.rng))
    for _ in range(sketch.rng.integers(1, 8)):
        head = one_of(sketch.rng, operations)(sketch, head)
    has_convolution = any(isinstance(node, Conv2d) for node in sketch.nodes)
    return head if has_convolution and sketch.rng.random() < 0.2 else _classifier(sketch, head)


def _input_format(sketch: Sketch) -> FixedPoint:
    if sketch.rng.random() < 0.7:
        return FixedPoint(bits=8, frac=7)
    frac = int(sketch.rng.integers(-3, 13))
    return FixedPoint(bits=sketch.width(), frac=frac, signed=bool(sketch.rng.random() < 0.5))


def _input_shape(rng: np.random.Generator) -> tuple[int, int, int]:
    height = int(rng.integers(5, 21))
    width = height if rng.random() < 0.6 else int(rng.integers(5, 21))
    return one_of(rng, (1, 3, 3, 3, 4, 10)), height, width


def _channels(sketch: Sketch, fan_in: int, size: Pair) -> int:
    """Random number of output channels that spends half of the budget at most; 0 if no window fits."""
    macs_a_channel = fan_in * prod(size) if min(size) > 0 else sketch.budget
    fitting = tuple(c for c in CHANNELS if 2 * c * macs_a_channel <= sketch.budget)
    return one_of(sketch.rng, fitting) if fitting else 0


def _padding(rng: np.random.Generator, kernel: Pair) -> Pair:
    same = kernel[0] // 2, kernel[1] // 2
    return same if rng.random() < 0.7 else (int(rng.integers(same[0] + 1)), int(rng.integers(same[1] + 1)))


def _convolution(
    sketch: Sketch, head: str, *, target: FixedPoint | None = None, keep_size: bool = False
) -> str:
    """Any convolution; one of odd kernel that keeps the size of the map when `keep_size`."""
    rng = sketch.rng
    kernel = one_of(rng, tuple(k for k in KERNELS if not keep_size or k[0] % 2 == k[1] % 2 == 1))
    padding = (kernel[0] // 2, kernel[1] // 2) if keep_size else _padding(rng, kernel)
    stride = (1, 1) if keep_size else one_of(rng, STRIDES)
    size = sketch.window_shape(head, kernel, stride, padding)
    channels = _channels(sketch, sketch.shape(head)[0] * prod(kernel), size)
    if channels == 0:
        return head
    residual = None if target else _skip_from(sketch, (channels, *size))
    return sketch.convolution(head, channels, kernel, stride, padding, residual=residual, target=target)


def _skip_from(sketch: Sketch, shape: tuple[int, ...]) -> str | None:
    """Sometimes an earlier tensor of that shape, to be added."""
    equal = tuple(node.name for node in sketch.nodes if sketch.shape(node.name) == shape)
    return one_of(sketch.rng, equal) if equal and sketch.rng.random() < 0.3 else None


def _residual_block(sketch: Sketch, head: str) -> str:
    """One or two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shapes differ."""
    rng, channels = sketch.rng, sketch.shape(head)[0]
    stride = one_of(rng, ((1, 1), (1, 1), (2, 2)))
    out_channels = channels if stride == (1, 1) and rng.random() < 0.7 else one_of(rng, CHANNELS)
    size = sketch.window_shape(head, (3, 3), stride, (1, 1))
    if (
        9 * out_channels * (channels + out_channels) * prod(size) + channels * out_channels * prod(size)
        > sketch.budget
    ):
        return head
    shortcut = head
    if stride != (1, 1) or out_channels != channels:
        shortcut = sketch.convolution(head, out_channels, (1, 1), stride, (0, 0), relu=False)
    if rng.random() < 0.3:
        return sketch.convolution(head, out_channels, (3, 3), stride, (1, 1), residual=shortcut)
    inner = sketch.convolution(head, out_channels, (3, 3), stride, (1, 1))
    return sketch.convolution(inner, out_channels, (3, 3), (1, 1), (1, 1), residual=shortcut)


def _aligned(sketch: Sketch, head: str) -> str:
    """Two 1x1 convolutions that make the largest sums there are; narrow ones, which engines add together."""
    channels, *size = sketch.shape(head)
    fitting = [c for c in CHANNELS if 2 * c * (channels + c) * prod(size) <= sketch.budget]
    if not fitting:
        return head
    return sketch.aligned_pair(head, fitting[-1], one_of(sketch.rng, fitting), one_of(sketch.rng, (4, 4, 8)))


def _separable(sketch: Sketch, head: str) -> str:
    """Depthwise convolution, then a 1x1 one where the budget allows."""
    rng, channels = sketch.rng, sketch.shape(head)[0]
    kernel, stride = one_of(rng, ((3, 3), (3, 3), (5, 5))), one_of(rng, STRIDES)
    padding = _padding(rng, kernel)
    size = sketch.window_shape(head, kernel, stride, padding)
    if channels == 1 or min(size) < 1 or channels * prod(kernel) * prod(size) > sketch.budget:
        return head
    depthwise = sketch.convolution(head, channels, kernel, stride, padding, groups=channels)
    out_channels = _channels(sketch, channels, size)
    return sketch.convolution(depthwise, out_channels, (1, 1), (1, 1), (0, 0)) if out_channels else depthwise


def _pool(sketch: Sketch, head: str) -> str:
    rng = sketch.rng
    kernel = one_of(rng, ((2, 2), (2, 2), (3, 3), (3, 2)))
    stride = one_of(rng, ((2, 2), (2, 2), (1, 1), kernel))
    padding = (int(rng.integers(kernel[0] // 2 + 1)), int(rng.integers(kernel[1] // 2 + 1)))
    if min(sketch.shape(head)[1:]) < 4:
        return head
    if rng.random() < 0.6:
        return sketch.max_pool(head, kernel, stride, padding)
    return sketch.average_pool(head, kernel, stride, padding)


def _branches(sketch: Sketch, head: str) -> str:
    """Convolutions, a max pool, the tensor itself, some of them, concatenated (GoogLeNet, DenseNet)."""
    rng, shared = sketch.rng, sketch.format(head)
    others = [_convolution(sketch, head, target=shared, keep_size=True) for _ in range(rng.integers(1, 4))]
    if rng.random() < 0.4:
        others.append(sketch.max_pool(head, (3, 3), (1, 1), (1, 1)))
    operands = [name for name in others if name != head]
    if len(operands) < 2 or rng.random() < 0.3:
        operands.insert(0, head)
    return sketch.concat(tuple(operands)) if len(operands) > 1 else head


def _classifier(sketch: Sketch, head: str) -> str:
    """Global average pool or flattening, maybe a hidden layer, then logits."""
    rng, (channels, height, width) = sketch.rng, sketch.shape(head)
    classes = one_of(rng, (2, 3, 5, 10, 10, 10, 13))
    crowded = channels * height * width * classes > sketch.budget
    if height * width > 1 and (crowded or rng.random() < 0.6):
        head = sketch.average_pool(head, (height, width), (height, width), (0, 0))
    hidden = one_of(rng, CHANNELS)
    if rng.random() < 0.2 and prod(sketch.shape(head)) * hidden <= sketch.budget:
        head = sketch.dense(head, hidden, relu=True)
    return sketch.dense(head, classes, relu=False)


OPERATIONS: tuple[SketchStep, ...] = (
    _convolution,
    _convolution,
    _convolution,
    _residual_block,
    _residual_block,
    _separable,
    _aligned,
    _pool,
    _branches,
)
