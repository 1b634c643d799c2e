"""Read and check ONNX files; their nodes become plain values."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.errors import FormatError, ToolError, UnsupportedLayer

OPSETS = range(7, 22)  # that `operators` reads
DOMAINS = ("", "ai.onnx")
QUANTIZED_DOMAINS = (  # of operators that `quantized` reads or refuses by a way out
    *("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas", "com.microsoft"),
)
FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")  # of the input; the module computes in float32
MEGABYTES = 1024  # limit of a file: classifiers are far below it, and protobuf ends at 2048

OnnxArray = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxNode:
    """One node, with its attributes as Python values."""

    operator: str  # behind its domain, if that is not ONNX's own
    name: str  # its own, else its operator and position
    inputs: tuple[str, ...]  # "" where one is left out
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    written: str = ""  # the file's operator, if this computes a part of what that does

    @property
    def stem(self) -> str:
        """Its name without the operator that PyTorch's exporter appends.

        >>> OnnxNode(operator="Conv", name="/a/b/Conv_1", inputs=(), outputs=(), attributes={}).stem
        'a/b'
        """
        head, _, last = self.name.strip("/").rpartition("/")
        return head if head and last.split("_")[0] == self.operator else self.name.strip("/")

    def refusal(self, problem: str, mend: str) -> UnsupportedLayer:
        """The error to raise for this node."""
        return UnsupportedLayer(f"{self.name}: {self.written or self.operator} {problem}; {mend}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """Content of a file."""

    input: str
    input_shape: tuple[int | None, ...]  # None for an open size
    outputs: tuple[str, ...]
    opset: int
    nodes: tuple[OnnxNode, ...]  # in an order in which they can be computed
    constants: Mapping[str, OnnxArray]


def library(name: str) -> Any:
    """The package `onnx` or `onnxruntime`; ToolError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolError(f"{name} is not installed: pip install 'bitlathe[onnx]'") from error


def read_graph(path: Path) -> OnnxGraph:
    """The graph of an ONNX file; raises what `read_model` and `graph_of` raise."""
    return graph_of(read_model(path), path)


def graph_of(model: Any, path: Path) -> OnnxGraph:
    """The graph of an ONNX model (onnx.ModelProto) that was read from a file.

    Raises FormatError for constants whose values do not fill their shape; UnsupportedLayer for several
    inputs, and for one that is not a float or has a fixed batch.
    """
    onnx, graph = library("onnx"), model.graph
    try:
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        nodes = tuple(_node(onnx, place, node) for place, node in enumerate(graph.node))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: has a damaged constant ({brief(error)}); export it again") from error
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = [value.name for value in inputs]
        raise UnsupportedLayer(f"{path}: has inputs {names}; a network here takes one, the image")
    sizes, kind = _sizes(inputs[0]), inputs[0].type.tensor_type.elem_type
    if kind not in {getattr(onnx.TensorProto, name) for name in FLOATS}:
        raise UnsupportedLayer(
            f"{path}: its input {inputs[0].name} is {type_name(kind).upper()}, not a float; "
            "export the network behind the conversion"
        )
    if sizes and sizes[0] not in (None, 1):
        raise UnsupportedLayer(
            f"{path}: takes {sizes[0]} images at once; export it with a batch of 1, or a dynamic one"
        )
    return OnnxGraph(
        input=inputs[0].name,
        input_shape=sizes,
        outputs=tuple(value.name for value in graph.output),
        opset=_opset(path, model),
        nodes=nodes,
        constants=constants,
    )


def read_model(path: Path) -> Any:
    """An ONNX file's model (onnx.ModelProto), checked.

    Raises ToolError without the package `onnx`; FormatError for a file that is damaged, incomplete, too large
    or of an unsupported opset.
    """
    onnx = library("onnx")
    if not path.is_file():
        raise FormatError(f"{path}: no such file; give an ONNX file")
    if path.stat().st_size > MEGABYTES << 20:
        raise FormatError(
            f"{path}: is larger than {MEGABYTES} MB; give a classifier, without its training data"
        )
    try:
        model = onnx.load(path)
        _name_plainly(model)
        _opset(path, model)  # first, as the checker has its own message for unknown opsets
        onnx.checker.check_model(model)
    except FormatError:
        raise
    except (OSError, onnx.checker.ValidationError) as error:
        raise FormatError(f"{path}: is incomplete or invalid ({brief(error)}); export it again") from error
    except Exception as error:  # protobuf's DecodeError is in another package
        raise FormatError(f"{path}: is not a complete ONNX file ({brief(error)}); export it again") from error
    return model


def _name_plainly(model: Any) -> None:
    """Name ONNX's own domain as the checker wants it: some exporters write it out."""
    for named in (*model.opset_import, *model.graph.node):
        if named.domain in DOMAINS:
            named.domain = ""


def type_name(number: int) -> str:
    """Name of one of ONNX's types by its number, as NumPy spells it."""
    name: str = library("onnx").TensorProto.DataType.Name(number)
    return name.lower()


def brief(error: Exception) -> str:
    """First line of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


def _opset(path: Path, model: Any) -> int:
    versions = [opset.version for opset in model.opset_import if opset.domain in DOMAINS]
    if not versions:
        raise FormatError(f"{path}: is not a complete ONNX file (it names no opset); export it again")
    if len(versions) != 1 or versions[0] not in OPSETS:
        raise FormatError(
            f"{path}: has opset {versions}; export it with opset_version={OPSETS[0]} to {OPSETS[-1]}"
        )
    return int(versions[0])


def _sizes(value: Any) -> tuple[int | None, ...]:
    sizes = value.type.tensor_type.shape.dim
    return tuple(
        size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None for size in sizes
    )


def _node(onnx: Any, place: int, node: Any) -> OnnxNode:
    is_own = node.domain in DOMAINS or _quantizes(node)
    return OnnxNode(
        operator=node.op_type if is_own else f"{node.domain}.{node.op_type}",
        name=node.name or f"{node.op_type}_{place}",
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={attribute.name: _attribute(onnx, attribute) for attribute in node.attribute},
    )


def _quantizes(node: Any) -> bool:
    """Whether a node of another domain quantizes, or computes with codes."""
    return node.domain in QUANTIZED_DOMAINS and (
        node.op_type in ("Quant", "BipolarQuant", "Trunc", "QuantizeLinear", "DequantizeLinear")
        or node.op_type.startswith(("QLinear", "QGemm"))
    )


def _attribute(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def folded(node: OnnxNode, operands: list[OnnxArray], opset: int) -> list[OnnxArray]:
    """Results of a node on constants by ONNX's own reference; FormatError if it fails."""
    onnx = library("onnx")
    reference = importlib.import_module("onnx.reference")
    names = [f"x{place}" for place in range(len(operands))]
    given = iter(names)
    helper = onnx.helper
    inner = helper.make_node(
        node.operator,
        [next(given) if name else "" for name in node.inputs],
        list(node.outputs),
        **{
            name: onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for name, value in node.attributes.items()
        },
    )
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, operands, strict=True)
    ]
    results = [helper.make_value_info(name, onnx.TypeProto()) for name in node.outputs if name]
    graph = helper.make_graph([inner], "constant", values, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        made: list[OnnxArray] = reference.ReferenceEvaluator(model).run(
            None, dict(zip(names, operands, strict=True))
        )
    except Exception as error:  # whatever an operator of the reference raises
        raise FormatError(f"{node.name}: {node.operator} of constants fails ({brief(error)})") from error
    return made
