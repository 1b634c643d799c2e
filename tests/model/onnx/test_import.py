"""ONNX files become modules that compute what ONNX Runtime computes, and whose parameters train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import needs
import numpy as np
import pytest
import torch
from onnx_files import IMAGE, exported, imported, node, weights, write
from torch import nn

onnx = needs.package("onnx")
needs.package("onnxruntime")

from bitlathe.model.graph.errors import FormatError, UnsupportedLayer
from bitlathe.model.graph.nodes import Dense
from bitlathe.model.graph.reference import evaluate, evaluate_outputs
from bitlathe.model.onnx import compare, import_onnx
from bitlathe.model.onnx.network import AddConstant, Reshape
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.quantize.quantizer import quantize
from bitlathe.model.zoo import build


def of_zoo(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    model = build(name, seed=0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    return model, (1, 8, 8) if name == "lenet5" else (3, 32, 32)


@pytest.mark.parametrize("opset", [9, 13, 17])
@pytest.mark.parametrize("name", ["lenet5", "resnet8"])
def test_what_pytorch_exports_comes_back(tmp_path: Path, name: str, opset: int) -> None:
    model, image = of_zoo(name)
    network = imported(exported(tmp_path / "net.onnx", model, image, opset), image)
    batch = torch.rand(5, *image)
    with torch.no_grad():
        assert torch.allclose(network(batch), model(batch), atol=1e-4)


def test_an_imported_network_quantizes_to_the_integers_of_the_original(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    model, image = of_zoo("lenet5")
    network = import_onnx(exported(tmp_path / "net.onnx", model, image, 13), image)
    pictures = rng.integers(0, 256, (32, 8, 8, 1)).astype(np.uint8)
    ours, theirs = quantize(network, pictures), quantize(model.eval(), pictures)
    codes = ours.preprocess.codes(pictures)
    assert np.array_equal(evaluate(ours.graph, codes), evaluate(theirs.graph, codes))


def test_every_parameter_of_an_imported_network_trains(tmp_path: Path) -> None:
    model, image = of_zoo("resnet8")
    network = import_onnx(exported(tmp_path / "net.onnx", model, image, 13), image).train()
    network(torch.rand(4, *image)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert sum(p.numel() for p in network.parameters()) >= sum(
        module.weight.numel() for module in model.modules() if isinstance(module, nn.Conv2d)
    )


def test_a_network_with_channels_last_is_read_with_channels_first(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """As TensorFlow's converters write: transposes around convolutions, a dense layer behind a map."""
    constants = {
        "k": weights(rng, 5, 3, 3, 3),
        "b": weights(rng, 5),
        "scale": weights(rng, 5),
        "shape": np.array([-1, 4 * 4 * 5]),
        "w": weights(rng, 80, 6),
        "c": weights(rng, 6),
    }
    nodes = [
        node("Transpose", "x", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first k b", "conv", auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
        node("Transpose", "conv", "last", perm=[0, 2, 3, 1]),
        node("Relu", "last", "relu"),
        node("Mul", "relu scale", "scaled"),
        node("Reshape", "scaled shape", "flat"),
        node("MatMul", "flat w", "product"),
        node("Add", "product c", "sum"),
        node("Softmax", "sum", "y"),
    ]
    path = write(tmp_path / "net.onnx", nodes, constants, image=("N", 8, 8, 3))
    network = imported(path)
    assert network.host == ("Softmax",)


@pytest.mark.parametrize("pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (8, 2, 1), (9, 5, 3), (8, 4, 2)]
)
def test_padding_by_rule_is_that_of_onnx(
    tmp_path: Path, rng: np.random.Generator, pad: str, size: int, kernel: int, stride: int
) -> None:
    conv = node("Conv", "x k", "y", auto_pad=pad, strides=[stride] * 2, kernel_shape=[kernel] * 2)
    constants = {"k": weights(rng, 4, 3, kernel, kernel)}
    path = tmp_path / "net.onnx"
    write(path, [conv], constants, image=("N", 3, size, size), outputs={"y": 4})
    imported(path, (3, size, size))


def test_uneven_padding_of_its_own_or_by_a_node_before_is_exact(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    constants = {
        "k": weights(rng, 4, 3, 3, 3),
        "pads": np.array([0, 0, 2, 0, 0, 0, 1, 3]),
        "d": weights(rng, 4, 1, 3, 3),
    }
    nodes = [
        node("Pad", "x pads", "padded"),
        node("Conv", "padded k", "a", pads=[0, 1, 1, 0]),
        node("Conv", "a d", "y", group=4, pads=[1, 1, 1, 1]),
    ]
    imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}))


@pytest.mark.parametrize("opset", [8, 12, 18])
def test_operators_are_read_as_their_opset_has_them(
    tmp_path: Path, rng: np.random.Generator, opset: int
) -> None:
    """Bounds, axes and sections moved from attributes to operands."""
    constants = {
        "k": weights(rng, 8, 3, 3, 3),
        "low": np.float32(0),
        "high": np.float32(1),
        "axes": np.array([2, 3]),
        "halves": np.array([4, 4]),
        "w": weights(rng, 4, 5),
    }
    bounds = {"min": 0.0, "max": 1.0} if opset < 11 else {}
    sections = {"split": [4, 4]} if opset < 13 else {}
    axes = {"axes": [2, 3]} if opset < 18 else {}
    nodes = [
        node("Conv", "x k", "conv", pads=[1, 1, 1, 1]),
        node("Clip", "conv" if bounds else "conv low high", "clip", **bounds),
        node("Split", "clip" if sections else "clip halves", "a b", axis=1, **sections),
        node("Sum", "a b a", "sum"),
        node("ReduceMean", "sum" if axes else "sum axes", "mean", keepdims=0, **axes),
        node("MatMul", "mean w", "y"),
    ]
    imported(write(tmp_path / "net.onnx", nodes, constants, opset=opset))


@pytest.mark.parametrize(
    "attributes", [{}, {"transB": 1}, {"alpha": 0.5, "beta": 2.0}, {"transB": 1, "alpha": -1.5}]
)
@pytest.mark.parametrize("bias", [(), (1,), (6,), (1, 6)])
def test_gemm_is_read_in_all_its_forms(
    tmp_path: Path, rng: np.random.Generator, attributes: dict[str, float], bias: tuple[int, ...]
) -> None:
    w = weights(rng, *((6, 192) if attributes.get("transB") else (192, 6)))
    constants = {"w": w, "c": weights(rng, *bias) if bias else np.float32(0.7)}
    nodes = [node("Flatten", "x", "flat"), node("Gemm", "flat w c", "y", **attributes)]
    imported(write(tmp_path / "net.onnx", nodes, constants))


def test_one_of_several_outputs_is_chosen_by_name(tmp_path: Path, rng: np.random.Generator) -> None:
    constants = {"k": weights(rng, 4, 3, 8, 8)}
    nodes = [node("Conv", "x k", "map"), node("Flatten", "map", "y"), node("Relu", "map", "z")]
    path = write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 2, "z": 4})
    assert imported(path, output="z")(torch.rand(2, *IMAGE)).shape == (2, 4, 1, 1)
    with pytest.raises(UnsupportedLayer, match=r"has outputs \['y', 'z'\]; choose one by net.onnx:OUTPUT"):
        import_onnx(path, IMAGE, "map")


def test_all_outputs_come_by_their_names_and_softmax_is_left_to_the_host(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    constants = {"k": weights(rng, 4, 3, 3, 3), "w": weights(rng, 144, 5), "m": weights(rng, 2, 4, 1, 1)}
    nodes = [
        node("Conv", "x k", "features:0"),
        node("Flatten", "features:0", "flat"),
        node("MatMul", "flat w", "logits"),
        node("Softmax", "logits", "probabilities"),
        node("Conv", "features:0 m", "mask"),
    ]
    outputs = {"probabilities": 2, "mask": 4, "features:0": 4, "logits": 2}
    path = write(tmp_path / "net.onnx", nodes, constants, outputs=outputs)
    network = imported(path)
    assert network.host == ("Softmax",)
    made = network(torch.rand(2, *IMAGE))
    assert list(made) == list(outputs)
    assert made["mask"].shape == (2, 2, 6, 6)
    pictures = rng.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
    quantized = quantize(network, pictures)
    assert [output.name for output in quantized.graph.outputs] == list(outputs)
    first, *_, last = evaluate_outputs(quantized.graph, quantized.preprocess.codes(pictures))
    assert np.array_equal(first, last)


def test_a_difference_in_a_small_output_is_not_hidden_by_a_large_one(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [
        node("Flatten", "x", "flat"),
        node("MatMul", "flat w", "large"),
        node("MatMul", "flat v", "small"),
    ]
    constants = {"w": 100 * weights(rng, 192, 4), "v": weights(rng, 192, 4) / 100}
    path = write(tmp_path / "net.onnx", nodes, constants, outputs={"large": 2, "small": 2})
    network = imported(path)
    with torch.no_grad():
        network.small.weight *= 2
    with pytest.raises(FormatError, match="small differs by"):
        compare(network, path, IMAGE)


def test_a_map_of_channels_last_comes_with_channels_first(tmp_path: Path, rng: np.random.Generator) -> None:
    constants = {"k": weights(rng, 5, 3, 3, 3), "s": weights(rng, 5)}
    nodes = [
        node("Transpose", "x", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first k", "conv"),
        node("Transpose", "conv", "last", perm=[0, 2, 3, 1]),
        node("Mul", "last s", "y"),
    ]
    path = write(tmp_path / "net.onnx", nodes, constants, image=("N", 8, 8, 3), outputs={"y": 4})
    network = imported(path)
    assert network(torch.rand(2, *IMAGE)).shape == (2, 5, 6, 6)
    quantized = quantize(network, rng.integers(0, 256, (8, 8, 8, 3)).astype(np.uint8))
    assert quantized.graph.shapes[quantized.graph.only_output] == (5, 6, 6)


def test_nearest_neighbours_and_pools_are_those_of_onnx(tmp_path: Path, rng: np.random.Generator) -> None:
    constants = {"scales": np.array([1, 1, 2, 3], np.float32), "k": weights(rng, 4, 3, 3, 3)}
    nodes = [
        node("Conv", "x k", "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Resize", "conv - scales", "up", mode="nearest", nearest_mode="round_prefer_floor"),
        node("MaxPool", "up", "max", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("AveragePool", "max", "mean", kernel_shape=[2, 2], strides=[2, 2], count_include_pad=1),
        node("GlobalMaxPool", "mean", "global"),
        node("Flatten", "global", "y"),
    ]
    imported(write(tmp_path / "net.onnx", nodes, constants))


def test_a_layer_may_be_called_as_the_module_calls_something_else(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps, self.output = nn.Conv2d(3, 4, 8), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.steps(x).flatten(1))

    imported(exported(tmp_path / "net.onnx", Net(), IMAGE, 13))


def test_a_largest_class_at_the_end_hides_no_difference(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("Flatten", "x", "flat"),
        node("MatMul", "flat w", "logits"),
        node("ArgMax", "logits", "y", axis=1),
    ]
    path = write(tmp_path / "net.onnx", nodes, {"w": weights(rng, 192, 4)})
    network = imported(path)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 2  # the same classes
    with pytest.raises(FormatError, match="y differs by"):
        compare(network, path, IMAGE)


def test_a_network_of_float16_is_compared_in_its_own_type(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "net.onnx", [node("Flatten", "x", "f"), node("MatMul", "f w", "y")], {})
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float16(weights(rng, 192, 4)), "w"))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, path)
    imported(path)


def test_constants_added_behind_a_layer_are_its_bias(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("Conv", "x k", "conv"),
        node("Add", "b conv", "map"),
        node("Relu", "map", "relu"),
        node("Flatten", "relu", "flat"),
        node("MatMul", "flat w", "product"),
        node("Sub", "product c", "hidden"),
        node("MatMul", "hidden v", "last"),
        node("Add", "last one", "y"),
    ]
    constants = {
        "k": weights(rng, 4, 3, 3, 3),
        "b": weights(rng, 4, 1, 1),
        "w": weights(rng, 144, 6),
        "c": weights(rng, 6),
        "v": weights(rng, 6, 5),
        "one": np.float32(0.5),
    }
    network = imported(write(tmp_path / "net.onnx", nodes, constants))
    assert [type(layer) for layer in network.children()] == [
        *(nn.Conv2d, nn.ReLU, Reshape),
        *(nn.Linear, nn.Linear),
    ]
    groups = channel_groups(network, torch.rand(2, *IMAGE), ChannelScope.ALL)
    assert [group.name for group in groups] == ["conv", "product"]


@pytest.mark.parametrize(
    ("added", "read_again"), [((4, 1, 1), True), ((6, 6), False)], ids=["read before the sum", "by pixel"]
)
def test_constants_that_are_no_bias_stay_a_sum(
    tmp_path: Path, rng: np.random.Generator, added: tuple[int, ...], read_again: bool
) -> None:
    nodes = [node("Conv", "x k", "conv"), node("Add", "conv b", "sum")]
    nodes += [node("Add", "sum conv", "y") if read_again else node("Relu", "sum", "y")]
    constants = {"k": weights(rng, 4, 3, 3, 3), "b": weights(rng, *added)}
    network = imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}))
    assert any(isinstance(layer, AddConstant) for layer in network.children())


@pytest.mark.parametrize(
    ("ending", "host"),
    [
        ([node("Softmax", "logits", "p"), node("Log", "p", "y")], ("Log", "Softmax")),
        ([node("Sigmoid", "logits", "y")], ("Sigmoid",)),
        ([node("Softmax", "logits", "p"), node("Reshape", "p rows", "y")], ("Softmax",)),
        (
            [
                node("Softmax", "logits", "p"),
                node("QuantizeLinear", "p step", "q"),
                node("DequantizeLinear", "q step", "y"),
            ],
            ("Softmax",),
        ),
        ([node("Cast", "logits", "c", to=1), node("LogSoftmax", "c", "y")], ("LogSoftmax",)),
    ],
    ids=["logarithm of a softmax", "sigmoid", "reshaped softmax", "quantized softmax", "cast"],
)
def test_what_keeps_the_largest_logit_the_largest_is_left_to_the_host(
    tmp_path: Path, rng: np.random.Generator, ending: list[Any], host: tuple[str, ...]
) -> None:
    nodes = [node("Flatten", "x", "flat"), node("MatMul", "flat w", "logits"), *ending]
    constants = {"w": weights(rng, 192, 4), "rows": np.array([-1, 4]), "step": np.float32(2**-7)}
    assert imported(write(tmp_path / "net.onnx", nodes, constants)).host == host


def test_onnx_own_domain_may_be_written_out(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", [node("Relu", "x", "y")], {}, outputs={"y": 4})
    model = onnx.load(path)
    model.opset_import[0].domain = model.graph.node[0].domain = "ai.onnx"
    path.write_bytes(model.SerializeToString())
    assert not import_onnx(path, IMAGE).host


def test_operators_of_other_domains_count_only_where_the_output_needs_them(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [
        node("Flatten", "x", "flat"),
        node("MatMul", "flat w", "logits"),
        node("Softmax", "logits", "y"),
        node("ZipMap", "y", "named", domain="ai.onnx.ml", classlabels_int64s=[0, 1]),
    ]
    path = write(tmp_path / "net.onnx", nodes, {"w": weights(rng, 192, 2)}, outputs={"y": 2, "named": 1})
    model = onnx.load(path)
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 1))
    path.write_bytes(model.SerializeToString())
    assert imported(path, output="y").host == ("Softmax",)
    assert import_onnx(path, IMAGE, "named").host == ("ZipMap", "Softmax")


def test_a_clamp_by_min_and_max_and_a_maximum_of_pixels_are_read(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    nodes = [
        node("Conv", "x k", "conv"),
        node("Max", "conv zero", "above"),
        node("Min", "half above", "between"),
        node("ReduceMax", "between", "y", axes=[-1, 2], keepdims=0),
    ]
    constants = {"k": weights(rng, 4, 3, 3, 3), "zero": np.float32(0), "half": np.float32([0.5])}
    network = imported(write(tmp_path / "net.onnx", nodes, constants))
    quantize(network, rng.integers(0, 256, (4, 8, 8, 3)).astype(np.uint8))


def test_layers_of_one_constant_share_one_parameter(tmp_path: Path, rng: np.random.Generator) -> None:
    """Whether they name it alike, by an Identity, or compute it alike; what is merely equal stays apart."""
    codes = rng.integers(-99, 99, (3, 3, 3, 3)).astype(np.int8)
    nodes = [
        node("Identity", "k", "again"),
        node("DequantizeLinear", "codes step", "one"),
        node("DequantizeLinear", "codes step", "other"),
        node("Conv", "x k zero", "a", pads=[1, 1, 1, 1]),
        node("Conv", "a again zero", "b", pads=[1, 1, 1, 1]),
        node("Conv", "b copy zero", "c", pads=[1, 1, 1, 1]),
        node("Conv", "c one", "d", pads=[1, 1, 1, 1]),
        node("Conv", "d other", "y", pads=[1, 1, 1, 1]),
    ]
    kernel = weights(rng, 3, 3, 3, 3)
    constants = {
        "k": kernel,
        "copy": kernel.copy(),
        "zero": np.zeros(3, np.float32),
        "codes": codes,
        "step": np.float32(0.01),
    }
    network = imported(write(tmp_path / "net.onnx", nodes, constants, outputs={"y": 4}))
    a, b, c, d, y = (network.get_submodule(name) for name in "abcdy")
    assert a.weight is b.weight and a.bias is b.bias
    assert c.weight is not a.weight and c.bias is not a.bias
    assert d.weight is y.weight and d.weight is not a.weight
    assert len(list(network.parameters())) == 5


def test_a_dense_layer_that_is_used_twice_is_one(tmp_path: Path, rng: np.random.Generator) -> None:
    nodes = [
        node("Flatten", "x", "flat"),
        node("MatMul", "flat w", "p"),
        node("Add", "p b", "q"),
        node("Relu", "q", "r"),
        node("MatMul", "r w", "s"),
        node("Add", "b s", "y"),
    ]
    path = write(tmp_path / "net.onnx", nodes, {"w": weights(rng, 192, 192), "b": weights(rng, 192)})
    network = imported(path)
    assert [tuple(one.shape) for one in network.parameters()] == [(192, 192), (192,)]
    quantized = quantize(network, rng.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8))
    first, second = (one for one in quantized.graph.nodes if isinstance(one, Dense))
    np.testing.assert_array_equal(first.weight, second.weight)
