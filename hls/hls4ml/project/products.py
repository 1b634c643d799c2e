"""Convolutions and dense layers in hls4ml's terms: weights of one frac, axes in its order, exact types."""

from dataclasses import dataclass

import numpy as np

from bitlathe.hls.hls4ml.project.ap_fixed import ApFixed, holding
from bitlathe.hls.hls4ml.project.builder import Lowering
from bitlathe.hls.hls4ml.project.plan import Attribute, LayerConstants, Multipliers, ProjectLayer
from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.bounds import accumulator_range
from bitlathe.model.graph.graph import shifts
from bitlathe.model.graph.nodes import Conv2d, Node

DSP_WIDE, DSP_NARROW = 25, 18  # bits of the operands that one DSP multiplies, signs included (DSP48E1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product:
    """Sums of products at one frac."""

    weight: Int64s  # (out_channels, in_channels / groups, height, width), aligned to one frac
    bias: Int64s  # (out_channels,) at `frac`
    weight_frac: int
    frac: int  # of the sums
    lowest: int  # of any sum, partial ones included
    highest: int

    @property
    def accumulator(self) -> ApFixed:
        """Narrowest type of the sums."""
        return holding(self.lowest, self.highest, self.frac)

    @property
    def weight_type(self) -> ApFixed:
        """Narrowest type of the weights."""
        return holding(int(self.weight.min()), int(self.weight.max()), self.weight_frac)

    @property
    def bias_type(self) -> ApFixed:
        """Narrowest type of the biases."""
        return holding(int(self.bias.min()), int(self.bias.max()), self.frac)

    def types(self, result: ApFixed) -> dict[str, ApFixed]:
        """Types by hls4ml's names."""
        weight = self.weight_type
        return {"result": result, "accum": self.accumulator, "weight": weight, "bias": self.bias_type}

    def dsps(self, data: ApFixed) -> int:
        """DSPs of one product with codes of a type; a product with 1 is a wire."""
        if (np.abs(self.weight) == 1).all():
            return 0
        widths = sorted((data.bits + (not data.signed), self.weight_type.bits))  # a sign bit for the unsigned
        return -(-widths[1] // DSP_WIDE) * -(-widths[0] // DSP_NARROW)


def product_of(lowering: Lowering, conv: Conv2d, offset: int = 0) -> Product:
    """Integers of a convolution whose output codes are raised by `offset`."""
    graph = lowering.graph
    finest = max(conv.weight_frac)
    steps = finest - np.array(conv.weight_frac, np.int64)
    sums = accumulator_range(graph, conv, lowering.ranges)
    raised = np.left_shift(np.int64(offset), np.array(shifts(graph, conv), np.int64))
    return Product(
        weight=np.left_shift(conv.weight.astype(np.int64), steps[:, None, None, None]),
        bias=np.left_shift(conv.bias.astype(np.int64) + raised, steps),
        weight_frac=finest,
        frac=graph.format_of(conv.source).frac + finest,
        lowest=int(np.left_shift(sums.lowest + np.minimum(raised, 0), steps).min()),
        highest=int(np.left_shift(sums.highest + np.maximum(raised, 0), steps).max()),
    )


def add_convolution(
    lowering: Lowering, name: str, conv: Conv2d, product: Product, source: ProjectLayer, result: ApFixed
) -> ProjectLayer:
    """Add the layer of `conv`'s window that makes `product` from `source`."""
    extra = _zero_rows(conv)
    weight = np.pad(product.weight, ((0, 0), (0, 0), (0, extra), (0, 0)))
    _, height, width = lowering.graph.shapes[conv.name]
    types = product.types(result)
    # (height, width, in, out); a depthwise one has its channels in the third place
    axes = (2, 3, 0, 1) if conv.is_depthwise else (2, 3, 1, 0)
    key = "depthwise_data" if conv.is_depthwise else "weight_data"
    return lowering.add(
        name,
        conv,
        class_name="DepthwiseConv2D" if conv.is_depthwise else "Conv2D",
        inputs=(source.name,),
        shape=(height, width, conv.out_channels),
        attributes=_window(conv, source, (height, width), extra),
        weights={
            key: LayerConstants(codes=np.ascontiguousarray(weight.transpose(axes)), type=product.weight_type),
            "bias_data": LayerConstants(codes=product.bias, type=product.bias_type),
        },
        types={**types, "depthwise": types["weight"]} if conv.is_depthwise else types,
        multipliers=_multipliers(conv, product, source, (height, width), extra),
    )


def add_dense(
    lowering: Lowering, node: Node, product: Product, source: ProjectLayer, result: ApFixed
) -> ProjectLayer:
    """Add a dense layer; the product's kernel covers the map that `source` is the row of."""
    columns = product.weight.transpose(2, 3, 1, 0).reshape(source.size, -1)  # (height, width, channels), out
    features, outputs = columns.shape
    first = lowering.home(node.sources[0])
    return lowering.add(
        node.name,
        node,
        class_name="Dense",
        inputs=(source.name,),
        shape=(outputs,),
        attributes={"n_in": features, "n_out": outputs},
        weights={
            "weight_data": LayerConstants(codes=columns, type=product.weight_type),
            "bias_data": LayerConstants(codes=product.bias, type=product.bias_type),
        },
        types=product.types(result),
        multipliers=Multipliers(
            rows=features,
            columns=outputs,
            is_resource=True,
            dsps_a_product=product.dsps(source.types["result"]),
            pixels_in=first.size // first.shape[-1],
            pixels_out=1,
        ),
    )


def _zero_rows(conv: Conv2d) -> int:
    """Rows of zeros below a kernel: hls4ml's window of one row forgets the vertical stride."""
    is_pointwise = conv.kernel_size == (1, 1) and not conv.is_depthwise
    return int(conv.kernel_size[0] == 1 and conv.stride[0] > 1 and not is_pointwise)


def _window(conv: Conv2d, source: ProjectLayer, size: tuple[int, int], extra: int) -> dict[str, Attribute]:
    in_height, in_width, channels = source.shape
    (top, left), (bottom, right), (height, width) = conv.padding, conv.windows.end_padding, conv.kernel_size
    depthwise: dict[str, Attribute] = {"depth_multiplier": 1} if conv.is_depthwise else {}
    return {
        "data_format": "channels_last",
        "in_height": in_height,
        "in_width": in_width,
        "n_chan": channels,
        "out_height": size[0],
        "out_width": size[1],
        "n_filt": conv.out_channels,
        "filt_height": height + extra,
        "filt_width": width,
        "stride_height": conv.stride[0],
        "stride_width": conv.stride[1],
        "pad_top": top,
        "pad_bottom": bottom + extra,
        "pad_left": left,
        "pad_right": right,
        **depthwise,
    }


def _multipliers(
    conv: Conv2d, product: Product, source: ProjectLayer, size: tuple[int, int], extra: int
) -> Multipliers:
    in_height, in_width, channels = source.shape
    (top, left), (bottom, right), (height, width) = conv.padding, conv.windows.end_padding, conv.kernel_size
    return Multipliers(
        rows=(height + extra) * width * channels,
        columns=1 if conv.is_depthwise else conv.out_channels,
        is_resource=not conv.is_depthwise,
        dsps_a_product=product.dsps(source.types["result"]),
        pixels_in=(in_height + top + bottom + extra) * (in_width + left + right),
        pixels_out=size[0] * size[1],
    )
