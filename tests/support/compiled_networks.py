"""Networks and engines for the compiler's tests, and a way to run one on the other."""

from collections.abc import Callable, Sequence

import numpy as np

from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.functional.run import FunctionalEngine
from bitlathe.hls.target.config import TARGETS, EngineConfiguration
from bitlathe.model.graph.arrays import Outputs, only
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Concat, MaxPool2d
from bitlathe.rtl_tb.random_networks.layers import Sketch
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

IMAGE = FixedPoint(bits=8, frac=7)

ROOMY = (
    EngineConfiguration(),
    EngineConfiguration(pi=16, po=16),
    EngineConfiguration(pi=8, po=16, pp=3, banks=3),
    EngineConfiguration(pi=8, po=16, pp=4, banks=5),
)
TINY = (
    EngineConfiguration(bank_lines=64, weight_lines=200),
    EngineConfiguration(bank_lines=24, weight_lines=90),
    EngineConfiguration(pi=16, po=16, bank_lines=20, weight_lines=80),
    EngineConfiguration(pi=8, po=16, pp=3, banks=3, bank_lines=100, weight_lines=150),
)
PYNQ = TARGETS["pynq-z2"].engine


def computed(compiled: Compiled, codes: IntArray, rng: np.random.Generator | None = None) -> IntArray:
    """Codes of the one output of the functional engine, as `computed_outputs`."""
    return only(computed_outputs(compiled, codes, rng))


def computed_outputs(compiled: Compiled, codes: IntArray, rng: np.random.Generator | None = None) -> Outputs:
    """Output codes of the functional engine; with `rng` its units advance in a random legal order."""
    data = FunctionalEngine.of(compiled).run(compiled.input_layout.pack(codes), rng)
    return tuple(layout.unpack(data) for layout in compiled.output_layouts)


def are_equal(made: Sequence[IntArray], wanted: Sequence[IntArray]) -> bool:
    """Whether all outputs are equal, integer for integer."""
    return len(made) == len(wanted) and all(map(np.array_equal, made, wanted))


def compiled_for(graph: Graph, configuration: EngineConfiguration) -> Compiled:
    """`compile_graph`, under a name that does not hide what is tested."""
    return compile_graph(graph, configuration)


def vgg(rng: np.random.Generator, size: int, width: int) -> Graph:
    """VGG-like chain: pairs of 3x3 convolutions and a 2x2 pool, then a dense layer over the map."""
    sketch = Sketch(rng=rng, widths=(8,))
    head = sketch.input(IMAGE, (3, size, size))
    for factor in (1, 2, 4):
        for _ in range(2):
            head = sketch.convolution(head, width * factor, (3, 3), (1, 1), (1, 1), relu=True)
        head = sketch.max_pool(head, (2, 2), (2, 2), (0, 0))
    return _graph("vgg", sketch, sketch.dense(head, 10, relu=False))


def mobilenet(rng: np.random.Generator, size: int, width: int) -> Graph:
    """MobileNet-like chain of depthwise and 1x1 convolutions, then a global average."""
    sketch = Sketch(rng=rng, widths=(8,))
    head = sketch.convolution(sketch.input(IMAGE, (3, size, size)), width, (3, 3), (2, 2), (1, 1), relu=True)
    for factor, stride in ((2, 1), (4, 2), (4, 1), (8, 2)):
        channels = sketch.shape(head)[0]
        head = sketch.convolution(
            head, channels, (3, 3), (stride, stride), (1, 1), groups=channels, relu=True
        )
        head = sketch.convolution(head, width * factor, (1, 1), (1, 1), (0, 0), relu=True)
    area = sketch.shape(head)[1:]
    head = sketch.average_pool(head, area, area, (0, 0))
    return _graph("mobilenet", sketch, sketch.dense(head, 10, relu=False))


def inception(rng: np.random.Generator, size: int, width: int) -> Graph:
    """Concatenated branches that fill no tile; a tensor in two concatenations, and the input in one."""
    sketch = Sketch(rng=rng, widths=(8,))
    image = sketch.input(IMAGE, (3, size, size))
    narrow = sketch.convolution(image, width, (1, 1), (1, 1), (0, 0), target=IMAGE)
    wide = sketch.convolution(image, width + 3, (5, 3), (1, 1), (2, 1), target=IMAGE)
    pooled = MaxPool2d(
        name="pooled", format=IMAGE, source=wide, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)
    )
    first = Concat(name="first", format=IMAGE, operands=(narrow, wide, image))
    second = Concat(name="second", format=IMAGE, operands=("first", narrow, "pooled", "pooled"))
    nodes = (*sketch.nodes, pooled, first, second)
    return Graph(name="inception", nodes=nodes, output="second")


NETWORKS: dict[str, Callable[[np.random.Generator], Graph]] = {
    "resnet8": lambda rng: random_resnet(rng, blocks=1),
    "resnet20 of odd widths": lambda rng: random_resnet(rng, blocks=3, channels=(13, 27, 37)),
    "vgg": lambda rng: vgg(rng, 32, 16),
    "mobilenet": lambda rng: mobilenet(rng, 32, 16),
    "inception": lambda rng: inception(rng, 12, 5),
}


def _graph(name: str, sketch: Sketch, output: str) -> Graph:
    return Graph(name=name, nodes=tuple(sketch.nodes), output=output)
