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

from bitlathe.model.graph.errors import UnsupportedLayer
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


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_and_back_moves_what_onnx_moves(tmp_path: Path, mode: str) -> None:
    there = [node("SpaceToDepth", "x", "d", blocksize=2)]
    back = [node("DepthToSpace", "d", "y", blocksize=2, mode=mode)]
    imported(write(tmp_path / "there.onnx", [there[0], node("Relu", "d", "y")], {}, outputs={"y": 4}))
    network = imported(write(tmp_path / "net.onnx", there + back, {}, outputs={"y": 4}))
    batch = torch.rand(2, *IMAGE)
    assert torch.equal(network(batch), batch) == (mode == "DCR")


def test_channels_are_taken_at_constant_places_in_any_order(tmp_path: Path) -> None:
    for places in ([2, 0, -1, 1], [0, 1], [2, 1, 0], [1]):
        nodes = [node("Gather", "x i", "y", axis=1)]
        imported(write(tmp_path / "net.onnx", nodes, {"i": np.array(places)}, outputs={"y": 4}))


def test_a_slice_backwards_takes_channels_in_that_order(tmp_path: Path) -> None:
    constants = {
        "start": np.array([-1]),
        "end": np.array([-9]),
        "axes": np.array([1]),
        "step": np.array([-1]),
    }
    nodes = [node("Slice", "x start end axes step", "y")]
    network = imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}))
    assert [type(layer) for layer in network.children()] == [SelectChannels]


def test_rows_and_columns_are_cropped_by_slices_gathers_and_pads(tmp_path: Path) -> None:
    constants = {
        **{"start": np.array([1, -7]), "end": np.array([2**31, -1]), "axes": np.array([2, 3])},
        **{"rows": np.array([0, 2, 4]), "pads": np.array([0, 0, 0, -1, 0, 0, -1, 2])},
    }
    nodes = [
        node("Slice", "x start end axes", "s"),
        node("Gather", "s rows", "g", axis=2),
        node("Pad", "g pads", "y"),
    ]
    imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}))


@pytest.mark.parametrize("axis", [2, 3])
def test_rows_in_another_order_are_refused(tmp_path: Path, axis: int) -> None:
    nodes = [node("Gather", "x i", "y", axis=axis)]
    path = write(tmp_path / "net.onnx", nodes, {"i": np.array([1, 0, 2])}, outputs={"y": 4})
    with pytest.raises(UnsupportedLayer, match=rf"y: Gather takes \[1, 0, 2\] of axis {axis}; take rows and"):
        imported(path)


def test_places_without_any_are_refused(tmp_path: Path) -> None:
    nodes = [node("Gather", "x i", "y", axis=1)]
    path = write(tmp_path / "net.onnx", nodes, {"i": np.zeros(0, np.int64)}, outputs={"y": 4})
    with pytest.raises(UnsupportedLayer, match=r"y: Gather takes \[\] along axis 1; take channels"):
        imported(path)


def test_parts_of_a_split_are_named_by_sizes_or_are_equal(tmp_path: Path, rng: np.random.Generator) -> None:
    sizes = {"k": weights(rng, 6, 3, 1, 1), "sizes": np.array([1, 3, 2])}
    nodes = [
        node("Conv", "x k", "c"),
        node("Split", "c sizes", "p q r", axis=1),
        node("Concat", "r p q", "s", axis=1),
        node("Split", "s", "t u", axis=-3),
        node("Sub", "u t", "y"),
    ]
    imported(write(tmp_path / "net.onnx", nodes, sizes, outputs={"y": 4}))


def test_maps_are_combined_in_all_ways(tmp_path: Path, rng: np.random.Generator) -> None:
    constants = {"k": weights(rng, 3, 3, 1, 1), "half": np.float32(0.5)}
    nodes = [
        node("Conv", "x k", "c"),
        node("Max", "x c half", "m"),
        node("Min", "m c x", "n"),
        node("Sum", "n x c", "s"),
        node("Sub", "s m", "d"),
        node("Mul", "d x", "p"),
        node("Mul", "x x", "q"),
        node("Add", "p q", "y"),
    ]
    imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}))


@pytest.mark.parametrize("is_channels_last", [False, True])
def test_channels_are_weighted_by_squeeze_and_excitation(
    tmp_path: Path, rng: np.random.Generator, is_channels_last: bool
) -> None:
    one = [-1, 1, 1, 6] if is_channels_last else [-1, 6, 1, 1]
    axes = [1, 2] if is_channels_last else [2, 3]
    turned = [node("Transpose", "c", "m", perm=[0, 2, 3, 1])] if is_channels_last else []
    map_name = "m" if is_channels_last else "c"
    nodes = [
        node("Conv", "x k", "c"),
        *turned,
        node("ReduceMean", map_name, "v", axes=axes, keepdims=0),
        node("MatMul", "v a", "h"),
        node("Relu", "h", "r"),
        node("MatMul", "r b", "w"),
        node("Sigmoid", "w", "s"),
        node("Reshape", "s one", "g"),
        node("Mul", f"{map_name} g", "y"),
    ]
    constants = {"k": weights(rng, 6, 3, 3, 3), "a": weights(rng, 6, 2), "b": weights(rng, 2, 6)}
    constants["one"] = np.array(one)
    imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}, opset=13))


def test_a_vector_is_a_map_of_one_pixel_and_back(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("Conv", "x k", "c"),
        node("Squeeze", "c last", "v"),
        node("Gemm", "v w", "g"),
        node("Unsqueeze", "g last", "m"),
        node("Conv", "m l", "d"),
        node("Flatten", "d", "y"),
    ]
    constants = {"k": weights(rng, 6, 3, 8, 8), "w": weights(rng, 6, 5), "l": weights(rng, 4, 5, 1, 1)}
    imported(write(tmp_path / "net.onnx", nodes, {**constants, "last": np.array([2, 3])}))


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 2, 1], [0, 1, 3, 2]])
def test_a_transpose_before_a_dense_layer_is_read(
    tmp_path: Path, rng: np.random.Generator, perm: list[int]
) -> None:
    nodes = [node("Transpose", "x", "t", perm=perm), node("Flatten", "t", "f"), node("Gemm", "f w", "y")]
    imported(write(tmp_path / "net.onnx", nodes, {"w": weights(rng, 192, 4)}))


def test_the_largest_few_are_left_to_the_host(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w", "g"), node("TopK", "g n", "y places")]
    constants = {"w": weights(rng, 192, 9), "n": np.array([3])}
    network = imported(write(tmp_path / "net.onnx", nodes, constants))
    assert network.host == ("TopK",)
    assert network(torch.zeros(1, *IMAGE)).shape == (1, 9)
