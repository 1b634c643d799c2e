"""One handler per operator: from a call of the exported program to a node of the float network."""

from __future__ import annotations

import numpy as np
import torch

from bitlathe.model.capture import arithmetic, constants, pools
from bitlathe.model.capture.arrangement import made_of_images, moving, only_around
from bitlathe.model.capture.calls import Call, Made, TracedTensor
from bitlathe.model.capture.float_network import (
    FloatConv2d,
    FloatConvTranspose2d,
    FloatDense,
    FloatLookup,
    FloatNode,
    Origin,
)
from bitlathe.model.capture.formula import constant, operation
from bitlathe.model.capture.routes import BATCH, Arrangement, shape_of
from bitlathe.model.capture.scalar_function import ScalarFunction
from bitlathe.model.graph.nodes import Pair, Windows


def convolution(call: Call) -> Made:
    """conv1d, conv2d: any groups, dilation and padding with zeros."""
    origin = _origin(call)
    size = origin.weight.value.shape
    kernel_size, dilation = (size[2], size[3]), pools.of_axes(call, "dilation", 1)
    padding, end = _convolution_padding(call, kernel_size, dilation)
    source, padding, end = _absorbing(call, padding, end)
    windows = Windows(
        kernel_size=kernel_size,
        stride=pools.of_axes(call, "stride", 1),
        padding=padding,
        end_padding=end,
        dilation=dilation,
    )
    layer = FloatConv2d(
        name=call.name,
        shape=call.shape,
        source=source.name,
        weight=origin.weight.float32s(),
        bias=origin.bias.float64s(),
        groups=call.integer("groups", 1),
        captured=origin,
    )
    return moving(layer, windows)


def _origin(call: Call) -> Origin:
    """Weight and bias; the weight of a layer for sequences as one row of a kernel."""
    weight = call.constant("weight")
    if weight.value.ndim == 3:
        weight = operation(lambda values: values.unsqueeze(2), weight)
    return Origin(weight=weight, bias=call.optional("bias", constant(np.zeros(len(weight.value)))))


def _convolution_padding(call: Call, kernel_size: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Padding before and behind; `same` has the odd zero behind."""
    if call.arguments["padding"] == "valid":
        return (0, 0), (0, 0)
    if call.arguments["padding"] != "same":
        padding = pools.of_axes(call, "padding", 0)
        return padding, padding
    total = [apart * (kernel - 1) for apart, kernel in zip(dilation, kernel_size, strict=True)]
    return (total[0] // 2, total[1] // 2), (-(-total[0] // 2), -(-total[1] // 2))


def _absorbing(call: Call, padding: Pair, end: Pair) -> tuple[FloatNode, Pair, Pair]:
    """What a convolution reads, and its padding: zeros around the map before it, or rows cut off, join it."""
    x = call.traced("input")
    if len(x.size) not in (3, 4):
        raise call.refusal(f"works on a tensor of size {x.size}", "give it one of size (N, C, H, W)")
    for stage in () if x.order is None else (None, *x.order.stages):
        around = _around(x, stage)
        pairs = [] if around is None else list(zip(around, (padding, end), strict=True))
        # of a map that is cut off, padding would meet the rows that were there
        if pairs and all(
            more >= 0 or own == 0 for mores, owns in pairs for more, own in zip(mores, owns, strict=True)
        ):
            before, behind = ((more[0] + own[0], more[1] + own[1]) for more, own in pairs)
            return call.at(x, stage).node, before, behind
    return call.as_map(x).node, padding, end


def _around(x: TracedTensor, stage: Arrangement | None) -> tuple[Pair, Pair] | None:
    """Zeros around, or rows cut off, where nothing else came behind a stage that nodes make; else None."""
    if x.order is None or (stage is not None and stage.route is None):
        return None
    shape = x.node.shape if stage is None or stage.route is None else stage.route.shape
    places = x.order.since(stage)
    if not made_of_images(places, shape, BATCH):
        return None
    return only_around(shape, places[0].reshape(shape_of(places.shape)))


def transposed_convolution(call: Call) -> Made:
    """conv_transpose1d, conv_transpose2d: any groups, stride, dilation and padding."""
    dilation = pools.of_axes(call, "dilation", 1)
    groups, weight = call.integer("groups", 1), call.constant("weight")

    def by_output(values: torch.Tensor) -> torch.Tensor:
        parts = values.reshape(groups, values.shape[0] // groups, *values.shape[1:]).transpose(1, 2)
        made = parts.reshape(-1, *parts.shape[2:])
        return _apart(made.unsqueeze(2) if made.ndim == 3 else made, dilation)

    weight = operation(by_output, weight)
    origin = Origin(weight=weight, bias=call.optional("bias", constant(np.zeros(len(weight.value)))))
    return FloatConvTranspose2d(
        name=call.name,
        shape=call.shape,
        source=pools.sequence_or_map(call, "input").name,
        weight=origin.weight.float32s(),
        bias=origin.bias.float64s(),
        stride=pools.of_axes(call, "stride", 1),
        padding=pools.of_axes(call, "padding", 0),
        output_padding=pools.of_axes(call, "output_padding", 0),
        groups=groups,
        captured=origin,
    )


def _apart(kernel: torch.Tensor, dilation: Pair) -> torch.Tensor:
    """A kernel (..., height, width) whose taps have zeros between them."""
    if dilation == (1, 1):
        return kernel
    height, width = ((taps - 1) * apart + 1 for taps, apart in zip(kernel.shape[-2:], dilation, strict=True))
    made = kernel.new_zeros(*kernel.shape[:-2], height, width)
    made[..., :: dilation[0], :: dilation[1]] = kernel
    return made


def linear(call: Call) -> Made:
    """linear: over flattened maps in any order, or over the channels of maps in the order (N, H, W, C)."""
    return _dense(call, call.traced("input"), _origin(call))


def product_with_weights(call: Call) -> Made:
    """mm, matmul, addmm: (N, features) by constant weights."""
    first, second = (
        ("mat1", "mat2")
        if "mat1" in call.arguments
        else ("self", "mat2" if "mat2" in call.arguments else "other")
    )
    if isinstance(call.arguments[second], TracedTensor):
        raise call.refusal(
            "multiplies matrices of the image", "one factor must be weights: use Linear or Conv2d"
        )
    weight = operation(lambda values: values.t(), call.constant(second))
    bias = call.constant("self") if first == "mat1" else constant(np.zeros(len(weight.value)))
    return _dense(call, call.traced(first), Origin(weight=weight, bias=bias))


def _dense(call: Call, x: TracedTensor, origin: Origin) -> Made:
    if len(x.size) != 2:
        return _dense_of_channels(call, x, origin)
    if not x.is_plain and x.has_all_values:
        column = torch.from_numpy(np.argsort(call.of_each_image(x)))
        by_place = operation(lambda weight: weight[:, column.to(weight.device)], origin.weight)
        origin = Origin(weight=by_place, bias=origin.bias)
    elif not x.is_plain:
        x = call.as_map(x)
    return FloatDense(
        name=call.name,
        shape=call.shape,
        source=x.node.name,
        weight=origin.weight.float32s(),
        bias=origin.bias.float64s(),
        captured=origin,
    )


def _dense_of_channels(call: Call, x: TracedTensor, origin: Origin) -> Made:
    """A 1x1 convolution of maps whose channels are the last axis."""
    if len(x.size) not in (3, 4):
        raise call.refusal(f"works on a tensor of size {x.size}", "flatten to (N, features) before it")
    turned = call.rearranged(x, lambda places: np.moveaxis(places, -1, 1), "turned")
    node = call.ready(turned)
    if node.order is not None or (len(x.size) == 4 and node.node.shape != turned.size[1:]):
        raise call.refusal(f"works on a tensor of size {x.size}", "flatten to (N, features) before it")
    shape = (len(origin.weight.value), *node.node.shape[1:])
    weight = operation(lambda values: values[:, :, None, None], origin.weight)
    layer = FloatConv2d(
        name=call.name,
        shape=shape,
        source=node.node.name,
        weight=weight.float32s(),
        bias=origin.bias.float64s(),
        captured=Origin(weight=weight, bias=origin.bias),
    )
    made = call.result_of_size(layer, (BATCH, shape[0], *turned.size[2:]))
    return call.rearranged(made, lambda places: np.moveaxis(places, 1, -1), "turned")


def batch_norm(call: Call) -> Made:
    """batch_norm: with running statistics, folded into the weights beside it where they can take it in."""
    x, mean = call.values("input"), call.constant("running_mean")
    ones, eps = constant(np.ones(len(mean.value))), call.number("eps")
    deviation = operation(lambda variance: torch.sqrt(variance + eps), call.constant("running_var"))
    scale = call.optional("weight", ones) / deviation
    offset = call.optional("bias", ones - ones) - mean * scale
    aligned = (constants.along_channels(scale, x), constants.along_channels(offset, x))
    x, (scale, offset) = constants.by_channel(call, x, *aligned)
    channels = x.node.shape[0]
    made = constants.affine(call, x, scale, offset)
    assert len(scale.value) in (1, channels)
    return made


def gated(call: Call) -> Made:
    """glu: half of the channels times the sigmoid of the other half, which is a table."""
    x = call.traced()
    axis = call.integer("dim", -1)
    values = call.ready(call.rearranged(x, lambda places: np.split(places, 2, axis)[0], "half"))
    gate = call.ready(call.rearranged(x, lambda places: np.split(places, 2, axis)[1], "half"))
    sigmoid = ScalarFunction(name="sigmoid", apply=torch.sigmoid)
    opened = FloatLookup(
        name=call.extra_name("gate"), shape=gate.node.shape, source=gate.node.name, function=sigmoid
    )
    return arithmetic.multiply(
        call.given({"self": values, "other": constants.kept_order(call, gate, opened)})
    )
