"""An ONNX file that is not read ends in one line: what, where, and how to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import needs
import numpy as np
import pytest
from onnx_files import node, write

onnx = needs.package("onnx")

from bitlathe.model.graph.errors import FormatError, ShapeError, UnsupportedLayer
from bitlathe.model.onnx import import_onnx
from bitlathe.model.onnx.proto import read_graph

IMAGE = (3, 8, 8)
KERNEL = {"k": np.ones((4, 3, 3, 3), np.float32)}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write(tmp_path / "net.onnx", [node("Conv", "x k", "y")], KERNEL, outputs={"y": 4})


def test_a_truncated_file_and_one_that_is_something_else_are_named(whole: Path) -> None:
    content = whole.read_bytes()
    for bad in (content[: len(content) // 2], b"", b"<!DOCTYPE html><html>404</html>", b"\x00" * 64):
        whole.write_bytes(bad)
        with pytest.raises(FormatError, match=r"net\.onnx: is .*; export it again"):
            read_graph(whole)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read_graph(tmp_path / "none.onnx")


def test_data_that_should_be_beside_the_file_are_missed(whole: Path) -> None:
    model = onnx.load(whole)
    onnx.save(model, whole, save_as_external_data=True, location="data.bin", size_threshold=0)
    (whole.parent / "data.bin").unlink()
    with pytest.raises(FormatError, match=r"is incomplete or invalid .*data\.bin"):
        read_graph(whole)


@pytest.mark.parametrize("is_attribute", [False, True])
def test_a_constant_whose_values_do_not_fill_its_shape_is_named(whole: Path, is_attribute: bool) -> None:
    model = onnx.load(whole)
    (kernel,) = model.graph.initializer
    kernel.raw_data = kernel.raw_data[:20]
    if is_attribute:
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["k"], value=kernel))
        del model.graph.initializer[:]
    whole.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match=r"net\.onnx: (has a damaged constant|is incomplete) .*; export it"):
        read_graph(whole)


@pytest.mark.parametrize("opset", [6, 22, 99])
def test_an_opset_that_is_not_read_is_refused(tmp_path: Path, opset: int) -> None:
    path = write(tmp_path / "net.onnx", [node("Relu", "x", "y")], {}, outputs={"y": 4})
    model = onnx.load(path)
    model.opset_import[0].version = opset
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match="export it with opset_version=7 to 21"):
        read_graph(path)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    nodes = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    path = write(tmp_path / "net.onnx", nodes, {})
    with pytest.raises(FormatError, match="is incomplete or invalid"):
        read_graph(path)


def test_an_operator_that_is_not_read_is_named_with_all_others(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x k", "conv"),
        node("Det", "conv", "norm"),
        node("Relu", "norm", "relu"),
        node("NonZero", "relu", "places"),
        node("Det", "relu", "y"),
    ]
    path = write(tmp_path / "net.onnx", nodes, KERNEL, outputs={"y": 4})
    with pytest.raises(UnsupportedLayer) as caught:
        import_onnx(path, IMAGE)
    mend = "replace it and export again, or give the network as FILE.py:FUNCTION"
    assert str(caught.value) == (
        f"net.onnx: 2 problems\n  norm: Det is not read; {mend} (and 1 more of the same, in y)"
    )


def test_all_that_is_not_read_is_told_at_once(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x k", "dilated", dilations=[2, 2], auto_pad="SAME_UPPER"),
        node("AveragePool", "x", "pool", kernel_shape=[2, 2], pads=[2, 0, 0, 0]),
        node("LRN", "pool", "norm", size=3),
        node("Det", "norm", "det"),
        node("Relu", "det", "relu"),
        node("Add", "relu dilated", "y"),
    ]
    path = write(tmp_path / "net.onnx", nodes, KERNEL, outputs={"y": 4})
    with pytest.raises(UnsupportedLayer) as caught:
        import_onnx(path, IMAGE)
    head, *lines = str(caught.value).splitlines()
    assert head == f"net.onnx: {len(lines)} problems"
    assert [line.split(";")[0] for line in lines][-3:] == [
        "  pool: AveragePool pads unevenly, by (2, 0, 0, 0)",
        "  norm: LRN is not read",
        "  det: Det is not read",
    ]


@pytest.mark.parametrize(
    ("last", "line"),
    [
        (node("LRN", "x", "y", size=3), "y: LRN is not read; use BatchNormalization: its statistics are"),
        (node("InstanceNormalization", "x c c", "y"), "y: InstanceNormalization is not read; use Batch"),
        (node("LSTM", "x c c", "y", hidden_size=3), "y: LSTM is not read; use convolutions over the whole"),
        (node("Einsum", "x x", "y", equation="nchw,nchw->nc"), "y: Einsum is not read; use convolutions"),
        (
            node("NonMaxSuppression", "x x", "y"),
            "y: NonMaxSuppression is not read; export the network up to its boxes and scores",
        ),
    ],
    ids=lambda value: value.split()[1] if isinstance(value, str) else "",
)
def test_what_has_no_integers_is_refused_with_a_way_out(tmp_path: Path, last: Any, line: str) -> None:
    path = write(tmp_path / "net.onnx", [last], {"c": np.ones(3, np.float32)}, outputs={"y": 4})
    with pytest.raises(UnsupportedLayer, match=line):
        import_onnx(path, IMAGE)


def test_an_operator_of_another_domain_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", [node("Relu", "x", "y")], {}, outputs={"y": 4})
    model = onnx.load(path)
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedLayer, match=r"y: com\.example\.Relu is not read; replace it"):
        import_onnx(path, IMAGE)


def test_images_of_another_shape_are_refused(whole: Path) -> None:
    with pytest.raises(ShapeError, match=r"takes images of \(3, 8, 8\), these are \(1, 8, 8\)"):
        import_onnx(whole, (1, 8, 8))


def test_a_reshape_that_mixes_images_is_refused(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x shape", "y")]
    path = write(tmp_path / "net.onnx", nodes, {"shape": np.array([3, 64])})
    with pytest.raises(UnsupportedLayer, match=r"y: Reshape makes .*; keep the images of a batch apart"):
        import_onnx(path, IMAGE)


def test_an_output_that_does_not_depend_on_the_image_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", [node("Relu", "c", "y")], {"c": np.ones((1, 3), np.float32)})
    with pytest.raises(UnsupportedLayer, match="does not depend on the image"):
        import_onnx(path, IMAGE)


def test_an_input_of_bytes_or_of_several_images_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", [node("Relu", "x", "y")], {}, image=(8, 3, 8, 8), outputs={"y": 4})
    with pytest.raises(UnsupportedLayer, match="takes 8 images at once; export it with a batch of 1"):
        read_graph(path)
    path = write(tmp_path / "net.onnx", [node("Identity", "x", "y")], {}, outputs={"y": 4})
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    onnx.save(model, path)
    with pytest.raises(UnsupportedLayer, match="its input x is UINT8, not a float"):
        read_graph(path)


def test_a_form_that_a_handler_does_not_know_is_one_line(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "x", "last", perm=[0, 2, 3, 1]),
        node("Reshape", "last shape", "flat"),
        node("Pad", "flat pads", "wide"),
        node("Mul", "wide row", "y"),
    ]
    constants = {
        "pads": np.array([0, 1, 0, 1]),
        "shape": np.array([-1, 192]),
        "row": np.ones(194, np.float32),
    }
    path = write(tmp_path / "net.onnx", nodes, constants)
    with pytest.raises(UnsupportedLayer, match="y: Mul has a form that is not read"):
        import_onnx(path, IMAGE)


# ---- Quantized files

QUANT = {"one": np.float32(1), "none": np.float32(0), "bits": np.float32(8), "zero": np.int8(0)}
WEIGHTS = {"codes": np.ones((4, 3, 3, 3), np.int8), "kernel": np.ones((4, 3, 3, 3), np.float32)}


def quant(operands: str, **attributes: object) -> Any:
    return node("Quant", operands, "y", domain="qonnx.custom_op.general", **attributes)


def one(operator: str, operands: str, **attributes: object) -> list[Any]:
    return [node(operator, operands, "y", **attributes)]


REFUSED: list[tuple[list[Any], dict[str, Any], str]] = [
    (
        one("QuantizeLinear", "x s zero"),
        {"s": np.float32(0)},
        "y: QuantizeLinear has scale 0; scales are positive numbers; quantize it again",
    ),
    (one("QuantizeLinear", "x s zero"), {"s": np.float32(np.nan)}, "y: QuantizeLinear has scale nan; "),
    (one("QuantizeLinear", "x s zero"), {"s": np.float32(-0.5)}, "y: QuantizeLinear has scale -0.5; "),
    (
        one("QuantizeLinear", "x s z", axis=1),
        {"s": np.ones(3, np.float32), "z": np.zeros(3, np.int8)},
        "y: QuantizeLinear has 3 scales for a tensor of the image; one for each channel is for weights alone",
    ),
    (
        [node("DequantizeLinear", "codes s", "w", axis=1), node("Conv", "x w", "y")],
        {"s": np.ones(4, np.float32)},
        "w: DequantizeLinear has 4 scales along axis 1 of values of shape (4, 3, 3, 3); "
        "name the axis of the output channels",
    ),
    (
        [node("DequantizeLinear", "codes s", "w", axis=0), node("Conv", "x w", "y")],
        {"s": np.array([1, 1, -1, 1], np.float32)},
        "w: DequantizeLinear has scale -1; scales are positive numbers; quantize it again",
    ),
    (
        [node("QuantizeLinear", "x one zero", "q"), node("Relu", "q", "y")],
        {},
        "y: Relu works on codes; put DequantizeLinear before it and QuantizeLinear behind it",
    ),
    (
        [node("QuantizeLinear", "x one zero", "q"), node("DequantizeLinear", "q s zero", "y")],
        {"s": np.float32(0.5)},
        "y: DequantizeLinear has scale 0.5 and zero point 0, its codes 1 and 0; "
        "give both ends of a tensor the same",
    ),
    (
        [quant("x one none wide")],
        {"wide": np.float32(3.5)},
        "y: Quant has bit widths [3.5]; give a tensor one",
    ),
    ([quant("x one none wide")], {"wide": np.float32(1)}, "y: Quant has bit widths [1.0]; give a tensor one"),
    (
        [quant("x one none bits", rounding_mode="FLOOR")],
        {},
        "y: Quant rounds by FLOOR; export it with rounding_mode ROUND, halves to even",
    ),
    (
        [
            node(
                "Quant", "kernel one none bits", "w", domain="qonnx.custom_op.general", rounding_mode="CEIL"
            ),
            node("Conv", "x w", "y"),
        ],
        {},
        "w: Quant rounds by CEIL; export it with rounding_mode ROUND, halves to even",
    ),
    ([quant("x one odd bits")], {"odd": np.float32(3)}, "y: Quant has the odd zero point 3, at which halves"),
    (
        [quant("x one half bits")],
        {"half": np.float32(0.5)},
        "y: Quant has 0.5 where it takes one whole number",
    ),
    ([quant("x one far bits")], {"far": np.float32(400)}, "y: Quant has zero point 400 outside its codes"),
    (
        [node("BipolarQuant", "x one", "y", domain="qonnx.custom_op.general")],
        {},
        "y: BipolarQuant quantizes to -1 and 1; use Quant of 2 bits or more",
    ),
    (
        [node("Trunc", "x one none bits bits", "y", domain="qonnx.custom_op.general")],
        {},
        "y: Trunc cuts off bits of an average; ",
    ),
]


@pytest.mark.parametrize(("nodes", "constants", "message"), REFUSED)
def test_what_quantizes_in_a_way_that_is_not_read_is_one_line(
    tmp_path: Path, nodes: list[Any], constants: dict[str, Any], message: str
) -> None:
    used = {name for one in nodes for name in one.input}
    given = {name: array for name, array in {**QUANT, **WEIGHTS, **constants}.items() if name in used}
    path = write(tmp_path / "net.onnx", nodes, given, outputs={"y": 4}, opset=19)
    model = onnx.load(path)
    model.opset_import.append(onnx.helper.make_opsetid("qonnx.custom_op.general", 1))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedLayer) as caught:
        import_onnx(path, IMAGE)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        ([node("Min", "x rows", "y")], r"y: Min has a constant of shape \(8,\); give one number"),
        (
            [node("ReduceMax", "x", "y", axes=[1])],
            r"y: ReduceMax is over axes \[1\] of \(1, 3, 8, 8\); take it",
        ),
    ],
    ids=["a row", "channels"],
)
def test_extremes_of_other_forms_are_refused(tmp_path: Path, nodes: list[Any], line: str) -> None:
    path = write(tmp_path / "net.onnx", nodes, {"rows": np.ones(8, np.float32)}, outputs={"y": 4})
    with pytest.raises(UnsupportedLayer, match=line):
        import_onnx(path, IMAGE)
