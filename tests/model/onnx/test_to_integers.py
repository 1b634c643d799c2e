"""What ONNX files are read as is captured whole, with as few nodes as the operators have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import needs
import numpy as np
import pytest
from captured_modules import captured_alike, kinds
from onnx_files import imported, node, weights, write

needs.package("onnx")
needs.package("onnxruntime")

from bitlathe.model.capture.float_network import FloatNetwork

UP = np.array([1, 1, 2, 2], np.float32)
RULE = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def captured(path: Path, rng: np.random.Generator, *nodes: Any, **constants: np.ndarray) -> FloatNetwork:
    """Nodes behind a convolution `c` of 3 to 8 channels, which end in a map `y`."""
    given = {"k": weights(rng, 8, 3, 3, 3), **constants}
    first = node("Conv", "x k", "c", pads=[1, 1, 1, 1])
    return captured_alike(
        imported(write(path / "net.onnx", [first, *nodes], given, outputs={"y": 4})), (3, 8, 8)
    )


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_uneven_padding_is_part_of_the_convolution(
    tmp_path: Path, rng: np.random.Generator, auto: str
) -> None:
    conv = node("Conv", "c l", "y", auto_pad=auto, strides=[2, 2])
    assert kinds(captured(tmp_path, rng, conv, l=weights(rng, 4, 8, 3, 3))) == ["Conv2d", "Conv2d"]


def test_grouped_dilated_and_transposed_convolutions_are_one_node_each(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [
        node("Conv", "c l", "d", group=2, dilations=[2, 1], pads=[2, 1, 2, 1]),
        node("ConvTranspose", "d m", "y", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    ]
    constants = {"l": weights(rng, 6, 4, 3, 3), "m": weights(rng, 6, 5, 3, 3)}
    assert kinds(captured(tmp_path, rng, *nodes, **constants)) == ["Conv2d", "Conv2d", "ConvTranspose2d"]


@pytest.mark.parametrize("operator", ["LeakyRelu", "HardSwish", "Sigmoid", "Tanh", "Elu", "Softplus", "Abs"])
def test_a_function_of_one_value_is_a_table(tmp_path: Path, rng: np.random.Generator, operator: str) -> None:
    nodes = [node(operator, "c", "a"), node("Conv", "a l", "y")]
    made = kinds(captured(tmp_path, rng, *nodes, l=weights(rng, 4, 8, 1, 1)))
    assert made == ["Conv2d", "Lookup", "Conv2d"]


def test_a_composed_function_is_one_table(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        *(node("Div", "c root", "d"), node("Erf", "d", "e"), node("Add", "e one", "a")),
        *(node("Mul", "c a", "m"), node("Mul", "m half", "g"), node("Conv", "g l", "y")),
    ]
    constants = {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
    made = kinds(captured(tmp_path, rng, *nodes, l=weights(rng, 4, 8, 1, 1), **constants))
    assert made == ["Conv2d", "Lookup", "Conv2d"]


def test_channels_weighted_by_a_map_are_a_product(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("GlobalAveragePool", "c", "v"),
        *(node("Conv", "v a", "h"), node("Relu", "h", "r"), node("Conv", "r b", "w")),
        node("HardSigmoid", "w", "s", alpha=1 / 6),
        node("Mul", "c s", "y"),
    ]
    constants = {"a": weights(rng, 2, 8, 1, 1), "b": weights(rng, 8, 2, 1, 1)}
    assert kinds(captured(tmp_path, rng, *nodes, **constants))[-1] == "Product"


MOVES: dict[str, list[Any]] = {
    "resize": [node("Resize", "c - up", "m", **RULE)],
    "space to depth": [node("SpaceToDepth", "c", "d", blocksize=2), node("Slice", "d first eight one", "m")],
    "depth to space": [
        node("Concat", "c c c c", "j", axis=1),
        node("DepthToSpace", "j", "m", blocksize=2, mode="CRD"),
    ],
    "split and concat": [node("Split", "c", "s t", axis=1), node("Concat", "t s", "m", axis=1)],
    "crop": [node("Slice", "c start end axes", "m")],
    "pools": [
        node("MaxPool", "c", "q", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("AveragePool", "q", "m", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    ],
}
PLACES = {
    **{"up": UP, "start": np.array([1, 0]), "end": np.array([8, 6]), "axes": np.array([2, 3])},
    **{"first": np.array([0]), "eight": np.array([8]), "one": np.array([1])},
}


@pytest.mark.parametrize("name", MOVES)
def test_what_moves_data_is_captured(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    nodes = [*MOVES[name], node("Conv", "m l", "y")]
    used = {operand for each in nodes for operand in each.input}
    constants = {key: value for key, value in PLACES.items() if key in used}
    captured(tmp_path, rng, *nodes, l=weights(rng, 4, 8, 1, 1), **constants)


def test_maps_are_subtracted_and_compared(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("Conv", "x l", "d"),
        *(node("Sub", "c d", "s"), node("Max", "s d", "m"), node("Min", "m c", "n")),
        node("Mul", "n s", "y"),
    ]
    captured(tmp_path, rng, *nodes, l=weights(rng, 8, 3, 1, 1))
