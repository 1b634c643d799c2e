"""One handler per operator: from a call of the exported program to a node of the float network."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod

import numpy as np
import torch

from bitlathe.model.capture.calls import Call, CallReader, TracedTensor
from bitlathe.model.capture.float_network import (
    Affine,
    Clamp,
    CodeGrid,
    FloatAvgPool2d,
    FloatConcat,
    FloatConv2d,
    FloatDense,
    FloatMaxPool2d,
    FloatNode,
    OntoGrid,
    Origin,
    Sum,
)
from bitlathe.model.capture.formula import Formula, constant, operation
from bitlathe.model.graph.nodes import Pair, Shape, window_size

_ZERO, _ONE = constant(np.zeros(1)), constant(np.ones(1))


def convolution(call: Call) -> FloatNode:
    """conv2d: groups 1 or depthwise, dilation 1, zeros as padding."""
    x, origin = call.map("input"), _origin(call)
    size = origin.weight.value.shape
    if set(call.pair("dilation")) != {1}:
        raise call.refusal(f"has dilation {call.pair('dilation')}", "retrain with dilation 1")
    return FloatConv2d(
        name=call.name,
        shape=call.shape,
        source=x.node.name,
        weight=origin.weight.float32s(),
        bias=origin.bias.float64s(),
        stride=call.pair("stride"),
        padding=_convolution_padding(call, (size[2], size[3])),
        groups=_groups(call, x.node.shape[0], size[0]),
        captured=origin,
    )


def _origin(call: Call) -> Origin:
    weight = call.constant("weight")
    return Origin(weight=weight, bias=call.optional("bias", constant(np.zeros(len(weight.value)))))


def _groups(call: Call, in_channels: int, out_channels: int) -> int:
    groups = call.integer("groups", 1)
    if groups > 1 and not groups == in_channels == out_channels:
        raise call.refusal(
            f"has {groups} groups for {in_channels} input and {out_channels} output channels",
            "use 1 group, or as many groups as input and output channels (depthwise)",
        )
    return groups


def _convolution_padding(call: Call, kernel_size: Pair) -> Pair:
    if call.arguments["padding"] == "valid":
        return 0, 0
    if call.arguments["padding"] != "same":
        return call.pair("padding")
    if any(size % 2 == 0 for size in kernel_size):
        raise call.refusal(
            f"pads a {kernel_size} kernel unevenly", "use a kernel of odd size or state the padding"
        )
    return kernel_size[0] // 2, kernel_size[1] // 2


def linear(call: Call) -> FloatNode:
    """linear over a flattened map."""
    x, origin = call.traced("input"), _origin(call)
    if len(x.size) != 2:
        raise call.refusal(f"works on a tensor of size {x.size}", "flatten to (N, features) before it")
    return FloatDense(
        name=call.name,
        shape=call.shape,
        source=x.node.name,
        weight=origin.weight.float32s(),
        bias=origin.bias.float64s(),
        captured=origin,
    )


def batch_norm(call: Call) -> FloatNode:
    """Batch norm with running statistics: an affine map of each channel."""
    x, mean = call.traced("input"), call.constant("running_mean")
    ones, eps = constant(np.ones(len(mean.value))), call.number("eps")
    deviation = operation(lambda variance: torch.sqrt(variance + eps), call.constant("running_var"))
    scale = call.optional("weight", ones) / deviation
    offset = call.optional("bias", ones - ones) - mean * scale
    return _affine(call, x, scale, offset)


def add(call: Call) -> FloatNode:
    """Sum of two tensors, or of a tensor and a constant for each channel."""
    if call.number("alpha", 1.0) != 1.0:
        raise call.refusal(f"has alpha {call.arguments['alpha']}", "use a plain sum")
    left, right = call.arguments["self"], call.arguments["other"]
    if isinstance(left, TracedTensor) and isinstance(right, TracedTensor):
        return _sum(call, left, right)
    x, summand = _split(call)
    return _affine(call, x, _ONE, summand)


def subtract(call: Call) -> FloatNode:
    """A tensor minus a constant for each channel, or the other way round."""
    if call.number("alpha", 1.0) != 1.0:
        raise call.refusal(f"has alpha {call.arguments['alpha']}", "use a plain difference")
    x, operand = _split(call)
    is_first = isinstance(call.arguments["self"], TracedTensor) != call.operator.startswith("aten.rsub")
    sign = constant(np.full(1, 1.0 if is_first else -1.0))
    return _affine(call, x, sign, _ZERO - sign * operand)


def multiply(call: Call) -> FloatNode:
    """A tensor times a constant for each channel."""
    x, factor = _split(call)
    return _affine(call, x, factor, _ZERO)


def divide(call: Call) -> FloatNode:
    """A tensor divided by a constant for each channel."""
    x = call.traced("self")
    _, divisor = _split(call)
    return _affine(call, x, _ONE / divisor, _ZERO)


def _sum(call: Call, left: TracedTensor, right: TracedTensor) -> FloatNode:
    if left.size != right.size:
        raise call.refusal(f"adds sizes {left.size} and {right.size}", "give both summands one size")
    if left.node.shape != right.node.shape:
        raise call.refusal(
            f"adds flattened maps of {left.node.shape} and {right.node.shape}", "add maps of one shape"
        )
    return Sum(name=call.name, shape=left.node.shape, left=left.node.name, right=right.node.name)


def _split(call: Call) -> tuple[TracedTensor, Formula]:
    """The tensor and the constant among the two operands of a call."""
    for here, there in (("self", "other"), ("other", "self")):
        value = call.arguments[here]
        if isinstance(value, TracedTensor):
            return value, _channel_constant(call, there, value)
    raise AssertionError("constants are computed before handlers are called")


def _channel_constant(call: Call, name: str, x: TracedTensor) -> Formula:
    """A constant operand: one value for all channels (1,), or one per channel (C,)."""
    if isinstance(call.arguments[name], TracedTensor):
        raise call.refusal(
            "takes two tensors", "only sums of two tensors, and constants per channel, are supported"
        )
    if not isinstance(call.arguments[name], Formula):
        return constant(np.full(1, call.number(name)))
    values = call.constant(name)
    shape = tuple(values.value.shape)
    by_channel = (1,) * (len(x.size) - len(shape)) + shape
    if prod(shape) != 1 and by_channel != (1, x.node.shape[0], 1, 1)[: len(x.size)]:
        raise call.refusal(f"has a constant of shape {shape}", "use one number, or one per channel")
    return operation(lambda tensor: tensor.reshape(-1), values)


def _affine(call: Call, x: TracedTensor, scale: Formula, offset: Formula) -> FloatNode:
    channels = x.node.shape[0]
    if max(len(scale.value), len(offset.value)) not in (1, channels):
        raise call.refusal(
            f"works on {len(scale.value)} flattened features of a {x.node.shape} map",
            "apply it to the map before flattening",
        )
    return Affine(
        name=call.name,
        shape=x.node.shape,
        source=x.node.name,
        scale=operation(lambda values: values.expand(channels), scale),
        offset=operation(lambda values: values.expand(channels), offset),
    )


def clamp(call: Call) -> FloatNode:
    """clamp, hardtanh: any bounds."""
    low, high = ("min", "max") if "min" in call.arguments else ("min_val", "max_val")
    return _clamp(call, call.number(low, -inf), call.number(high, inf))


def _clamp(call: Call, low: float, high: float) -> FloatNode:
    x = call.traced().node
    if low > high:
        raise call.refusal(f"clamps to [{low}, {high}]", "give a lower bound that is not above the upper one")
    return Clamp(name=call.name, shape=x.shape, source=x.name, low=low, high=high)


def fake_quantize(call: Call) -> FloatNode:
    """fake_quantize_per_tensor_affine: halves to even, zero among the values."""
    x, zero = call.traced().node, int(_scalar(call, "zero_point"))
    lo, hi = call.integer("quant_min") - zero, call.integer("quant_max") - zero
    grid = CodeGrid(step=_scalar(call, "scale"), lo=lo, hi=hi)
    return OntoGrid(name=call.name, shape=x.shape, source=x.name, grid=grid)


def _scalar(call: Call, name: str) -> float:
    """A number, or a constant tensor of one."""
    given = call.arguments[name]
    return float(call.constant(name).value) if isinstance(given, Formula) else call.number(name)


def max_pool(call: Call) -> FloatNode:
    """max_pool2d: dilation 1."""
    if set(call.pair("dilation")) != {1}:
        raise call.refusal(f"has dilation {call.pair('dilation')}", "use dilation 1")
    kernel_size, stride, padding = _window(call)
    return FloatMaxPool2d(
        name=call.name,
        shape=call.shape,
        source=call.map().node.name,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
    )


def average_pool(call: Call) -> FloatNode:
    """avg_pool2d: any padding is counted."""
    kernel_size, stride, padding = _window(call)
    if padding != (0, 0) and not call.arguments["count_include_pad"]:
        raise call.refusal(
            "leaves its padding out of the average", "use count_include_pad=True or no padding"
        )
    if call.arguments["divisor_override"] is not None:
        raise call.refusal("has a divisor_override", "divide by the window's area")
    return _average(call, kernel_size, stride, padding)


def adaptive_average_pool(call: Call) -> FloatNode:
    """adaptive_avg_pool2d to a size that divides the map's."""
    _, height, width = call.map().node.shape
    rows, columns = call.pair("output_size")
    if height % rows or width % columns:
        raise call.refusal(
            f"makes {rows}x{columns} of a {height}x{width} map",
            "choose an output size that divides the map's",
        )
    window = (height // rows, width // columns)
    return _average(call, window, window, (0, 0))


def mean(call: Call) -> FloatNode:
    """mean over height and width."""
    _, height, width = call.map().node.shape
    axes = {axis % 4 for axis in call.integers("dim")}
    if axes != {2, 3}:
        raise call.refusal(f"averages over axes {sorted(axes)}", "average over height and width, dim=(2, 3)")
    return _average(call, (height, width), (height, width), (0, 0))


def _average(call: Call, kernel_size: Pair, stride: Pair, padding: Pair) -> FloatNode:
    return FloatAvgPool2d(
        name=call.name,
        shape=call.shape,
        source=call.map().node.name,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
    )


def _window(call: Call) -> tuple[Pair, Pair, Pair]:
    """Kernel size, stride and padding of a pool."""
    kernel_size, padding = call.pair("kernel_size"), call.pair("padding")
    stride = call.pair("stride", kernel_size)
    axes = zip(call.map().node.shape[1:], kernel_size, stride, padding, strict=True)
    if tuple(window_size(*axis) for axis in axes) != call.shape[1:]:
        raise call.refusal("rounds its output size up", "use ceil_mode=False")
    return kernel_size, stride, padding


def concatenate(call: Call) -> FloatNode:
    """cat along channels."""
    operands = call.arguments["tensors"]
    assert isinstance(operands, Sequence)
    nodes = [operand.node for operand in operands if isinstance(operand, TracedTensor)]
    if len(nodes) != len(operands):
        raise call.refusal("joins a constant", "pad channels with torch.nn.functional.pad")
    if call.integer("dim") % len(call.size) != 1 or len({node.shape[1:] for node in nodes}) != 1:
        raise call.refusal(
            f"joins {[node.shape for node in nodes]} along axis {call.arguments['dim']}", "join channels"
        )
    shape = (sum(node.shape[0] for node in nodes), *nodes[0].shape[1:])
    return FloatConcat(name=call.name, shape=shape, operands=tuple(node.name for node in nodes))


def slice_(call: Call) -> FloatNode:
    """slice: every n-th row or column, or any channels."""
    x, axis = call.map(), call.integer("dim") % 4
    bounds = slice(call.integer("start"), call.integer("end", x.size[axis]), call.integer("step", 1))
    chosen = range(x.size[axis])[bounds]
    if chosen == range(x.size[axis]):
        return x.node
    if axis == 1:
        return _selection(call, x, tuple(chosen))
    if axis == 0 or chosen.start != 0 or chosen != range(0, x.size[axis], chosen.step):
        raise call.refusal(
            f"takes {chosen} of axis {axis}", "only every n-th row or column from the first can be taken"
        )
    stride = (chosen.step, 1) if axis == 2 else (1, chosen.step)
    return _selection(call, x, tuple(range(x.size[1])), stride)


def index_select(call: Call) -> FloatNode:
    """index_select of channels."""
    x = call.map()
    if call.integer("dim") % 4 != 1:
        raise call.refusal(f"selects along axis {call.arguments['dim']}", "only channels can be selected")
    return _selection(call, x, tuple(call.constant("index").value.int().tolist()))


def pad(call: Call) -> FloatNode:
    """pad with zeros: channels before and after, or rows and columns around."""
    x = call.map()
    if call.arguments.get("mode", "constant") != "constant" or call.number("value") != 0:
        raise call.refusal("pads with other than zeros", "use padding_mode='zeros'")
    left, right, top, bottom, front, behind, *batch = (*call.integers("pad"), 0, 0, 0, 0, 0, 0, 0, 0)[:8]
    amounts = (left, right, top, bottom, front, behind, *batch)
    if any(batch) or min(amounts) < 0 or (any(amounts[:4]) and (front or behind)):
        raise call.refusal(f"pads by {list(amounts)}", "pad channels alone, or height and width alone")
    if front or behind:
        return _selection(call, x, (None,) * front + tuple(range(x.size[1])) + (None,) * behind)
    return _surrounded(call, x, (top, bottom), (left, right))


def _surrounded(call: Call, x: TracedTensor, rows: Pair, columns: Pair) -> FloatNode:
    """A depthwise convolution that passes on each pixel exactly, with zeros before and behind each axis.

    Its kernel has one 1, as far from the middle as the padding is uneven.
    """
    channels, padding = x.node.shape[0], (max(rows), max(columns))
    weight = np.zeros((channels, 1, 1 + abs(rows[0] - rows[1]), 1 + abs(columns[0] - columns[1])), np.float32)
    weight[:, 0, padding[0] - rows[0], padding[1] - columns[0]] = 1
    return FloatConv2d(
        name=call.name,
        shape=call.shape,
        source=x.node.name,
        weight=weight,
        bias=np.zeros(channels),
        padding=padding,
        groups=channels,
    )


def _selection(
    call: Call, x: TracedTensor, channels: tuple[int | None, ...], stride: Pair = (1, 1)
) -> FloatNode:
    """A 1x1 convolution that passes on the given input channels exactly, and zeros for None."""
    weight = np.zeros((len(channels), x.node.shape[0], 1, 1), dtype=np.float32)
    for out_channel, in_channel in enumerate(channels):
        if in_channel is not None:
            weight[out_channel, in_channel] = 1
    return FloatConv2d(
        name=call.name,
        shape=call.shape,
        source=x.node.name,
        weight=weight,
        bias=np.zeros(len(channels)),
        stride=stride,
    )


def reshape(call: Call) -> FloatNode:
    """view, flatten, squeeze: between a map and (N, features), in C, H, W order."""
    x = call.traced()
    flat: Shape = (prod(x.node.shape), 1, 1)
    if call.shape != (x.node.shape if len(call.size) == 4 else flat):
        raise call.refusal(
            f"makes size {call.size} of {x.size}", "only flattening to (N, features) is supported"
        )
    return x.node


def identity(call: Call) -> FloatNode:
    """Operators that leave the values unchanged."""
    return call.traced().node


BATCH_NORM = "aten.batch_norm.default"

HANDLERS: dict[str, CallReader] = {
    "aten.conv2d.default": convolution,
    "aten.conv2d.padding": convolution,
    "aten.linear.default": linear,
    BATCH_NORM: batch_norm,
    "aten._native_batch_norm_legit_no_training.default": batch_norm,
    "aten.relu.default": lambda call: _clamp(call, 0.0, inf),
    "aten.relu6.default": lambda call: _clamp(call, 0.0, 6.0),
    "aten.hardtanh.default": clamp,
    "aten.clamp.default": clamp,
    "aten.fake_quantize_per_tensor_affine.default": fake_quantize,
    "aten.fake_quantize_per_tensor_affine.tensor_qparams": fake_quantize,
    "aten.max_pool2d.default": max_pool,
    "aten.avg_pool2d.default": average_pool,
    "aten.adaptive_avg_pool2d.default": adaptive_average_pool,
    "aten.mean.dim": mean,
    "aten.add.Tensor": add,
    "aten.sub.Tensor": subtract,
    "aten.rsub.Scalar": subtract,
    "aten.rsub.Tensor": subtract,
    "aten.mul.Tensor": multiply,
    "aten.div.Tensor": divide,
    "aten.cat.default": concatenate,
    "aten.slice.Tensor": slice_,
    "aten.index_select.default": index_select,
    "aten.pad.default": pad,
    "aten.constant_pad_nd.default": pad,
    "aten.view.default": reshape,
    "aten._unsafe_view.default": reshape,  # flatten of a map in channels_last order
    "aten.reshape.default": reshape,
    "aten.flatten.using_ints": reshape,
    "aten.squeeze.default": reshape,
    "aten.squeeze.dims": reshape,
    "aten.squeeze.dim": reshape,
    "aten.unsqueeze.default": reshape,
    "aten.clone.default": identity,
    "aten.alias.default": identity,
    "aten.contiguous.default": identity,
    "aten.detach.default": identity,
}
