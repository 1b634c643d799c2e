"""CIFAR ResNets of random weights, for benchmarks and long runs that need the shape but no training."""

import numpy as np

from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.proof import check
from bitlathe.rtl_tb.random_networks.layers import Sketch

IMAGE = FixedPoint(bits=8, frac=7)


def random_resnet(
    rng: np.random.Generator,
    *,
    blocks: int,
    channels: tuple[int, ...] = (16, 32, 64),
    inner: tuple[int, ...] | None = None,
    bits: int = 8,
    classes: int = 10,
) -> Graph:
    """ResNet of depth 6 * `blocks` + 2 for 3x32x32 images, of `blocks` in each stage of `channels`.

    Weights and activations have `bits`, the image 8. A block has `inner` channels between its convolutions.
    Shapes of He et al. 2016, arXiv:1512.03385, section 4.2, with 1x1 convolutions where shapes change.
    """
    sketch = Sketch(rng=rng, widths=(bits,))
    head = sketch.convolution(
        sketch.input(IMAGE, (3, 32, 32)), channels[0], (3, 3), (1, 1), (1, 1), relu=True
    )
    for stage, (width, between) in enumerate(zip(channels, inner or channels, strict=True)):
        for block in range(blocks):
            head = _block(sketch, head, width, between, stride=2 if stage > 0 and block == 0 else 1)
    size = sketch.shape(head)[1:]
    head = sketch.dense(sketch.average_pool(head, size, size, (0, 0)), classes, relu=False)
    graph = Graph(name=f"random_resnet{6 * blocks + 2}", nodes=tuple(sketch.nodes), output=head)
    check(graph)
    return graph


def _block(sketch: Sketch, head: str, width: int, between: int, *, stride: int) -> str:
    step = (stride, stride)
    shortcut = head
    if sketch.shape(head)[0] != width or stride > 1:
        shortcut = sketch.convolution(head, width, (1, 1), step, (0, 0), relu=False)
    inner = sketch.convolution(head, between, (3, 3), step, (1, 1), relu=True)
    return sketch.convolution(inner, width, (3, 3), (1, 1), (1, 1), residual=shortcut, relu=True)
