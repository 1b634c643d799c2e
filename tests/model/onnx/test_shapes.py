"""Reshapes, flattens and transposes of ONNX files: what moves data moves as little of it as can be."""

from __future__ import annotations

from pathlib import Path

import needs
import numpy as np
import pytest
import torch
from onnx_files import IMAGE, imported, node, weights, write
from torch import nn

needs.package("onnx")
needs.package("onnxruntime")

from bitlathe.model.onnx.network import Reshape, SelectChannels
from bitlathe.model.quantize.quantizer import quantize


@pytest.mark.parametrize("shape", [[-1, 192], [1, 192], [0, -1], [1, -1]])
def test_reshapes_that_keep_one_image_are_flattening(
    tmp_path: Path, rng: np.random.Generator, shape: list[int]
) -> None:
    constants = {"shape": np.array(shape), "w": weights(rng, 192, 4)}
    nodes = [node("Reshape", "x shape", "flat"), node("MatMul", "flat w", "y")]
    network = imported(write(tmp_path / "net.onnx", nodes, constants, image=(1, 3, 8, 8)))
    assert network(torch.rand(7, *IMAGE)).shape == (7, 4)


def test_a_reshape_to_a_computed_shape_is_folded(tmp_path: Path, rng: np.random.Generator) -> None:
    constants = {
        "zero": np.array(0),
        "axis": np.array([0]),
        "rest": np.array([-1]),
        "w": weights(rng, 192, 4),
    }
    nodes = [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes zero", "batch"),
        node("Unsqueeze", "batch axis", "first"),
        node("Concat", "first rest", "shape", axis=0),
        node("Reshape", "x shape", "flat"),
        node("MatMul", "flat w", "y"),
    ]
    network = imported(write(tmp_path / "net.onnx", nodes, constants))
    assert network(torch.rand(7, *IMAGE)).shape == (7, 4)


def test_a_network_over_vectors_takes_images(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [node("MatMul", "x w", "a"), node("Sub", "a c", "b"), node("Div", "b d", "y")]
    constants = {"w": weights(rng, 192, 4), "c": weights(rng, 4), "d": np.float32(3)}
    imported(write(tmp_path / "net.onnx", nodes, constants, image=("N", 192)))


def test_grey_images_with_channels_last_may_be_reshaped_to_channels_first(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [node("Reshape", "x first", "grey"), node("Conv", "grey k", "map"), node("Flatten", "map", "y")]
    constants = {"first": np.array([-1, 1, 8, 6]), "k": weights(rng, 4, 1, 3, 3)}
    imported(write(tmp_path / "net.onnx", nodes, constants, image=("N", 8, 6, 1)), (1, 8, 6))


def test_a_flatten_from_axis_0_is_one_from_axis_1_for_one_image(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [node("Flatten", "x", "flat", axis=0), node("Gemm", "flat w", "y")]
    network = imported(write(tmp_path / "net.onnx", nodes, {"w": weights(rng, 192, 4)}))
    assert network(torch.zeros(3, *IMAGE)).shape == (3, 4)


def test_reshapes_in_a_row_are_one(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("Reshape", "x flat", "vector"),
        node("Reshape", "vector map", "image"),
        node("Conv", "image k", "conv"),
        node("Reshape", "conv wide", "odd"),
        node("Flatten", "odd", "y"),
    ]
    constants = {
        "flat": np.array([-1, 192]),
        "map": np.array([-1, 3, 8, 8]),
        "k": weights(rng, 4, 3, 3, 3),
        "wide": np.array([-1, 2, 2, 6, 6]),
    }
    network = imported(write(tmp_path / "net.onnx", nodes, constants))
    assert [type(layer) for layer in network.children()] == [nn.Conv2d, Reshape]


def test_a_network_over_grey_images_without_channels_quantizes(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [node("Flatten", "x", "flat", axis=0), node("Gemm", "flat w", "y")]
    path = write(tmp_path / "net.onnx", nodes, {"w": weights(rng, 48, 4)}, image=("N", 8, 6))
    quantize(imported(path, (1, 8, 6)), rng.integers(0, 256, (4, 8, 6, 1)).astype(np.uint8))


def test_shuffled_channels_are_a_selection(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("Conv", "x k", "map"),
        node("Reshape", "map groups", "split"),
        node("Transpose", "split", "turned", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "turned back", "shuffled"),
        node("Conv", "shuffled l", "y"),
    ]
    constants = {
        "k": weights(rng, 6, 3, 3, 3),
        "groups": np.array([-1, 2, 3, 6, 6]),
        "back": np.array([-1, 6, 6, 6]),
        "l": weights(rng, 4, 6, 6, 6),
    }
    network = imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}))
    assert [type(layer) for layer in network.children()] == [nn.Conv2d, SelectChannels, nn.Conv2d]
    quantize(network, rng.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8))


def test_a_pad_of_some_axes_only_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [node("Pad", "x pads - axes", "wide"), node("Conv", "wide k", "y")]
    constants = {"k": weights(rng, 4, 3, 3, 3), "pads": np.array([1, 0, 2, 1]), "axes": np.array([3, -2])}
    imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}, opset=18))
