"""What a graph refuses when it is made, with the whole message."""

from dataclasses import replace

import numpy as np
import pytest
from small_graphs import BYTE, conv2d, graph_of

from bitlathe.model.graph.errors import BitlatheError, FormatError, ShapeError, UnsupportedLayer
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph, macs, residual_shifts, shifts
from bitlathe.model.graph.nodes import (
    AvgPool2d,
    Concat,
    Dense,
    Input,
    MaxPool2d,
    Node,
    average_multiplier,
    window_size,
)

ONE = np.ones((1, 1, 1, 1), dtype=np.int8)
SHAPE = (1, 4, 4)
COARSE = FixedPoint(bits=8, frac=6)


def max_pool(**changes: object) -> MaxPool2d:
    node = MaxPool2d(name="pool", format=BYTE, source="image", kernel_size=(2, 2), stride=(2, 2))
    return replace(node, **changes)  # type: ignore[arg-type]


def average_pool(**changes: object) -> AvgPool2d:
    node = AvgPool2d(
        name="pool",
        format=BYTE,
        source="image",
        kernel_size=(2, 2),
        stride=(2, 2),
        multiplier=1,
        multiplier_frac=2,
    )
    return replace(node, **changes)  # type: ignore[arg-type]


def dense(weight: np.ndarray) -> Dense:
    channels = weight.shape[0]
    return Dense(
        name="dense",
        format=BYTE,
        source="image",
        weight=weight,
        bias=np.zeros(channels, dtype=np.int32),
        weight_bits=8,
        weight_frac=(7,) * channels,
        lo=-128,
        hi=127,
    )


REFUSED: list[tuple[Node, type[BitlatheError], str]] = [
    (
        conv2d(ONE, source="nowhere"),
        FormatError,
        "small: node conv is a duplicate or reads ['nowhere'] before it is made; order the nodes",
    ),
    (
        conv2d(ONE, name="image"),
        FormatError,
        "small: node image is a duplicate or reads [] before it is made; order the nodes",
    ),
    (
        Input(name="second", format=BYTE, shape=SHAPE),
        FormatError,
        "small: node second at 1: the first node, only, must be the Input",
    ),
    (
        conv2d(ONE[0]),
        ShapeError,
        "conv: weight (1, 1, 1) needs 4 axes, (out, in / groups, height, width)",
    ),
    (
        conv2d(np.ones((1, 2, 1, 1), np.int8)),
        ShapeError,
        "conv: weight (1, 2, 1, 1) with groups 1 does not fit 1 input channels; "
        "groups must divide the input and the output channels",
    ),
    (
        conv2d(np.ones((1, 1, 5, 3), np.int8)),
        ShapeError,
        "conv: a 5x3 window does not fit a 4x4 map; enlarge the input or its padding",
    ),
    (
        conv2d(ONE, stride=(0, 1)),
        ShapeError,
        "conv: kernel (1, 1), stride (0, 1) and dilation (1, 1) must be at least 1",
    ),
    (
        conv2d(ONE, residual="image", stride=(2, 2)),
        ShapeError,
        "conv: residual image is (1, 4, 4), the sum (1, 2, 2); they must be equal",
    ),
    (
        conv2d(ONE, bias=np.zeros(2, np.int32)),
        ShapeError,
        "conv: 1 output channels, but bias (2,) and 1 weight fracs; they must agree",
    ),
    (
        conv2d(ONE, hi=128),
        FormatError,
        "conv: clamp [-128, 128] leaves the output codes of FixedPoint(bits=8, frac=7, signed=True)",
    ),
    (conv2d(ONE.astype(float)), FormatError, "conv: weights are 1 of float64; they must be integers"),
    (conv2d(ONE, weight_bits=17), FormatError, "conv: 17 weight bits; choose 2 to 16"),
    (
        conv2d(np.full((1, 1, 1, 1), -128, np.int8)),
        FormatError,
        "conv: a weight exceeds +-127, the symmetric range of 8 bits",
    ),
    (
        conv2d(ONE, bias=np.array([2**31])),
        FormatError,
        "conv: bias must be integers within int32; lower the weights' frac",
    ),
    (
        conv2d(ONE, bias=np.array([0.5])),
        FormatError,
        "conv: bias must be integers within int32; lower the weights' frac",
    ),
    (
        conv2d(ONE, weight_frac=(-1,)),
        FormatError,
        "conv: output frac 7 exceeds the accumulator's; choose a smaller one",
    ),
    (
        conv2d(ONE, weight_frac=(32,)),
        FormatError,
        "conv: requantize shift 32 exceeds 31; raise the output frac 7",
    ),
    (
        conv2d(ONE, weight_frac=(-1,), format=COARSE, residual="image"),
        FormatError,
        "conv: residual image has more fraction bits than the sum; lower its frac",
    ),
    (
        conv2d(ONE, weight_frac=(32,), format=FixedPoint(bits=8, frac=8), residual="image"),
        FormatError,
        "conv: residual image is shifted by 32, beyond 31; lower the weights' frac",
    ),
    (dense(ONE), ShapeError, "dense: weight (1, 1, 1, 1) needs 2 axes, (out_features, in_features)"),
    (
        dense(np.ones((3, 5), np.int8)),
        ShapeError,
        "dense: weight takes 5 features, image has 16",
    ),
    (
        max_pool(format=COARSE),
        FormatError,
        "pool: MaxPool2d needs one format throughout, got [FixedPoint(bits=8, frac=7, signed=True)] "
        "and FixedPoint(bits=8, frac=6, signed=True)",
    ),
    (
        max_pool(padding=(2, 0)),
        ShapeError,
        "pool: padding (2, 0) must be smaller than the window (2, 2): a maximum needs a code of the map",
    ),
    (
        average_pool(multiplier=128),
        FormatError,
        "pool: multiplier 128 is not a positive 8-bit weight; use average_multiplier",
    ),
    (
        average_pool(multiplier_frac=-1),
        FormatError,
        "pool: output frac 7 exceeds the accumulator's; choose a smaller one",
    ),
    (
        Concat(name="both", format=BYTE, operands=()),
        ShapeError,
        "both: maps of sizes [] cannot be joined; sizes must be equal",
    ),
    (
        Node(name="mystery", format=BYTE),
        UnsupportedLayer,
        "mystery: Node states no output shape; define output_shape",
    ),
]


@pytest.mark.parametrize(
    ("node", "error", "message"), REFUSED, ids=lambda value: getattr(value, "name", None)
)
def test_a_node_that_nothing_can_run_is_refused(node: Node, error: type[BitlatheError], message: str) -> None:
    with pytest.raises(error) as caught:
        graph_of(node, shape=SHAPE)
    assert str(caught.value) == message


def test_a_convolution_of_several_outputs_a_group_is_not_depthwise() -> None:
    grouped, depthwise = (conv2d(np.ones((n, 1, 1, 1), np.int8), groups=2) for n in (4, 2))
    assert graph_of(grouped, shape=(2, 4, 4)).shapes["conv"] == (4, 4, 4)
    assert depthwise.is_depthwise and not grouped.is_depthwise


@pytest.mark.parametrize("shape", [(0, 4, 4), (1, 0, 4), (1, 4, -1)])
def test_an_input_without_elements_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ShapeError) as caught:
        graph_of(max_pool(), shape=shape)
    assert str(caught.value) == f"image: shape {shape} must be (channels, height, width), each at least 1"


def test_an_output_that_no_node_makes_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        Graph(name="small", nodes=(Input(name="image", format=BYTE, shape=SHAPE),), output="logits")
    assert str(caught.value) == "small: output logits is not a node of the graph"


@pytest.mark.parametrize("name", ["", "../../evil", "8bit", "_net", "a b", "net\n", "größe", "resnet-8"])
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    graph = graph_of(max_pool(), shape=SHAPE)
    with pytest.raises(FormatError) as caught:
        replace(graph, name=name)
    assert str(caught.value) == (
        f"a graph is called {name!r}; name it by letters, digits and underscores, a letter first"
    )


def test_shifts_follow_from_the_fracs_of_each_channel() -> None:
    node = conv2d(np.ones((3, 3, 1, 1), np.int8), weight_frac=(7, 9, 12), format=COARSE, residual="image")
    graph = graph_of(node, shape=(3, 4, 4))
    assert shifts(graph, node) == (8, 10, 13)
    assert residual_shifts(graph, node) == (7, 9, 12)


def test_multiply_accumulates_count_every_tap_of_every_output() -> None:
    node = conv2d(np.ones((5, 3, 3, 3), np.int8), padding=(1, 1))
    graph = graph_of(node, shape=(3, 8, 6))
    assert macs(graph, node) == 5 * 3 * 9 * 8 * 6
    assert macs(graph, graph.input) == 0


@pytest.mark.parametrize("area", [*range(1, 130), 144, 196, 256, 400])
def test_the_average_multiplier_is_as_near_as_8_bits_allow(area: int) -> None:
    multiplier, frac = average_multiplier(area)
    error = abs(multiplier * 2.0**-frac * area - 1)
    best = min(abs(m * 2.0**-s * area - 1) for m in range(1, 128) for s in range(24))
    assert error == best
    assert error == 0 or area & (area - 1) != 0


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "expected"),
    [(32, 3, 1, 1, 32), (32, 3, 2, 1, 16), (7, 7, 7, 0, 1), (5, 2, 3, 0, 2)],
)
def test_a_window_takes_as_many_positions_as_in_pytorch(
    size: int, kernel: int, stride: int, padding: int, expected: int
) -> None:
    assert window_size(size, kernel, stride, padding) == expected


def test_consumers_are_the_nodes_that_read_a_tensor() -> None:
    pool, conv = max_pool(), conv2d(ONE, source="pool")
    graph = graph_of(pool, conv, shape=SHAPE)
    assert graph.consumers("image") == (pool,)
    assert graph.consumers("pool") == (conv,)
    assert graph.consumers("conv") == ()
