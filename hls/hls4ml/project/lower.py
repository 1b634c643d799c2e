"""From the integer graph to hls4ml's layers with exact types.

- A convolution or dense layer rounds and saturates in its `result` type. Weights of several fracs are
  aligned to the finest one, which changes no value.
- With a residual the convolution's result is its whole accumulator, and the addition rounds.
- A clamp that no type expresses, such as a ReLU6's, takes two layers: the first saturates above, its bias
  shifted so that the limit is a type's; the second shifts back and saturates below.
- Dilated convolutions and groups of several channels have zeros in their kernels, which change no sum.
- An average is a depthwise convolution, as in the reference, or hls4ml's global one where that is exact.
"""

from dataclasses import replace

import numpy as np

from bitlathe.hls.hls4ml.project import refusals
from bitlathe.hls.hls4ml.project.ap_fixed import ApFixed, Saturation, clamping, storing
from bitlathe.hls.hls4ml.project.builder import Lowering
from bitlathe.hls.hls4ml.project.plan import ProjectLayer
from bitlathe.hls.hls4ml.project.products import Product, add_convolution, add_dense, product_of
from bitlathe.hls.hls4ml.project.windows import side_by_side
from bitlathe.model.graph.bounds import code_ranges
from bitlathe.model.graph.elementwise import Product as NodeProduct
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import AvgPool2d, Concat, Conv2d, Dense, Input, MaxPool2d, Node, Pair
from bitlathe.model.graph.resampling import Upsample2d


def lower(graph: Graph) -> tuple[tuple[ProjectLayer, ...], str]:
    """Layers of the nodes that the output needs, and the last one's name; UnsupportedLayer names a node."""
    lowering = Lowering(graph=graph, ranges=code_ranges(graph))
    for node in graph.needed:
        refusals.check_node(graph, node)
        lowering.homes[node.name] = _lower_node(lowering, node).name
    return tuple(lowering.layers.values()), lowering.homes[graph.only_output]


def _lower_node(lowering: Lowering, node: Node) -> ProjectLayer:
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
        return _lower_convolution(lowering, side_by_side(node))
    if isinstance(node, Dense):
        return _lower_dense(lowering, node)
    if isinstance(node, AvgPool2d):
        return _lower_average(lowering, node)
    if isinstance(node, MaxPool2d):
        return _lower_max_pool(lowering, node)
    if isinstance(node, Upsample2d):
        return _lower_upsampling(lowering, node)
    if isinstance(node, NodeProduct):
        return _lower_product(lowering, node)
    assert isinstance(node, Concat)  # check_node lets no other class through
    return _lower_concat(lowering, node)


def _lower_convolution(lowering: Lowering, conv: Conv2d) -> ProjectLayer:
    result = clamping(conv.lo, conv.hi, conv.format.frac, conv.rounding)
    offset = 0
    if result is None:
        result, offset = _upper_clamp(conv)
    product = product_of(lowering, conv, offset)
    source = lowering.as_map(conv.source, conv)
    if conv.residual is None:
        last = add_convolution(lowering, conv.name, conv, product, source, result)
    else:
        whole = product.accumulator
        summed = add_convolution(lowering, f"{conv.name}_sum", conv, product, source, whole)
        last = lowering.add(
            conv.name,
            conv,
            class_name="Merge",
            inputs=(summed.name, lowering.as_map(conv.residual, conv).name),
            shape=summed.shape,
            attributes={"op": "add"},
            types={"result": result},
        )
    return last if offset == 0 else _add_lower_clamp(lowering, conv, last, offset)


def _upper_clamp(conv: Conv2d) -> tuple[ApFixed, int]:
    """Type that clamps to `hi` once codes are raised by the number returned; codes >= `lo` pass."""
    bits = (conv.hi - conv.lo).bit_length()
    result = ApFixed(bits=bits, frac=conv.format.frac, rounding=conv.rounding, saturation=Saturation.SAT)
    return result, result.hi - conv.hi


def _add_lower_clamp(lowering: Lowering, conv: Conv2d, source: ProjectLayer, offset: int) -> ProjectLayer:
    """A 1x1 depthwise convolution by 1 that subtracts `offset` and clamps to `lo`, which is 0 here."""
    channels = source.shape[2]
    saturated = source.types["result"]
    one = np.ones((channels, 1, 1, 1), np.int64)
    product = Product(
        weight=one,
        bias=np.full(channels, -offset, np.int64),
        weight_frac=0,
        frac=saturated.frac,
        lowest=min(saturated.lo, saturated.lo - offset),
        highest=max(saturated.hi, saturated.hi - offset),
    )
    step = replace(
        conv, weight=one, stride=(1, 1), padding=(0, 0), end_padding=None, groups=channels, residual=None
    )  # only its window counts
    result = clamping(0, (1 << conv.hi.bit_length()) - 1, saturated.frac, RoundingMode.HALF_UP)
    assert result is not None
    return add_convolution(lowering, f"{conv.name}_clamp", step, product, source, result)


def _lower_dense(lowering: Lowering, dense: Dense) -> ProjectLayer:
    result = clamping(dense.lo, dense.hi, dense.format.frac, dense.rounding)
    assert result is not None  # check_node refuses the others
    product = product_of(lowering, lowering.graph.convolution(dense))
    return add_dense(lowering, dense, product, lowering.as_vector(dense.source, dense), result)


def _lower_average(lowering: Lowering, pool: AvgPool2d) -> ProjectLayer:
    source = lowering.home(pool.source)
    result = clamping(pool.format.lo, pool.format.hi, pool.format.frac, pool.rounding)
    assert result is not None
    if not _is_exact_global(lowering, pool) or len(source.shape) != 3:
        conv = lowering.graph.convolution(pool)
        map_source = lowering.as_map(pool.source, pool)
        return add_convolution(lowering, pool.name, conv, product_of(lowering, conv), map_source, result)
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


def _is_exact_global(lowering: Lowering, pool: AvgPool2d) -> bool:
    """Whether hls4ml's global average, sum / area, is what the multiplier says."""
    _, height, width = lowering.graph.shapes[pool.source]
    covers = pool.kernel_size == (height, width) and pool.padding == (0, 0)
    return covers and pool.multiplier == 1 and height * width == 1 << pool.multiplier_frac


def _lower_max_pool(lowering: Lowering, pool: MaxPool2d) -> ProjectLayer:
    source = lowering.as_map(pool.source, pool)
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


def _lower_upsampling(lowering: Lowering, node: Upsample2d) -> ProjectLayer:
    return _resized(lowering, node.name, node, lowering.as_map(node.source, node), node.factors)


def _resized(lowering: Lowering, name: str, node: Node, source: ProjectLayer, factors: Pair) -> ProjectLayer:
    """Each pixel several times."""
    height, width, channels = source.shape
    rows, columns = height * factors[0], width * factors[1]
    return lowering.add(
        name,
        node,
        class_name="Resize",
        inputs=(source.name,),
        shape=(rows, columns, channels),
        attributes={
            "data_format": "channels_last",
            "algorithm": "nearest",
            "in_height": height,
            "in_width": width,
            "n_chan": channels,
            "out_height": rows,
            "out_width": columns,
        },
        types={"result": source.types["result"]},
    )


def _lower_product(lowering: Lowering, node: NodeProduct) -> ProjectLayer:
    """The whole product, which the result's type rounds and saturates."""
    result = clamping(node.lo, node.hi, node.format.frac, node.rounding)
    assert result is not None  # check_node refuses the others
    source, factor = (lowering.as_map(name, node) for name in node.sources)
    if factor.shape != source.shape:  # a vector, which hls4ml does not repeat by itself
        factor = _resized(lowering, f"{node.name}_factor", node, factor, (source.shape[0], source.shape[1]))
    return lowering.add(
        node.name,
        node,
        class_name="Merge",
        inputs=(source.name, factor.name),
        shape=source.shape,
        attributes={"op": "multiply"},
        types={"result": result},
    )


def _lower_concat(lowering: Lowering, node: Concat) -> ProjectLayer:
    """Pairs from left to right: hls4ml joins two tensors."""
    joined = lowering.as_map(node.operands[0], node)
    for index, operand in enumerate(node.operands[1:]):
        other = lowering.as_map(operand, node)
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
