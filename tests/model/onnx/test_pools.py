"""Pools of ONNX files: however they are padded, they compute what ONNX Runtime computes, or are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import needs
import numpy as np
import pytest
import torch
from compiled_networks import PYNQ, compiled_for, computed
from onnx_files import node, write

needs.package("onnx")
needs.package("onnxruntime")

from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.onnx import OnnxNetwork, compare, import_onnx
from bitlathe.model.quantize.quantizer import quantize

IMAGE = (2, 9, 8)
RELU = node("Relu", "x", "r")
TWO = {"two": np.float32(2)}
LAST = {"last": np.array([2, 3])}


def pooled(path: Path, *nodes: Any, constants: Mapping[str, np.ndarray] | None = None) -> OnnxNetwork:
    """The network of nodes that make `y`, which ONNX Runtime agrees with."""
    file = write(path / "net.onnx", nodes, constants or {}, image=("N", *IMAGE), outputs={"y": 4})
    network = import_onnx(file, IMAGE)
    assert compare(network, file, IMAGE).magnitude > 0
    return network


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [3, 2], "strides": [2, 1], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
    ],
    ids=str,
)
def test_an_uneven_max_pool_behind_a_relu_is_padded_with_zeros(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    pooled(tmp_path, RELU, node("MaxPool", "r", "y", **settings))


def test_padding_that_no_window_reaches_is_dropped(tmp_path: Path) -> None:
    settings = {"kernel_shape": [3, 2], "strides": [3, 2], "pads": [0, 0, 1, 1]}
    for operator in ("MaxPool", "AveragePool"):
        network = pooled(tmp_path, node(operator, "x", "y", **settings))
        assert [step.layer for step in network.steps] == ["y"]


def test_zeros_around_values_that_may_be_negative_can_be_the_largest(tmp_path: Path) -> None:
    around = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    network = pooled(
        tmp_path,
        node("Sub", "x two", "below"),
        node("Pad", "below pads", "p"),
        node("MaxPool", "p", "y", kernel_shape=[3, 3], strides=[2, 2]),
        constants={**around, "two": np.float32(2)},
    )
    assert (network(torch.zeros(1, *IMAGE)) == 0).any()


def test_a_pad_before_a_max_pool_of_a_relu_becomes_its_padding(tmp_path: Path) -> None:
    around = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
    pool = node("MaxPool", "p", "y", kernel_shape=[3, 3], strides=[2, 2])
    network = pooled(tmp_path, RELU, node("Pad", "r pads", "p"), pool, constants=around)
    assert [step.layer for step in network.steps] == ["r", "y"]


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 0, 1, 1], [1, 0, 0, 1]], ids=str)
def test_an_average_pool_counts_zeros_around_evenly_or_not(tmp_path: Path, pads: list[int]) -> None:
    settings = {"kernel_shape": [3, 2], "strides": [2, 2], "count_include_pad": 1, "pads": pads}
    pooled(tmp_path, node("AveragePool", "x", "y", **settings))


UNEVEN: list[dict[str, Any]] = [
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 0, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 0]},
    {"kernel_shape": [3, 2], "strides": [1, 1], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 4], "strides": [1, 3], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [3, 3], "strides": [2, 3], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [4, 3], "strides": [3, 2], "ceil_mode": 1},
    {"kernel_shape": [4, 3], "strides": [3, 2], "ceil_mode": 1, "pads": [1, 0, 1, 1]},
]


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("settings", UNEVEN, ids=str)
def test_padding_that_is_never_read_may_be_uneven(
    tmp_path: Path, operator: str, settings: dict[str, Any]
) -> None:
    pooled(tmp_path, node("Sub", "x two", "b"), node(operator, "b", "y", **settings), constants=TWO)


@pytest.mark.parametrize("dilations", [[2, 2], [1, 3]], ids=str)
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 2, 1]], ids=str)
def test_a_dilated_max_pool_is_read(tmp_path: Path, dilations: list[int], pads: list[int]) -> None:
    settings = {"kernel_shape": [3, 2], "strides": [2, 1], "dilations": dilations, "pads": pads}
    pooled(tmp_path, node("Sub", "x two", "b"), node("MaxPool", "b", "y", **settings), constants=TWO)


def test_ceil_mode_is_that_of_pytorch(tmp_path: Path) -> None:
    settings = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
    network = pooled(tmp_path, node("MaxPool", "x", "y", **settings))
    assert [step.layer for step in network.steps] == ["y"]


@pytest.mark.parametrize("settings", UNEVEN[4:], ids=str)
def test_an_average_over_counted_zeros_rounds_its_size_up(tmp_path: Path, settings: dict[str, Any]) -> None:
    pooled(tmp_path, node("AveragePool", "x", "y", count_include_pad=1, **settings))


def test_an_average_with_more_padding_than_half_a_window_is_refused(tmp_path: Path) -> None:
    pool = node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[2, 0, 0, 1])
    with pytest.raises(UnsupportedLayer, match=r"y: AveragePool pads unevenly, by \(2, 0, 0, 1\)"):
        pooled(tmp_path, pool)


def test_the_largest_over_height_and_width_is_a_pool(tmp_path: Path) -> None:
    settings = {"axes": [2, 3], "keepdims": 0}
    pooled(
        tmp_path, node("ReduceMax", "x", "m", **settings), node("Unsqueeze", "m last", "y"), constants=LAST
    )


def test_an_uneven_pool_is_exact_on_the_engine(tmp_path: Path, rng: np.random.Generator) -> None:
    kernel = {"k": rng.normal(0, 0.3, (4, 2, 3, 3)).astype(np.float32)}
    network = pooled(
        tmp_path,
        node("Conv", "x k", "c"),
        node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("Pad", "p pads", "q"),
        node("AveragePool", "q", "y", kernel_shape=[2, 2]),
        constants={**kernel, "pads": np.array([0, 0, 1, 0, 0, 0, 1, 1])},
    )
    images = rng.integers(0, 256, (6, *IMAGE[1:], IMAGE[0]), dtype=np.uint8)
    quantized = quantize(network, images)
    codes = quantized.preprocess.codes(images)
    wanted = evaluate(quantized.graph, codes)
    assert np.array_equal(computed(compiled_for(quantized.graph, PYNQ), codes), wanted)
