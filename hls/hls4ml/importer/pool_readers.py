"""Readers of pools: a maximum is a pool of the graph, an average of a power of two a convolution by ones."""

from math import prod
from typing import Any

import numpy as np

from bitlathe.hls.hls4ml.importer.draft import GraphDraft, LayerOutput, standard_places
from bitlathe.hls.hls4ml.importer.sums import (
    Constants,
    KernelWindow,
    check_accumulator,
    sum_of,
    type_of,
    value_of,
)
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import MaxPool2d, Pair, Shape


def read_pool(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Value of a pool without padding."""
    is_global = layer.class_name == "GlobalPooling2D"
    tensor = builder.map(sources[0])
    channels, in_height, in_width = builder.shapes[tensor]
    pads = [int(layer.get_attr(f"pad_{side}", 0) or 0) for side in ("top", "bottom", "left", "right")]
    if any(pads):
        raise UnsupportedLayer(
            f"{layer.name}: a pool with padding {pads}; hls4ml's backends disagree on it: pad before"
        )
    kernel = (in_height, in_width) if is_global else _pair(layer, "pool")
    stride = kernel if is_global else _pair(layer, "stride")
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    height, width = (1, 1) if is_global else shape[:2]
    if str(layer.get_attr("pool_op")).lower() == "max":
        return _max_pool(builder, layer, tensor, kernel, stride, (channels, height, width))
    return _average_pool(builder, layer, tensor, kernel, stride, (channels, height, width))


def _average_pool(
    builder: GraphDraft, layer: Any, tensor: str, kernel: Pair, stride: Pair, shape: Shape
) -> LayerOutput:
    channels, area = shape[0], prod(kernel)
    if area & (area - 1):
        raise UnsupportedLayer(
            f"{layer.name}: an average of {area}; hls4ml truncates the quotient, which has an integer form "
            "only for powers of two: choose such a window"
        )
    ones = Constants(codes=np.ones((channels, 1, *kernel), np.int64), frac=area.bit_length() - 1)
    nothing = Constants(codes=np.zeros(channels, np.int64), frac=0)
    draft = sum_of(builder, tensor, ones, nothing, shape, KernelWindow(stride=stride, groups=channels))
    check_accumulator(layer, draft, builder.format(tensor).frac)  # it holds the sum before it is divided
    return value_of(layer, draft)


def _max_pool(
    builder: GraphDraft, layer: Any, tensor: str, kernel: Pair, stride: Pair, shape: Shape
) -> LayerOutput:
    code, codes = builder.format(tensor), builder.ranges[tensor]
    kinds = {what: type_of(layer, what) for what in ("accum", "result")}
    for what, kind in kinds.items():
        if not kind.holds(codes.lo, codes.hi, code.frac):
            raise UnsupportedLayer(
                f"{layer.name}: the {what} type of a max pool does not hold its input's codes; "
                "give it the input's type"
            )
    name = builder.unused(layer.name)
    node = MaxPool2d(name=name, format=code, source=tensor, kernel_size=kernel, stride=stride)
    made = builder.add(node, shape, codes.lo, codes.hi)
    places = standard_places(shape).reshape(tuple(int(n) for n in layer.get_output_variable().shape))
    return LayerOutput(layer=layer.name, places=places, type=kinds["result"], tensor=made)


def _pair(layer: Any, what: str) -> Pair:
    return int(layer.get_attr(f"{what}_height")), int(layer.get_attr(f"{what}_width"))
