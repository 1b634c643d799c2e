"""Resizes of ONNX files: whatever rule they follow, they copy pixels as ONNX Runtime does, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import needs
import numpy as np
import pytest
import torch
from onnx_files import exported, imported, node, write
from torch import nn

needs.package("onnx")
needs.package("onnxruntime")

from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.onnx import OnnxNetwork
from bitlathe.model.onnx.network import Resize, Slice


def resized(path: Path, factors: tuple[float, float], opset: int = 17, **settings: Any) -> OnnxNetwork:
    scales = np.array([1, 1, *factors], np.float32)
    resize = node("Resize", "x - s", "y", **settings)
    return imported(write(path / "net.onnx", [resize], {"s": scales}, outputs={"y": 4}, opset=opset))


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (4, 5)])
@pytest.mark.parametrize(
    ("rule", "rounding"),
    [
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
        ("half_pixel", "round_prefer_ceil"),
        ("pytorch_half_pixel", "round_prefer_floor"),
        ("half_pixel_symmetric", "round_prefer_floor"),
        ("tf_half_pixel_for_nn", "floor"),
    ],
)
def test_rules_that_repeat_each_pixel_as_often_are_the_same(
    tmp_path: Path, rule: str, rounding: str, factors: tuple[int, int]
) -> None:
    settings = {"coordinate_transformation_mode": rule, "nearest_mode": rounding}
    (layer,) = resized(tmp_path, factors, **settings).children()
    assert isinstance(layer, Resize)
    assert layer.factors == factors


@pytest.mark.parametrize(
    ("rule", "rounding"),
    [("half_pixel", "floor"), ("asymmetric", "round_prefer_ceil"), ("align_corners", "floor")],
)
def test_rules_that_do_not_are_refused(tmp_path: Path, rule: str, rounding: str) -> None:
    with pytest.raises(UnsupportedLayer, match=r"y: Resize takes pixels \[0, .*; upsample nearest"):
        resized(tmp_path, (2, 2), coordinate_transformation_mode=rule, nearest_mode=rounding)


def test_nearest_pixels_that_leave_others_out_are_a_slice(tmp_path: Path) -> None:
    settings = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    network = resized(tmp_path, (0.5, 0.25), **settings)
    assert [type(layer) for layer in network.children()] == [Slice, Slice]
    resized(tmp_path, (0.5, 2), coordinate_transformation_mode="half_pixel")


@pytest.mark.parametrize("rule", ["half_pixel", "pytorch_half_pixel", "align_corners"])
@pytest.mark.parametrize("factors", [(2, 2), (4, 4), (1, 2)])
def test_lines_between_pixels_are_those_of_pytorch(
    tmp_path: Path, rule: str, factors: tuple[int, int]
) -> None:
    network = resized(tmp_path, factors, mode="linear", coordinate_transformation_mode=rule)
    (layer,) = network.children()
    assert isinstance(layer, Resize)
    assert layer.align_corners == (rule == "align_corners")


@pytest.mark.parametrize(
    ("factors", "settings"),
    [
        ((2, 2), {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}),
        ((2, 2), {"mode": "cubic"}),
        ((1.5, 2), {"mode": "linear"}),
    ],
    ids=str,
)
def test_other_lines_are_refused(
    tmp_path: Path, factors: tuple[float, float], settings: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedLayer, match=r"y: Resize resizes by \[1\.0, 1\.0, .* in mode"):
        resized(tmp_path, factors, **settings)


def test_a_factor_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedLayer, match="y: Resize takes pixels"):
        resized(tmp_path, (1.5, 1.5))


def test_sizes_and_axes_say_the_same_as_scales(tmp_path: Path) -> None:
    nodes = [node("Resize", "x - - size", "y", axes=[3, 2])]
    path = write(tmp_path / "net.onnx", nodes, {"size": np.array([8, 24])}, outputs={"y": 4}, opset=18)
    (layer,) = imported(path).children()
    assert isinstance(layer, Resize)
    assert layer.factors == (3, 1)


def test_upsample_of_an_older_opset_is_read(tmp_path: Path) -> None:
    nodes = [node("Upsample", "x s", "y", mode="nearest")]
    scales = np.array([1, 1, 2, 3], np.float32)
    imported(write(tmp_path / "net.onnx", nodes, {"s": scales}, outputs={"y": 4}, opset=9))


@pytest.mark.parametrize("opset", [9, 11, 18])
def test_upsampling_that_pytorch_exports_comes_back(tmp_path: Path, opset: int) -> None:
    lines = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    model = nn.Sequential(nn.Upsample(scale_factor=2), *(() if opset < 11 else (lines,)))
    network = imported(exported(tmp_path / "net.onnx", model, (3, 8, 8), opset))
    batch = torch.rand(2, 3, 8, 8)
    assert torch.allclose(network(batch), model(batch), atol=1e-5)
