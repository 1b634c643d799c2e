"""From the integer graph to hls4ml's layers with exact types.

- A convolution or dense layer rounds and saturates in its `result` type. Weights of several fracs are
  aligned to the finest one, which changes no value.
- With a residual the convolution's result is its whole accumulator, and the addition rounds.
- A clamp that no type expresses, such as a ReLU6's, takes two layers: the first saturates above, its bias
  shifted so that the limit is a type's; the second shifts back and saturates below.
- An average is a depthwise convolution, as in the reference, or hls4ml's global one where that is exact.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from bitlathe.hls.hls4ml import refusals
from bitlathe.hls.hls4ml.ap_fixed import ApFixed, Saturation, clamping, holding, storing
from bitlathe.hls.hls4ml.plan import Attribute, Codes, Layer, Multipliers, Weights
from bitlathe.model.graph.bounds import CodeRange, accumulator_range, code_ranges
from bitlathe.model.graph.graph import Graph, shifts
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, Input, MaxPool2d, Node

DSP_WIDE, DSP_NARROW = 25, 18  # bits of the operands that one DSP multiplies, signs included (DSP48E1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Product:
    """A convolution in integers at one frac, in hls4ml's terms."""

    conv: Conv2d
    frac: int  # of the accumulators of all channels
    weight: Codes  # (out_channels, in_channels / groups, height, width) aligned to one frac
    bias: Codes  # (out_channels,) at `frac`
    weight_frac: int
    lowest: int  # of any accumulator
    highest: int


@dataclass(slots=True, kw_only=True)
class _Lowering:
    graph: Graph
    ranges: dict[str, CodeRange]
    layers: dict[str, Layer] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)  # tensor -> layer that makes it

    def home(self, tensor: str) -> Layer:
        return self.layers[self.homes[tensor]]

    def name(self, wanted: str) -> str:
        """A name that hls4ml and C++ take, unused so far."""
        clean = re.sub(r"\W", "_", wanted.lower(), flags=re.ASCII)
        clean = clean if re.match(r"[a-z]", clean) and clean != "input" else f"t_{clean}"
        return clean if clean not in self.layers else self.name(f"{clean}_{len(self.layers)}")

    def add(self, wanted: str, node: Node, **fields: object) -> Layer:
        layer = Layer(name=self.name(wanted), node=node.name, **fields)  # type: ignore[arg-type]  # fields of Layer
        self.layers[layer.name] = layer
        return layer


def lower(graph: Graph) -> tuple[tuple[Layer, ...], str]:
    """Layers of the nodes that the output needs, and the last one's name; UnsupportedLayer names a node."""
    lowering = _Lowering(graph=graph, ranges=code_ranges(graph))
    for node in needed_nodes(graph):
        refusals.check_node(graph, node)
        lowering.homes[node.name] = _lower_node(lowering, node).name
    return tuple(lowering.layers.values()), lowering.homes[graph.output]


def needed_nodes(graph: Graph) -> tuple[Node, ...]:
    """Nodes that the output depends on, and the input."""
    needed = {graph.output, graph.input.name}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.sources)
    return tuple(node for node in graph.nodes if node.name in needed)


def _lower_node(lowering: _Lowering, node: Node) -> Layer:
    if isinstance(node, Input):
        channels, height, width = node.shape
        return lowering.add(
            node.name,
            node,
            class_name="InputLayer",
            shape=(height, width, channels),
            attributes={"input_shape": [height, width, channels]},
            types={"result": storing(node.format)},
        )
    if isinstance(node, Conv2d):
        return _lower_convolution(lowering, node)
    if isinstance(node, Dense):
        return _lower_dense(lowering, node)
    if isinstance(node, AvgPool2d):
        return _lower_average(lowering, node)
    if isinstance(node, MaxPool2d):
        return _lower_max_pool(lowering, node)
    assert isinstance(node, Concat)  # check_node lets no other class through
    return _lower_concat(lowering, node)


def _lower_convolution(lowering: _Lowering, conv: Conv2d) -> Layer:
    result = clamping(conv.lo, conv.hi, conv.format.frac)
    offset = 0
    if result is None:
        result, offset = _upper_clamp(conv)
    product = _product(lowering, conv, offset)
    if conv.residual is None:
        last = _add_convolution(lowering, conv.name, product, result)
    else:
        whole = holding(product.lowest, product.highest, product.frac)
        summed = _add_convolution(lowering, f"{conv.name}_sum", product, whole)
        last = lowering.add(
            conv.name,
            conv,
            class_name="Merge",
            inputs=(summed.name, _as_map(lowering, conv.residual, conv).name),
            shape=summed.shape,
            attributes={"op": "add"},
            types={"result": result},
        )
    return last if offset == 0 else _add_lower_clamp(lowering, conv, last, offset)


def _upper_clamp(conv: Conv2d) -> tuple[ApFixed, int]:
    """Type that clamps to `hi` once codes are raised by the number returned; codes >= `lo` pass."""
    bits = (conv.hi - conv.lo).bit_length()
    result = ApFixed(bits=bits, frac=conv.format.frac, rounds=True, saturation=Saturation.SAT)
    return result, result.hi - conv.hi


def _add_lower_clamp(lowering: _Lowering, conv: Conv2d, source: Layer, offset: int) -> Layer:
    """A 1x1 depthwise convolution by 1 that subtracts `offset` and clamps to `lo`, which is 0 here."""
    channels = source.shape[2]
    saturated = source.types["result"]
    bits = conv.hi.bit_length()
    result = ApFixed(bits=bits, frac=saturated.frac, signed=False, rounds=True, saturation=Saturation.SAT)
    step = holding(min(saturated.lo - offset, 0), max(saturated.hi - offset, 0), saturated.frac)
    return _add_depthwise(
        lowering,
        f"{conv.name}_clamp",
        conv,
        source,
        weight=Weights(codes=np.ones((1, 1, channels, 1), np.int64), type=holding(0, 1, 0)),
        bias=Weights(
            codes=np.full(channels, -offset, np.int64), type=holding(-offset, -offset, saturated.frac)
        ),
        accumulator=step,
        result=result,
    )


def _product(lowering: _Lowering, conv: Conv2d, offset: int = 0) -> _Product:
    """Integers of a convolution whose output codes are raised by `offset`."""
    graph = lowering.graph
    finest = max(conv.weight_frac)
    steps = finest - np.array(conv.weight_frac, np.int64)
    sums = accumulator_range(graph, conv, lowering.ranges)
    raised = np.left_shift(np.int64(offset), np.array(shifts(graph, conv), np.int64))
    bias = np.left_shift(conv.bias.astype(np.int64) + raised, steps)
    return _Product(
        conv=conv,
        frac=graph.format_of(conv.source).frac + finest,
        weight=np.left_shift(conv.weight.astype(np.int64), steps[:, None, None, None]),
        bias=bias,
        weight_frac=finest,
        lowest=int(np.left_shift(sums.lowest + np.minimum(raised, 0), steps).min()),
        highest=int(np.left_shift(sums.highest + np.maximum(raised, 0), steps).max()),
    )


def _add_convolution(lowering: _Lowering, name: str, product: _Product, result: ApFixed) -> Layer:
    conv = product.conv
    source = _as_map(lowering, conv.source, conv)
    weight_type = holding(int(product.weight.min()), int(product.weight.max()), product.weight_frac)
    bias_type = holding(int(product.bias.min()), int(product.bias.max()), product.frac)
    accumulator = holding(product.lowest, product.highest, product.frac)
    weight, height, extra = product.weight, conv.kernel_size[0], 0
    if height == 1 and conv.stride[0] > 1 and (conv.kernel_size[1] > 1 or conv.is_depthwise):
        # hls4ml's one-row window forgets the vertical stride; a second row, of zero weights, avoids it
        weight, height, extra = np.pad(weight, ((0, 0), (0, 0), (0, 1), (0, 0))), 2, 1
    _, out_height, out_width = lowering.graph.shapes[conv.name]
    in_height, in_width, channels = source.shape
    (top, left), width = conv.padding, conv.kernel_size[1]
    shared: dict[str, Attribute] = {
        "data_format": "channels_last",
        "in_height": in_height,
        "in_width": in_width,
        "n_chan": channels,
        "out_height": out_height,
        "out_width": out_width,
        "n_filt": conv.out_channels,
        "filt_height": height,
        "filt_width": width,
        "stride_height": conv.stride[0],
        "stride_width": conv.stride[1],
        "pad_top": top,
        "pad_bottom": top + extra,
        "pad_left": left,
        "pad_right": left,
    }
    depthwise: dict[str, Attribute] = {"depth_multiplier": 1} if conv.is_depthwise else {}
    types = {"result": result, "accum": accumulator, "weight": weight_type, "bias": bias_type}
    rows = height * width * channels
    return lowering.add(
        name,
        conv,
        class_name="DepthwiseConv2D" if conv.is_depthwise else "Conv2D",
        inputs=(source.name,),
        shape=(out_height, out_width, conv.out_channels),
        attributes={**shared, **depthwise},
        weights={
            "depthwise_data" if conv.is_depthwise else "weight_data": Weights(
                # (height, width, in, out); a depthwise one has its channels in the third place
                codes=np.ascontiguousarray(
                    weight.transpose(2, 3, 0, 1) if conv.is_depthwise else weight.transpose(2, 3, 1, 0)
                ),
                type=weight_type,
            ),
            "bias_data": Weights(codes=product.bias, type=bias_type),
        },
        types={**types, "depthwise": weight_type} if conv.is_depthwise else types,
        multipliers=Multipliers(
            rows=rows,
            columns=1 if conv.is_depthwise else conv.out_channels,
            is_resource=not conv.is_depthwise,
            dsps_a_product=_dsps_a_product(source.types["result"], weight_type),
            pixels_in=(in_height + 2 * top + extra) * (in_width + 2 * left),
            pixels_out=out_height * out_width,
        ),
    )


def _add_depthwise(
    lowering: _Lowering,
    name: str,
    node: Node,
    source: Layer,
    *,
    weight: Weights,
    bias: Weights,
    accumulator: ApFixed,
    result: ApFixed,
) -> Layer:
    """A 1x1 depthwise convolution."""
    height, width, channels = source.shape
    sizes: dict[str, Attribute] = {
        "data_format": "channels_last",
        "in_height": height,
        "in_width": width,
        "n_chan": channels,
        "out_height": height,
        "out_width": width,
        "n_filt": channels,
        "depth_multiplier": 1,
    }
    ones = dict.fromkeys(("filt_height", "filt_width", "stride_height", "stride_width"), 1)
    zeros = dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 0)
    return lowering.add(
        name,
        node,
        class_name="DepthwiseConv2D",
        inputs=(source.name,),
        shape=source.shape,
        attributes={**sizes, **ones, **zeros},
        weights={"depthwise_data": weight, "bias_data": bias},
        types={
            "result": result,
            "accum": accumulator,
            "weight": weight.type,
            "depthwise": weight.type,
            "bias": bias.type,
        },
        multipliers=Multipliers(
            rows=channels,
            columns=1,
            is_resource=False,
            dsps_a_product=0,  # a product with 1 is a wire
            pixels_in=height * width,
            pixels_out=height * width,
        ),
    )


def _as_map(lowering: _Lowering, tensor: str, node: Node) -> Layer:
    """Layer that gives a tensor as (height, width, channels)."""
    home = lowering.home(tensor)
    if len(home.shape) == 3:
        return home
    shape = (1, 1, *home.shape)
    return lowering.add(
        f"{node.name}_map",
        node,
        class_name="Reshape",
        inputs=(home.name,),
        shape=shape,
        attributes={"target_shape": list(shape)},
        types={"result": home.types["result"]},
    )


def _as_vector(lowering: _Lowering, tensor: str, node: Node) -> Layer:
    """Layer that gives a tensor as one row, in the order height, width, channels."""
    home = lowering.home(tensor)
    if len(home.shape) == 1:
        return home
    return lowering.add(
        f"{node.name}_flat",
        node,
        class_name="Reshape",
        inputs=(home.name,),
        shape=(home.size,),
        attributes={"target_shape": [home.size]},
        types={"result": home.types["result"]},
    )


def _lower_dense(lowering: _Lowering, dense: Dense) -> Layer:
    source = _as_vector(lowering, dense.source, dense)
    conv = lowering.graph.convolution(dense)
    result = clamping(dense.lo, dense.hi, dense.format.frac)
    assert result is not None  # check_node refuses the others
    product = _product(lowering, conv)
    columns = product.weight.transpose(2, 3, 1, 0).reshape(source.size, -1)  # (height, width, channels), out
    weight_type = holding(int(columns.min()), int(columns.max()), product.weight_frac)
    bias_type = holding(int(product.bias.min()), int(product.bias.max()), product.frac)
    return lowering.add(
        dense.name,
        dense,
        class_name="Dense",
        inputs=(source.name,),
        shape=(columns.shape[1],),
        attributes={"n_in": columns.shape[0], "n_out": columns.shape[1]},
        weights={
            "weight_data": Weights(codes=columns, type=weight_type),
            "bias_data": Weights(codes=product.bias, type=bias_type),
        },
        types={
            "result": result,
            "accum": holding(product.lowest, product.highest, product.frac),
            "weight": weight_type,
            "bias": bias_type,
        },
        multipliers=Multipliers(
            rows=columns.shape[0],
            columns=columns.shape[1],
            is_resource=True,
            dsps_a_product=_dsps_a_product(source.types["result"], weight_type),
            pixels_in=lowering.home(dense.source).size // lowering.home(dense.source).shape[-1],
            pixels_out=1,
        ),
    )


def _lower_average(lowering: _Lowering, pool: AvgPool2d) -> Layer:
    source = lowering.home(pool.source)
    result = clamping(pool.format.lo, pool.format.hi, pool.format.frac)
    assert result is not None
    if not _is_exact_global(lowering, pool) or len(source.shape) != 3:
        return _add_convolution(
            lowering, pool.name, _product(lowering, lowering.graph.convolution(pool)), result
        )
    height, width, channels = source.shape
    places = pool.multiplier_frac
    held = source.types["result"]
    bits = held.bits + (not held.signed) + 2 * places  # the sum, then the quotient's fraction
    return lowering.add(
        pool.name,
        pool,
        class_name="GlobalAveragePooling2D",
        inputs=(source.name,),
        shape=(channels,),
        attributes={
            "data_format": "channels_last",
            "in_height": height,
            "in_width": width,
            "n_filt": channels,
            "pool_height": height,
            "pool_width": width,
            "stride_height": height,
            "stride_width": width,
        },
        types={"result": result, "accum": ApFixed(bits=bits, frac=held.frac + places)},
    )


def _is_exact_global(lowering: _Lowering, pool: AvgPool2d) -> bool:
    """Whether hls4ml's global average, sum / area, is what the multiplier says."""
    _, height, width = lowering.graph.shapes[pool.source]
    covers = pool.kernel_size == (height, width) and pool.padding == (0, 0)
    return covers and pool.multiplier == 1 and height * width == 1 << pool.multiplier_frac


def _lower_max_pool(lowering: _Lowering, pool: MaxPool2d) -> Layer:
    source = _as_map(lowering, pool.source, pool)
    height, width, channels = source.shape
    _, out_height, out_width = lowering.graph.shapes[pool.name]
    held = source.types["result"].storage
    return lowering.add(
        pool.name,
        pool,
        class_name="MaxPooling2D",
        inputs=(source.name,),
        shape=(out_height, out_width, channels),
        attributes={
            "data_format": "channels_last",
            "in_height": height,
            "in_width": width,
            "n_filt": channels,
            "out_height": out_height,
            "out_width": out_width,
            "pool_height": pool.kernel_size[0],
            "pool_width": pool.kernel_size[1],
            "stride_height": pool.stride[0],
            "stride_width": pool.stride[1],
            "padding": "valid",
            "pad_top": 0,
            "pad_bottom": 0,
            "pad_left": 0,
            "pad_right": 0,
            "count_pad": True,
        },
        types={"result": held, "accum": held},
    )


def _lower_concat(lowering: _Lowering, node: Concat) -> Layer:
    """Pairs from left to right: hls4ml joins two tensors."""
    joined = _as_map(lowering, node.operands[0], node)
    for index, operand in enumerate(node.operands[1:]):
        other = _as_map(lowering, operand, node)
        is_last = index == len(node.operands) - 2
        joined = lowering.add(
            node.name if is_last else f"{node.name}_join{index}",
            node,
            class_name="Concatenate",
            inputs=(joined.name, other.name),
            shape=(*joined.shape[:2], joined.shape[2] + other.shape[2]),
            attributes={"axis": 3, "op": "concatenate3d"},
            types={"result": storing(node.format)},
        )
    return joined


def _dsps_a_product(data: ApFixed, weight: ApFixed) -> int:
    """DSPs of one product; an unsigned factor needs a sign bit."""
    widths = sorted((data.bits + (not data.signed), weight.bits))
    return -(-widths[1] // DSP_WIDE) * -(-widths[0] // DSP_NARROW)
