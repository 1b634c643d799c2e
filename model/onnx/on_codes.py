"""Operators that compute with codes, written as what they compute with values.

QLinearConv is Conv between DequantizeLinear and QuantizeLinear, and so are the others of its kind: a file of
the one form becomes a file of the other, which `quantized` reads. ConvInteger and MatMulInteger make sums of
codes, which a Mul scales: the scale goes into the weights. Where a file takes its steps from each image,
by DynamicQuantizeLinear, no integers can be kept, and values pass unrounded. Sources: the pages of the
operators in the ONNX specification; github.com/microsoft/onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bitlathe.model.onnx.proto import OnnxArray, OnnxGraph, OnnxNode
from bitlathe.model.onnx.quantized import ON_CODES

Triple = tuple[int, int, int]  # places of codes, their scale and their zero point among a node's inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """Where a node's inputs have what; its result's scale and zero point."""

    operator: str  # that computes the same with values
    operands: tuple[Triple, ...]
    result: tuple[int, int]
    bias: int | None = None  # int32 codes, at the product of the operands' scales
    weight_axis: int = 1  # along which the second operand may have a scale for each place


_ONE = _Form(operator="", operands=((0, 1, 2),), result=(3, 4))
_TWO = _Form(operator="", operands=((0, 1, 2), (3, 4, 5)), result=(6, 7))

FORMS: dict[str, _Form] = {
    "QLinearConv": replace(_TWO, operator="Conv", bias=8, weight_axis=0),
    "QLinearMatMul": replace(_TWO, operator="MatMul", weight_axis=-1),
    "QGemm": replace(_TWO, operator="Gemm", result=(7, 8), bias=6),
    "QLinearAdd": replace(_TWO, operator="Add"),
    "QLinearMul": replace(_TWO, operator="Mul"),
    "QLinearAveragePool": replace(_ONE, operator="AveragePool"),
    "QLinearGlobalAveragePool": replace(_ONE, operator="GlobalAveragePool"),
    "QLinearReduceMean": replace(_ONE, operator="ReduceMean"),
    "QLinearSigmoid": replace(_ONE, operator="Sigmoid"),
    "QLinearLeakyRelu": replace(_ONE, operator="LeakyRelu"),
    "QLinearSoftmax": replace(_ONE, operator="Softmax"),
    "QLinearConcat": replace(_ONE, operator="Concat", result=(0, 1)),
}
SUMS = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}
_DYNAMIC = "DynamicQuantizeLinear"


def computes_with_codes(graph: OnnxGraph) -> bool:
    """Whether a file has operators that compute with codes."""
    return any(node.operator in (*FORMS, *SUMS) for node in graph.nodes)


def takes_steps_from_images(graph: OnnxGraph) -> bool:
    """Whether a file has steps that differ from image to image."""
    return any(node.operator == _DYNAMIC for node in graph.nodes)


def with_values(graph: OnnxGraph) -> OnnxGraph:
    """The same network, where nothing computes with codes.

    Raises UnsupportedLayer for a node that has no such form.
    """
    if not computes_with_codes(graph) and not takes_steps_from_images(graph):
        return graph
    rewriting = _Rewriting(graph=graph, constants=dict(graph.constants))
    for node in graph.nodes:
        rewriting.read(node)
    return replace(graph, nodes=tuple(rewriting.nodes), constants=rewriting.constants)


@dataclass(kw_only=True)
class _Rewriting:
    """A graph in the making."""

    graph: OnnxGraph
    constants: dict[str, OnnxArray]
    nodes: list[OnnxNode] = field(default_factory=list)
    sums: dict[str, tuple[OnnxNode, str]] = field(default_factory=dict)  # and their scale, by what Mul makes
    casts: set[str] = field(default_factory=set)  # tensors between sums and Mul, which nothing else reads

    def read(self, node: OnnxNode) -> None:
        """Add what computes with values the same as a node of the file."""
        if node.outputs[0] in self.sums:
            self._sum(*self.sums[node.outputs[0]], node.outputs[0])
        elif node.operator in FORMS:
            self._apply(node, FORMS[node.operator])
        elif node.operator == _DYNAMIC:
            self._pass_unrounded(node)
        elif node.operator in SUMS:
            scaled = self._scaled(node)
            if scaled is None:
                self._sum(node, "", node.outputs[0])
            else:
                cast, made, scale = scaled
                self.casts.add(cast)
                self.sums[made] = node, scale
        elif node.outputs[0] not in self.casts:
            self.nodes.append(node)

    def _apply(self, node: OnnxNode, form: _Form) -> None:
        """The operands' values, the operator, and the codes of its result."""
        if node.attributes.get("channels_last", 0):
            raise node.refusal("has channels that stand last", "export with channels first")
        axis = 0 if node.attributes.get("transB", 0) else form.weight_axis
        operands = form.operands
        if form.operator == "Concat":
            operands = tuple((at, at + 1, at + 2) for at in range(2, len(node.inputs), 3))
        values = [
            self._add(node, "DequantizeLinear", (_input(node, place) for place in triple), axis=axis)
            for triple in operands
        ]
        if form.bias is not None and _input(node, form.bias):
            step = self._add(node, "Mul", (_input(node, triple[1]) for triple in operands))
            if "alpha" in node.attributes:
                step = self._add(node, "Mul", (step, self._constant(np.float32(node.attributes["alpha"]))))
            axis = 0 if form.operator == "Conv" else -1
            values.append(self._add(node, "DequantizeLinear", (_input(node, form.bias), step), axis=axis))
        scale, zero = (_input(node, place) for place in form.result)
        if not scale:  # QGemm's sums may stay real
            self._add(node, form.operator, values, node.outputs[0], **node.attributes)
            return
        if not zero:
            raise node.refusal("lacks the zero point of its result", "quantize the network again")
        made = self._add(node, form.operator, values, **node.attributes)
        self._add(node, "QuantizeLinear", (made, scale, zero), node.outputs[0])

    def _pass_unrounded(self, node: OnnxNode) -> None:
        """Values for codes, of scale 1 and zero point 0, which no image moves."""
        codes, *rest = node.outputs
        self._add(node, "Identity", node.inputs[:1], codes)
        unmoved = (np.ones((), np.float32), np.zeros((), np.uint8))
        self.constants.update(zip(rest, unmoved, strict=False))

    def _scaled(self, node: OnnxNode) -> tuple[str, str, str] | None:
        """The Cast of sums, what a Mul makes of it, and by which scale; None where it is not so."""
        cast = self._reader(node.outputs[0], "Cast")
        mul = None if cast is None else self._reader(cast.outputs[0], "Mul")
        if cast is None or mul is None:
            return None
        scales = [name for name in mul.inputs if name != cast.outputs[0]]
        return (cast.outputs[0], mul.outputs[0], scales[0]) if scales else None

    def _reader(self, tensor: str, operator: str) -> OnnxNode | None:
        """The only node that reads a tensor, if it is an `operator` and the tensor is not an output."""
        reads = [node for node in self.graph.nodes for name in node.inputs if name == tensor]
        alone = len(reads) == 1 and tensor not in self.graph.outputs
        return reads[0] if alone and reads[0].operator == operator else None

    def _sum(self, node: OnnxNode, scale: str, made: str) -> None:
        """Sums of codes, or what a scale makes of them, from the values that the codes stand for."""
        codes, weight, zero, weight_zero = (_input(node, place) for place in range(4))
        operator, one = SUMS[node.operator], self._constant(np.float32(1))
        axis = 0 if operator == "Conv" else -1
        rows = self._add(node, "DequantizeLinear", (weight, one, weight_zero), axis=axis)
        step = self._step(codes)
        if step:
            codes = self._add(node, "DequantizeLinear", (codes, step, zero))
            scale = self._add(node, "Div", (scale or one, step))
        if scale and operator == "Conv":
            scale = self._add(node, "Reshape", (scale, self._constant(np.array([-1, 1, 1, 1]))))
        if scale:
            rows = self._add(node, "Mul", (rows, scale))
        self._add(node, operator, (codes, rows), made, **node.attributes)

    def _step(self, codes: str) -> str:
        """The scale of codes that QuantizeLinear made; "" of those that pass as values."""
        makers = {name: node for node in self.nodes for name in node.outputs}
        while (maker := makers.get(codes)) is not None:
            if maker.operator == "QuantizeLinear":
                return maker.inputs[1]
            if maker.operator not in ON_CODES:
                break
            codes = maker.inputs[0]
        return ""

    def _constant(self, array: Any) -> str:
        name = f"codes.{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def _add(
        self, node: OnnxNode, operator: str, inputs: Iterable[str], made: str = "", **attributes: Any
    ) -> str:
        """The result of one more node, in place of one of the file."""
        made = made or f"{node.name}.{len(self.nodes)}"
        self.nodes.append(
            OnnxNode(
                operator=operator,
                name=node.name,
                inputs=tuple(inputs),
                outputs=(made,),
                attributes=attributes,
                written=node.operator,
            )
        )
        return made


def _input(node: OnnxNode, place: int) -> str:
    """Name of an operand; "" where it is left out."""
    return node.inputs[place] if place < len(node.inputs) else ""
