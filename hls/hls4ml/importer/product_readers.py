"""Readers of layers that multiply: dense, convolutions, batch normalization."""

from math import prod
from typing import Any

import numpy as np

from bitlathe.hls.hls4ml.importer.draft import GraphDraft, LayerOutput
from bitlathe.hls.hls4ml.importer.sums import Constants, KernelWindow, constants, sum_of, summed, value_of
from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import Pair


def read_dense(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Value of a dense layer: a convolution whose kernel covers the map."""
    (source,) = sources
    tensor = builder.tensor(source)
    shape = builder.shapes[tensor]
    weight = constants(layer, "weight")
    inputs, outputs = weight.codes.shape
    if inputs != prod(shape):
        raise UnsupportedLayer(
            f"{layer.name}: takes {inputs} features of {prod(shape)}; flatten the map before it"
        )
    columns = np.empty((outputs, inputs), np.int64)
    columns[:, source.places.reshape(-1)] = weight.codes.T
    covering = Constants(codes=columns.reshape(outputs, *shape), frac=weight.frac)
    return summed(layer, sum_of(builder, tensor, covering, constants(layer, "bias"), (outputs, 1, 1)))


def read_convolution(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Value of a convolution, depthwise ones included."""
    tensor = builder.map(sources[0])
    weight = constants(layer, "weight")
    channels = builder.shapes[tensor][0]
    is_depthwise = layer.class_name == "DepthwiseConv2D"
    _check_window(layer, is_depthwise)
    # (height, width, in, out) to (out, in, height, width); depthwise, channels are in the third place
    turned = weight.codes.transpose((2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1))
    codes, padding = _evenly_padded(layer, turned)
    stride = int(layer.get_attr("stride_height")), int(layer.get_attr("stride_width"))
    height, width, _ = layer.get_output_variable().shape
    draft = sum_of(
        builder,
        tensor,
        Constants(codes=codes, frac=weight.frac),
        constants(layer, "bias"),
        (len(codes), int(height), int(width)),
        KernelWindow(stride=stride, padding=padding, groups=channels if is_depthwise else 1),
    )
    return summed(layer, draft)


def _check_window(layer: Any, is_depthwise: bool) -> None:
    if layer.get_attr("data_format", "channels_last") != "channels_last":
        raise UnsupportedLayer(
            f"{layer.name}: is channels-first; convert the model with channels_last_conversion"
        )
    dilations = [int(layer.get_attr(name, 1) or 1) for name in ("dilation_height", "dilation_width")]
    if max(dilations) > 1:
        raise UnsupportedLayer(
            f"{layer.name}: dilation {dilations}, which hls4ml reads and ignores; retrain with dilation 1"
        )
    multiplier = int(layer.get_attr("depth_multiplier", 1) or 1)
    if is_depthwise and multiplier > 1:
        raise UnsupportedLayer(
            f"{layer.name}: depth multiplier {multiplier}; only 1 is supported: use a convolution"
        )


def _evenly_padded(layer: Any, weight: Int64s) -> tuple[Int64s, Pair]:
    """Weights and even padding: rows and columns of zeros move a window that was padded unevenly."""
    top, bottom, left, right = (
        int(layer.get_attr(f"pad_{side}", 0) or 0) for side in ("top", "bottom", "left", "right")
    )
    rows = max(bottom - top, 0), max(top - bottom, 0)
    columns = max(right - left, 0), max(left - right, 0)
    return np.pad(weight, ((0, 0), (0, 0), rows, columns)), (max(top, bottom), max(left, right))


def read_scale(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Batch normalization: scale and bias of each channel."""
    tensor = builder.map(sources[0])
    channels = builder.shapes[tensor][0]
    scale, bias = constants(layer, "scale"), constants(layer, "bias")
    if scale.codes.size != channels or bias.codes.size != channels:
        raise UnsupportedLayer(
            f"{layer.name}: {scale.codes.size} scales for {channels} channels; only one a channel is "
            "supported: fold it before"
        )
    draft = sum_of(
        builder,
        tensor,
        Constants(codes=scale.codes.reshape(channels, 1, 1, 1), frac=scale.frac),
        Constants(codes=bias.codes.reshape(channels), frac=bias.frac),
        builder.shapes[tensor],
        KernelWindow(groups=channels),
    )
    return value_of(layer, draft)
