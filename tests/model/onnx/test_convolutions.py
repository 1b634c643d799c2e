"""Convolutions and transposed convolutions of ONNX files, in all forms that padding is written in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import needs
import numpy as np
import pytest
import torch
from onnx_files import exported, imported, node, weights, write
from torch import nn

needs.package("onnx")
needs.package("onnxruntime")

from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.onnx import import_onnx
from bitlathe.model.onnx.network import Pad

IMAGE = (4, 9, 7)


def read(path: Path, operator: str, weight: np.ndarray, **settings: Any) -> nn.Module:
    """The network of one layer with weights, which ONNX Runtime agrees with."""
    nodes = [node(operator, "x k b", "y", **settings)]
    channels = weight.shape[0] if operator == "Conv" else weight.shape[1] * settings.get("group", 1)
    bias = np.linspace(-1, 1, channels).astype(np.float32)
    file = write(path / "net.onnx", nodes, {"k": weight, "b": bias}, image=("N", *IMAGE), outputs={"y": 4})
    return imported(file, IMAGE)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (4, 3), (5, 2)])
def test_same_padding_of_groups(
    tmp_path: Path, rng: np.random.Generator, auto: str, kernel: int, stride: int
) -> None:
    settings = {"strides": [stride] * 2, "auto_pad": auto}
    read(tmp_path, "Conv", weights(rng, 6, 2, kernel, kernel), group=2, **settings)


@pytest.mark.parametrize("pads", [[2, 2, 2, 2], [0, 1, 2, 3], [3, 0, 0, 0]], ids=str)
def test_uneven_padding_of_a_dilated_convolution(
    tmp_path: Path, rng: np.random.Generator, pads: list[int]
) -> None:
    settings = {"strides": [2, 1], "dilations": [2, 3], "pads": pads}
    read(tmp_path, "Conv", weights(rng, 8, 1, 3, 2), group=4, **settings)


def test_uneven_padding_is_no_weight_that_trains(tmp_path: Path, rng: np.random.Generator) -> None:
    network = read(tmp_path, "Conv", weights(rng, 4, 4, 3, 3), pads=[0, 1, 2, 1])
    assert [type(layer) for layer in network.children()] == [Pad, nn.Conv2d]
    assert network.get_submodule("y").weight.shape == (4, 4, 3, 3)
    assert network.get_submodule("y").padding == (0, 1)


def test_padding_that_crops_is_a_layer_before_the_convolution(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [node("Pad", "x pads", "p"), node("Conv", "p k", "y", pads=[1, 1, 1, 1])]
    constants = {"pads": np.array([0, 0, -1, 2, 0, 0, 0, -2]), "k": weights(rng, 3, 4, 3, 3)}
    imported(write(tmp_path / "net.onnx", nodes, constants, image=("N", *IMAGE), outputs={"y": 4}), IMAGE)


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": [2, 2]},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [3, 2], "pads": [1, 0, 1, 1], "output_padding": [2, 0]},
        {"strides": [2, 2], "pads": [0, 1, 2, 0]},
        {"strides": [2, 2], "pads": [2, 1, 0, 0]},
        {"strides": [1, 1], "pads": [2, 0, 0, 1]},
        {"strides": [2, 1], "dilations": [2, 3], "pads": [1, 2, 1, 2]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"strides": [3, 3], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "VALID"},
        {"strides": [2, 2], "output_shape": [18, 14]},
        {"strides": [2, 2], "output_shape": [17, 13]},
        {"strides": [2, 2], "output_shape": [17, 14], "auto_pad": "SAME_UPPER"},
    ],
    ids=str,
)
@pytest.mark.parametrize("group", [1, 2])
def test_transposed_convolutions_of_all_forms(
    tmp_path: Path, rng: np.random.Generator, settings: dict[str, Any], group: int
) -> None:
    read(tmp_path, "ConvTranspose", weights(rng, 4, 3, 3, 3), group=group, **settings)


def test_a_usual_transposed_convolution_is_one_layer(tmp_path: Path, rng: np.random.Generator) -> None:
    settings = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
    network = read(tmp_path, "ConvTranspose", weights(rng, 4, 3, 3, 3), **settings)
    (layer,) = network.children()
    assert isinstance(layer, nn.ConvTranspose2d)
    assert (layer.padding, layer.output_padding) == ((1, 1), (1, 1))


def test_a_transposed_convolution_that_adds_rows_of_bias_is_refused(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [node("ConvTranspose", "x k", "y", strides=[2, 2], pads=[-1, 0, 0, 0])]
    path = write(tmp_path / "net.onnx", nodes, {"k": weights(rng, 4, 3, 3, 3)}, image=("N", *IMAGE))
    with pytest.raises(UnsupportedLayer, match=r"y: ConvTranspose adds .*; give output_padding below"):
        import_onnx(path, IMAGE)


def test_maps_of_one_axis_are_read(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("Conv", "x k", "a", auto_pad="SAME_UPPER", strides=[2]),
        node("Relu", "a", "b"),
        node("MaxPool", "b", "c", kernel_shape=[3], strides=[2], ceil_mode=1),
        node("AveragePool", "c", "d", kernel_shape=[2], strides=[1], pads=[1, 0]),
        node("ConvTranspose", "d l", "e", strides=[2], pads=[1, 0]),
        node("GlobalAveragePool", "e", "f"),
        node("Flatten", "f", "y"),
    ]
    constants = {"k": weights(rng, 6, 4, 4), "l": weights(rng, 6, 5, 3)}
    for image in ((4, 1, 23), (1, 4, 23)):
        imported(write(tmp_path / "net.onnx", nodes, constants, image=("N", 4, 23)), image)


def test_what_pytorch_exports_of_one_axis_comes_back(tmp_path: Path) -> None:
    model = nn.Sequential(
        *(nn.Flatten(2), nn.Conv1d(3, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.LeakyReLU(), nn.MaxPool1d(2)),
        *(nn.Conv1d(8, 8, 3, padding="same", groups=2), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    )
    network = imported(exported(tmp_path / "net.onnx", model, (3, 8, 8), 13))
    batch = torch.rand(5, 3, 8, 8)
    assert torch.allclose(network(batch), model(batch), atol=1e-5)
