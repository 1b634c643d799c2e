"""Handlers of the operators that quantize: ONNX's QuantizeLinear and DequantizeLinear, QONNX's Quant.

A tensor is held as the values that its codes stand for, never as codes, so a rounding is one layer: between
QuantizeLinear and DequantizeLinear `Importer.codes` says which codes the file has there. Sources: the pages
of the operators in the ONNX specification; github.com/fastmachinelearning/qonnx, docs/qonnx-custom-ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from bitlathe.model.onnx.importer import Importer, NodeImporter, OnnxValue
from bitlathe.model.onnx.network import Clip, Combine, FileCodes, RoundToCodes, Total
from bitlathe.model.onnx.proto import OnnxArray, OnnxNode, type_name

HALF_EVEN = ("ROUND", "HALF_EVEN")  # QONNX's words for the rounding of QuantizeLinear
INTEGERS = ("int8", "uint8", "int16", "uint16", "int4", "uint4", "int2", "uint2")
SUMS = (nn.Conv2d, nn.Linear, Combine, Total)  # what a ReLU may have been behind
MOST_BITS = 32
_CODES = {name: np.iinfo(name) for name in INTEGERS[:4]}
_NARROW_CODES = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}


def quantize_linear(importer: Importer, node: OnnxNode) -> OnnxValue:
    """QuantizeLinear: a rounding; what reads it finds the values of the codes."""
    step, zero = _scalar(importer, node, 1, "scale"), importer.constant(node, 2)
    place = 0 if zero is None else _whole(node, zero)
    codes = _file_codes(node, step, place, _range(node, _kind(node, zero)))
    return _rounded(importer, node, codes)


def dequantize_linear(importer: Importer, node: OnnxNode) -> OnnxValue:
    """DequantizeLinear of codes: their values, which are there already."""
    made = importer.codes.get(node.inputs[0])
    if made is None:
        raise node.refusal("reads a tensor that is not quantized", "quantize it by QuantizeLinear before")
    zero = importer.constant(node, 2)
    step, place = _scalar(importer, node, 1, "scale"), 0 if zero is None else _whole(node, zero)
    if (step, place) != (made.step, made.zero):
        raise node.refusal(
            f"has scale {step:.6g} and zero point {place}, its codes {made.step:.6g} and {made.zero}",
            "give both ends of a tensor the same",
        )
    return importer.value(node)


def clip_codes(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Clip between QuantizeLinear and DequantizeLinear: fewer codes, as of 4 bits in an int8."""
    made, x = importer.codes[node.inputs[0]], importer.value(node)
    ends = [importer.constant(node, place) for place in (1, 2)]
    lo, hi = (
        _whole(node, end) if end is not None else usual for end, usual in zip(ends, made.ends, strict=True)
    )
    narrowed = _file_codes(node, made.step, made.zero, (max(lo, made.lo), min(hi, made.hi)))
    importer.codes[node.outputs[0]] = narrowed
    readers = [other for other in importer.graph.nodes if node.inputs[0] in other.inputs]
    if isinstance(importer.layers.get(x.key), RoundToCodes) and readers == [node]:
        importer.layers[x.key] = _layer(narrowed)
        return x
    bounds = ((end - made.zero) * made.step for end in narrowed.ends)
    return importer.emit(node, Clip(*bounds), [x])


def quant(importer: Importer, node: OnnxNode) -> OnnxValue:
    """QONNX's Quant of an activation."""
    step, zero = _scalar(importer, node, 1, "scale"), _whole(node, _operand(importer, node, 2))
    if zero % 2:
        raise node.refusal(
            f"has the odd zero point {zero}, at which halves round to odd codes", "use an even one, or 0"
        )
    codes = _file_codes(node, step, zero, _quant_range(node, _operand(importer, node, 3)))
    made = _rounded(importer, node, codes)
    del importer.codes[node.outputs[0]]  # its result is values, in the file too
    return made


def quant_of_constants(node: OnnxNode, operands: list[OnnxArray]) -> list[OnnxArray]:
    """QONNX's Quant of weights, in float32."""
    values, step, zero, bits = (np.asarray(operand, np.float32) for operand in operands)
    check_scale(node, step)
    lo, hi = _quant_range(node, bits)
    try:
        codes = np.clip(np.rint(values / step + zero), lo, hi)
        made: OnnxArray = ((codes - zero) * step).astype(np.float32)
    except ValueError as error:
        raise node.refusal(
            f"has a scale of shape {step.shape} for values of shape {values.shape}",
            "give one scale, or one for each channel",
        ) from error
    return [made]


def check_scale(node: OnnxNode, scale: OnnxArray) -> None:
    """Refuse scales that are not positive numbers."""
    values = np.asarray(scale, np.float64)
    bad = values[~(np.isfinite(values) & (values > 0))]
    if bad.size:
        raise node.refusal(f"has scale {bad.flat[0]:g}", "scales are positive numbers; quantize it again")


def linear_of_constants(node: OnnxNode, operands: list[OnnxArray]) -> list[OnnxArray]:
    """QuantizeLinear and DequantizeLinear of weights."""
    values, scale = np.asarray(operands[0]), np.asarray(operands[1], np.float32)
    check_scale(node, scale)
    step = _along_axis(node, values, scale)
    zero = operands[2] if len(operands) > 2 else None
    place = np.float64(0) if zero is None else _along_axis(node, values, np.asarray(zero, np.float64))
    if node.operator == "DequantizeLinear":
        return [((values.astype(np.float64) - place) * step).astype(np.float32)]
    kind = _kind(node, zero)
    codes = np.clip(np.rint(values / step) + place, *_range(node, kind))
    return [codes.astype(kind if kind in _CODES else np.int8)]


def _along_axis(node: OnnxNode, values: OnnxArray, array: OnnxArray) -> OnnxArray:
    """One number for all values, or one for each place along the node's axis, shaped to meet the values."""
    axis, blocks = int(node.attributes.get("axis", 1)), int(node.attributes.get("block_size", 0))
    if array.size == 1:
        return array.reshape(())
    if blocks or array.ndim > 1:
        raise node.refusal("has a scale for each block of values", "give one, or one for each channel")
    if not -values.ndim <= axis < values.ndim or values.shape[axis] != array.size:
        raise node.refusal(
            f"has {array.size} scales along axis {axis} of values of shape {values.shape}",
            "name the axis of the output channels",
        )
    shape = [1] * values.ndim
    shape[axis] = -1
    return array.reshape(shape)


def _rounded(importer: Importer, node: OnnxNode, codes: FileCodes) -> OnnxValue:
    """The layer that rounds a tensor; a tensor that is rounded alike twice gets one."""
    key = (node.inputs[0], codes)
    if key not in importer.roundings:
        x = importer.value(node)
        if codes.lo == codes.zero and isinstance(importer.origin(x)[0], SUMS):
            x = importer.emit(
                node, nn.ReLU(), [x], stem=f"{node.stem}_relu"
            )  # that quantizers leave to codes
        importer.roundings[key] = importer.emit(node, _layer(codes), [x])
    importer.codes[node.outputs[0]] = codes
    return importer.roundings[key]


def _layer(codes: FileCodes) -> RoundToCodes:
    return RoundToCodes(codes.step, codes.lo - codes.zero, codes.hi - codes.zero)


def _file_codes(node: OnnxNode, step: float, zero: int, ends: tuple[int, int]) -> FileCodes:
    if not ends[0] <= zero <= ends[1]:
        raise node.refusal(
            f"has zero point {zero} outside its codes {ends[0]} to {ends[1]}", "quantize it again"
        )
    return FileCodes(step=step, zero=zero, lo=ends[0], hi=ends[1])


def _operand(importer: Importer, node: OnnxNode, place: int) -> OnnxArray:
    found = importer.constant(node, place)
    if found is None:
        raise node.refusal(f"lacks operand {place}", "export it again")
    return found


def _scalar(importer: Importer, node: OnnxNode, place: int, what: str) -> float:
    array = np.asarray(_operand(importer, node, place))
    if array.size != 1:
        raise node.refusal(
            f"has {array.size} {what}s for a tensor of the image", "one for each channel is for weights alone"
        )
    check_scale(node, array)
    return float(array.reshape(()))


def _whole(node: OnnxNode, array: OnnxArray) -> int:
    number = float(np.asarray(array).reshape(-1)[0]) if np.asarray(array).size else 0.0
    if not number.is_integer() or np.asarray(array).size != 1:
        raise node.refusal(
            f"has {np.asarray(array).tolist()} where it takes one whole number", "export it again"
        )
    return int(number)


def _kind(node: OnnxNode, zero: OnnxArray | None) -> str:
    """Type of QuantizeLinear's codes: its zero point's, else the one named, else uint8."""
    if zero is not None:
        return str(zero.dtype)
    named = int(node.attributes.get("output_dtype", 0))
    return type_name(named) if named else "uint8"


def _range(node: OnnxNode, kind: str) -> tuple[int, int]:
    """Codes of a type of QuantizeLinear."""
    if kind in _NARROW_CODES:
        return _NARROW_CODES[kind]
    if kind not in _CODES:
        raise node.refusal(f"makes codes of type {kind}", f"use one of {', '.join(INTEGERS)}")
    return int(_CODES[kind].min), int(_CODES[kind].max)


def _quant_range(node: OnnxNode, bits: OnnxArray) -> tuple[int, int]:
    """Codes of a Quant, whose rounding must be ours."""
    width, mode = _whole_bits(node, bits), str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if mode not in HALF_EVEN:
        raise node.refusal(f"rounds by {mode}", "export it with rounding_mode ROUND, halves to even")
    signed, narrow = bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0))
    if signed:
        return -(1 << (width - 1)) + narrow, (1 << (width - 1)) - 1
    return 0, (1 << width) - 1 - narrow


def _whole_bits(node: OnnxNode, bits: OnnxArray) -> int:
    values = np.unique(np.asarray(bits, np.float64))
    if values.size != 1 or not values[0].is_integer() or not 2 <= values[0] <= MOST_BITS:
        raise node.refusal(
            f"has bit widths {values.tolist()}", f"give a tensor one whole width of 2 to {MOST_BITS} bits"
        )
    return int(values[0])


def _refused(problem: str, mend: str) -> Callable[..., Any]:
    def refuse(importer: Importer, node: OnnxNode) -> OnnxValue:
        raise node.refusal(problem, mend)

    return refuse


QUANTIZERS: dict[str, NodeImporter] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "Quant": quant,
    "BipolarQuant": _refused("quantizes to -1 and 1", "use Quant of 2 bits or more"),
    "Trunc": _refused(
        "cuts off bits of an average", "average by AveragePool and round by Quant, as of a plain average pool"
    ),
}

# What may be done with codes between QuantizeLinear and DequantizeLinear, for it does the same to values.
ON_CODES: dict[str, NodeImporter | None] = {
    "Clip": clip_codes,
    "DequantizeLinear": dequantize_linear,
    **dict.fromkeys(
        (
            *("Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split"),
            *("MaxPool", "Concat", "Shape", "DepthToSpace"),
        )
    ),
}
