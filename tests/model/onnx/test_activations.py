"""Functions of one value in ONNX files: one node, or a composition that is known by what it computes."""

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
from bitlathe.model.onnx import OnnxNetwork, import_onnx
from bitlathe.model.onnx.network import HardSigmoid, MultiplyConstant, Power, ScaledElu

CONSTANTS = {
    **{"half": np.float32(0.5), "one": np.float32(1), "two": np.float32(2), "three": np.float32(3)},
    **{"six": np.float32(6), "sixth": np.float32(1 / 6), "zero": np.float32(0), "root": np.float32(2**0.5)},
    **{"cube": np.float32(0.044715), "tanh": np.float32((2 / np.pi) ** 0.5), "quick": np.float32(1.702)},
}


def of(path: Path, *nodes: Any, opset: int = 17, **constants: np.ndarray) -> OnnxNetwork:
    used = {name for each in nodes for name in each.input}
    given = {name: array for name, array in {**CONSTANTS, **constants}.items() if name in used}
    return imported(write(path / "net.onnx", nodes, given, outputs={"y": 4}, opset=opset))


def layers(network: OnnxNetwork) -> list[type[nn.Module]]:
    return [type(layer) for layer in network.children()]


@pytest.mark.parametrize(
    ("operator", "settings", "layer", "opset"),
    [
        ("LeakyRelu", {"alpha": 0.2}, nn.LeakyReLU, 17),
        ("ThresholdedRelu", {"alpha": 0.3}, nn.Threshold, 17),
        ("Elu", {"alpha": 0.7}, nn.ELU, 17),
        ("Celu", {"alpha": 0.7}, nn.CELU, 17),
        ("Selu", {}, nn.SELU, 17),
        ("Selu", {"alpha": 1.2, "gamma": 0.8}, ScaledElu, 17),
        ("Sigmoid", {}, nn.Sigmoid, 17),
        ("HardSigmoid", {}, HardSigmoid, 17),
        ("HardSigmoid", {"alpha": 1 / 6}, nn.Hardsigmoid, 17),
        ("HardSwish", {}, nn.Hardswish, 17),
        ("Tanh", {}, nn.Tanh, 17),
        ("Softplus", {}, nn.Softplus, 17),
        ("Softsign", {}, nn.Softsign, 17),
        ("Mish", {}, nn.Mish, 18),
        ("Gelu", {}, nn.GELU, 20),
        ("Gelu", {"approximate": "tanh"}, nn.GELU, 20),
        ("Shrink", {"lambd": 0.4}, nn.Hardshrink, 17),
        ("Shrink", {"lambd": 0.4, "bias": 0.4}, nn.Softshrink, 17),
    ],
)
def test_an_activation_is_the_layer_of_pytorch(
    tmp_path: Path, operator: str, settings: dict[str, Any], layer: type[nn.Module], opset: int
) -> None:
    tail = [node("Relu", "x", "r"), node(operator, "x", "a", **settings), node("Sub", "a r", "y")]
    network = of(tmp_path, *tail, opset=opset)
    assert layer in layers(network)


@pytest.mark.parametrize(
    "operator", ["Abs", "Neg", "Exp", "Erf", "Sin", "Cos", "Atan", "Sinh", "Asinh", "Sign", "Floor", "Round"]
)
def test_a_function_of_one_value_is_that_of_pytorch(tmp_path: Path, operator: str) -> None:
    of(tmp_path, node("Mul", "x three", "m"), node(operator, "m", "a"), node("Relu", "a", "y"))


def test_a_square_is_a_power(tmp_path: Path) -> None:
    assert layers(of(tmp_path, node("Pow", "x two", "y"))) == [Power]


def test_prelu_has_one_slope_or_one_a_channel(tmp_path: Path) -> None:
    slopes = np.array([0.1, 0.2, -0.3], np.float32)
    of(tmp_path, node("PRelu", "x s", "y"), s=slopes.reshape(3, 1, 1))
    of(tmp_path, node("PRelu", "x s", "y"), s=np.float32([[[0.2]]]))
    last = [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("PRelu", "t s", "y")]
    assert torch.equal(of(tmp_path, *last, s=slopes).get_submodule("y").weight, torch.tensor(slopes))


@pytest.mark.parametrize("shape", [(8,), (3, 8, 8)])
def test_a_slope_for_each_pixel_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "net.onnx"
    write(path, [node("PRelu", "x s", "y")], {"s": np.ones(shape, np.float32)}, outputs={"y": 4})
    with pytest.raises(
        UnsupportedLayer, match=r"y: PRelu has slopes of shape .*; give one, or one a channel"
    ):
        import_onnx(path, (3, 8, 8))


COMPOSED = {
    "silu": ([node("Sigmoid", "x", "s"), node("Mul", "x s", "y")], nn.SiLU),
    "hard swish": (
        [
            *(node("Add", "x three", "a"), node("Clip", "a zero six", "c")),
            *(node("Mul", "x c", "m"), node("Div", "m six", "y")),
        ],
        nn.Hardswish,
    ),
    "hard swish by hard sigmoid": (
        [node("HardSigmoid", "x", "s", alpha=1 / 6), node("Mul", "s x", "y")],
        nn.Hardswish,
    ),
    "hard sigmoid": (
        [node("Add", "three x", "a"), node("Clip", "a zero six", "c"), node("Mul", "c sixth", "y")],
        nn.Hardsigmoid,
    ),
    "gelu": (
        [
            *(node("Div", "x root", "d"), node("Erf", "d", "e"), node("Add", "e one", "a")),
            *(node("Mul", "x a", "m"), node("Mul", "m half", "y")),
        ],
        nn.GELU,
    ),
    "gelu, halved first": (
        [
            *(node("Mul", "half x", "h"), node("Div", "x root", "d"), node("Erf", "d", "e")),
            *(node("Add", "one e", "a"), node("Mul", "h a", "y")),
        ],
        nn.GELU,
    ),
    "gelu by tanh": (
        [
            *(node("Pow", "x three", "p"), node("Mul", "p cube", "c"), node("Add", "x c", "s")),
            *(node("Mul", "s tanh", "t"), node("Tanh", "t", "u"), node("Add", "u one", "v")),
            *(node("Mul", "x v", "w"), node("Mul", "w half", "y")),
        ],
        nn.GELU,
    ),
    "mish": ([node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t", "y")], nn.Mish),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_a_composition_of_a_known_function_is_one_layer(tmp_path: Path, name: str) -> None:
    nodes, layer = COMPOSED[name]
    network = of(tmp_path, *nodes)
    assert layers(network) == [layer]
    assert not list(network.parameters())


def test_a_composition_of_another_function_stays_one(tmp_path: Path) -> None:
    quick = [node("Mul", "x quick", "q"), node("Sigmoid", "q", "s"), node("Mul", "x s", "y")]
    assert layers(of(tmp_path, *quick))[0] is MultiplyConstant


def test_a_composition_behind_channels_last_is_one_layer(tmp_path: Path) -> None:
    turned = node("Transpose", "x", "t", perm=[0, 2, 3, 1])
    network = of(tmp_path, turned, node("Sigmoid", "t", "s"), node("Mul", "t s", "y"))
    assert layers(network) == [nn.SiLU]
    assert network.outputs[0].is_channels_last


@pytest.mark.parametrize("opset", [9, 13, 17, 20])
def test_activations_that_pytorch_exports_come_back(tmp_path: Path, opset: int) -> None:
    kinds = (nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.GELU, nn.Mish, nn.ELU, nn.LeakyReLU, nn.Softplus)
    model = nn.Sequential(*(kind() for kind in kinds))
    network = imported(exported(tmp_path / "net.onnx", model, (3, 8, 8), opset))
    assert layers(network) == list(kinds)
