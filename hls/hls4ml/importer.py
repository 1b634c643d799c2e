"""From hls4ml's model to the integer graph, exactly or not at all: one reader a class of layers."""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from bitlathe.hls.hls4ml.ap_fixed import holding
from bitlathe.hls.hls4ml.draft import Builder, Draft, Places, Value, standard_places
from bitlathe.hls.hls4ml.precision import (
    Codes,
    Precision,
    assign,
    coarsest,
    constant_codes,
    narrowest,
    read_precision,
)
from bitlathe.model.graph.bounds import CodeRange, product_range
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import MAX_BITS, MIN_BITS, FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Concat, Input, MaxPool2d, Pair, Shape


def import_model(model: Any) -> tuple[Graph, Places, Places]:
    """Integer graph of hls4ml's `ModelGraph`, and the places of its input's and its output's elements.

    Raises UnsupportedLayer, naming the layer, for what the integer graph cannot compute exactly.
    """
    builder, values = Builder(), dict[str, Value]()
    layers = tuple(model.get_layers())
    if len(model.get_input_variables()) != 1 or len(model.outputs) != 1:
        raise UnsupportedLayer(
            f"{model.config.get_project_name()}: has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; the integer graph has one each: split the model"
        )
    for layer in layers:
        reader = READERS.get(layer.class_name)
        if reader is None:
            raise UnsupportedLayer(
                f"{layer.name}: a {layer.class_name} has no exact integer form here; remove it or replace it "
                f"by {', '.join(sorted(READERS))}"
            )
        values[layer.outputs[0]] = reader(
            builder, layer, [values[name] for name in layer.inputs if name in values]
        )
    last = values[model.outputs[0]]
    output = builder.tensor(last)
    graph = Graph(name=str(model.config.get_project_name()), nodes=tuple(builder.nodes), output=output)
    return graph, values[model.inputs[0]].places, last.places


def _type_of(layer: Any, what: str) -> Precision:
    if what == "result":
        return read_precision(layer.name, what, layer.get_output_variable().type.precision)
    return read_precision(layer.name, what, layer.get_attr(f"{what}_t").precision)


def _read_input(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    kind = _type_of(layer, "result")
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    if len(shape) not in (1, 3) or not MIN_BITS <= kind.bits <= MAX_BITS:
        raise UnsupportedLayer(
            f"{layer.name}: an input of shape {shape} and {kind.bits} bits; it must be (features,) or "
            f"(height, width, channels) of {MIN_BITS} to {MAX_BITS} bits"
        )
    channels_first: Shape = (shape[2], shape[0], shape[1]) if len(shape) == 3 else (shape[0], 1, 1)
    code = FixedPoint(bits=kind.bits, frac=kind.frac, signed=kind.signed)
    tensor = builder.add(
        Input(name=layer.name, format=code, shape=channels_first), channels_first, code.lo, code.hi
    )
    return Value(
        layer=layer.name, places=standard_places(channels_first).reshape(shape), type=kind, tensor=tensor
    )


def _sum_of(
    builder: Builder,
    layer: Any,
    source: str,
    weight: tuple[Codes, int],
    bias: tuple[Codes, int],
    shape: Shape,
    window: tuple[Pair, Pair, int] = ((1, 1), (0, 0), 1),
) -> Draft:
    """Draft of sum(x * weight) + bias; (codes, frac) of each, (stride, padding, groups)."""
    codes, frac = coarsest(*weight)
    constants, bias_frac = coarsest(*bias)
    given = builder.format(source).frac
    finer = max(0, bias_frac - given - frac) if constants.any() else 0
    frac += finer
    codes = codes << finer
    constants = constants << (given + frac - bias_frac) if constants.any() else np.zeros(len(codes), np.int64)
    sums = product_range(codes, builder.ranges[source])
    return Draft(
        source=source,
        weight=codes,
        bias=constants,
        weight_frac=frac,
        frac=given + frac,
        stride=window[0],
        padding=window[1],
        groups=window[2],
        shape=shape,
        lowest=int((sums.lowest + np.minimum(constants, 0)).min()),
        highest=int((sums.highest + np.maximum(constants, 0)).max()),
    )


def _constants(layer: Any, name: str) -> tuple[Codes, int]:
    held = layer.get_weights(name)
    kind = read_precision(layer.name, name, held.type.precision)
    return constant_codes(layer.name, name, held.data, kind), kind.frac


def _summed(layer: Any, draft: Draft) -> Value:
    """Value of a draft whose accumulator is checked to be exact."""
    _check_accumulator(layer, draft, draft.frac)
    return _value(layer, draft)


def _check_accumulator(layer: Any, draft: Draft, frac: int) -> None:
    """UnsupportedLayer unless the accumulator holds the sums, as integers at `frac`, and their fraction."""
    kind = _type_of(layer, "accum")
    if kind.frac < draft.frac or not kind.holds(draft.lowest, draft.highest, frac):
        needed = holding(draft.lowest, draft.highest, frac)
        bits = needed.bits + draft.frac - frac
        raise UnsupportedLayer(
            f"{layer.name}: its accumulator {layer.get_attr('accum_t').precision} rounds or wraps its sums; "
            f"set Precision['accum'] to fixed<{bits},{bits - draft.frac}> or wider"
        )


def _value(layer: Any, draft: Draft) -> Value:
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    return Value(
        layer=layer.name,
        places=standard_places(draft.shape).reshape(shape),
        type=_type_of(layer, "result"),
        draft=draft,
    )


def _read_dense(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    (source,) = sources
    tensor = builder.tensor(source)
    shape = builder.shapes[tensor]
    weight, frac = _constants(layer, "weight")
    inputs, outputs = weight.shape
    if inputs != prod(shape):
        raise UnsupportedLayer(
            f"{layer.name}: takes {inputs} features of {prod(shape)}; flatten the map before it"
        )
    columns = np.empty((outputs, inputs), np.int64)
    columns[:, source.places.reshape(-1)] = weight.T
    # A dense layer is a convolution whose kernel covers the map
    draft = _sum_of(
        builder,
        layer,
        tensor,
        (columns.reshape(outputs, *shape), frac),
        _constants(layer, "bias"),
        (outputs, 1, 1),
    )
    return _summed(layer, draft)


def _read_convolution(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    tensor = builder.map(sources[0])
    weight, frac = _constants(layer, "weight")
    channels = builder.shapes[tensor][0]
    is_depthwise = layer.class_name == "DepthwiseConv2D"
    _check_window(layer, is_depthwise)
    # (height, width, in, out) to (out, in, height, width); depthwise, channels are in the third place
    turned = weight.transpose(2, 3, 0, 1) if is_depthwise else weight.transpose(3, 2, 0, 1)
    codes, padding = _evenly_padded(layer, turned)
    stride = int(layer.get_attr("stride_height")), int(layer.get_attr("stride_width"))
    height, width, _ = layer.get_output_variable().shape
    draft = _sum_of(
        builder,
        layer,
        tensor,
        (codes, frac),
        _constants(layer, "bias"),
        (len(codes), int(height), int(width)),
        (stride, padding, channels if is_depthwise and channels > 1 else 1),
    )
    return _summed(layer, draft)


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


def _evenly_padded(layer: Any, weight: Codes) -> tuple[Codes, Pair]:
    """Weights and even padding: rows and columns of zeros move a window that was padded unevenly."""
    top, bottom, left, right = (
        int(layer.get_attr(f"pad_{side}", 0) or 0) for side in ("top", "bottom", "left", "right")
    )
    rows = max(bottom - top, 0), max(top - bottom, 0)
    columns = max(right - left, 0), max(left - right, 0)
    return np.pad(weight, ((0, 0), (0, 0), rows, columns)), (max(top, bottom), max(left, right))


def _read_scale(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    """Batch normalization: scale and bias of each channel."""
    tensor = builder.map(sources[0])
    channels = builder.shapes[tensor][0]
    scale, frac = _constants(layer, "scale")
    bias, bias_frac = _constants(layer, "bias")
    if scale.size != channels or bias.size != channels:
        raise UnsupportedLayer(
            f"{layer.name}: {scale.size} scales for {channels} channels; only one a channel is supported: "
            "fold it before"
        )
    draft = _sum_of(
        builder,
        layer,
        tensor,
        (scale.reshape(channels, 1, 1, 1), frac),
        (bias.reshape(channels), bias_frac),
        builder.shapes[tensor],
        ((1, 1), (0, 0), channels if channels > 1 else 1),
    )
    return _value(layer, draft)


def _read_activation(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    (source,) = sources
    function = str(layer.get_attr("activation")).lower()
    if function not in ("relu", "linear"):
        raise UnsupportedLayer(
            f"{layer.name}: {function} is computed from tables in hls4ml and never exact; "
            "end the model at the logits, or use relu"
        )
    has_relu, kind = function == "relu", _type_of(layer, "result")
    draft = _joined_activation(builder, source, kind, has_relu, layer)
    if draft is None:
        tensor = builder.tensor(source)
        draft = replace(builder.identity(tensor), has_relu=has_relu)
    else:
        kind = kind if source.is_exact else source.type
    return Value(layer=layer.name, places=source.places, type=kind, draft=draft)


def _joined_activation(
    builder: Builder, source: Value, kind: Precision, has_relu: bool, layer: Any
) -> Draft | None:
    """The source's draft with the ReLU, where the source is exact or `kind` takes it as it is."""
    draft = source.draft
    if draft is None or source.tensor is not None or _readers(layer) > 1:
        return None
    if source.is_exact:
        return replace(draft, has_relu=has_relu)
    outcome = assign(source.layer, source.type, draft.frac, draft.lowest, draft.highest)
    least = 0 if has_relu else outcome.lo
    if not kind.holds(max(outcome.lo, least), max(outcome.hi, least), outcome.type.frac):
        return None
    return replace(draft, has_relu=draft.has_relu or has_relu)


def _readers(layer: Any) -> int:
    """Layers that read what this one reads."""
    source = layer.inputs[0]
    return sum(list(other.inputs).count(source) for other in layer.model.get_layers()) + (
        source in layer.model.outputs
    )


def _read_merge(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    operation = str(layer.get_attr("op")).lower()
    if operation != "add":
        raise UnsupportedLayer(f"{layer.name}: merges by {operation}; only add is an integer operation here")
    first, second = sources
    joined = first if _can_join(first, layer) else second if _can_join(second, layer) else None
    if joined is not None and joined.draft is not None:
        draft, other = joined.draft, second if joined is first else first
    else:
        draft, other = builder.identity(builder.map(first)), second
    residual = builder.map(other)
    draft = _with_residual(builder, draft, residual)
    return _value(layer, draft)


def _can_join(value: Value, layer: Any) -> bool:
    """Whether a residual may be added to the value's own sum: nobody else reads it and it holds the sum."""
    readers = sum(list(other.inputs).count(value.layer) for other in layer.model.get_layers())
    is_free = value.draft is not None and value.tensor is None and value.draft.residual is None
    return is_free and readers == 1 and value.is_exact and value.layer not in layer.model.outputs


def _with_residual(builder: Builder, draft: Draft, residual: str) -> Draft:
    """Draft plus a tensor, with as many more fraction bits as the tensor needs."""
    frac = builder.format(residual).frac
    finer = max(0, frac - draft.frac)
    places = draft.frac + finer - frac
    codes = builder.ranges[residual]
    return replace(
        draft,
        weight=draft.weight << finer,
        bias=draft.bias << finer,
        weight_frac=draft.weight_frac + finer,
        frac=draft.frac + finer,
        residual=residual,
        lowest=(draft.lowest << finer) + (codes.lo << places),
        highest=(draft.highest << finer) + (codes.hi << places),
    )


def _read_pool(builder: Builder, layer: Any, sources: list[Value]) -> Value:
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
    area = prod(kernel)
    if area & (area - 1):
        raise UnsupportedLayer(
            f"{layer.name}: an average of {area}; hls4ml truncates the quotient, which has an integer form "
            "only for powers of two: choose such a window"
        )
    ones = np.ones((channels, 1, *kernel), np.int64)
    draft = _sum_of(
        builder,
        layer,
        tensor,
        (ones, area.bit_length() - 1),
        (np.zeros(channels, np.int64), 0),
        (channels, height, width),
        (stride, (0, 0), channels if channels > 1 else 1),
    )
    _check_accumulator(layer, draft, builder.format(tensor).frac)  # it holds the sum before it is divided
    return _value(layer, draft)


def _max_pool(builder: Builder, layer: Any, tensor: str, kernel: Pair, stride: Pair, shape: Shape) -> Value:
    code, codes = builder.format(tensor), builder.ranges[tensor]
    kinds = {what: _type_of(layer, what) for what in ("accum", "result")}
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
    return Value(layer=layer.name, places=places, type=kinds["result"], tensor=made)


def _pair(layer: Any, what: str) -> Pair:
    return int(layer.get_attr(f"{what}_height")), int(layer.get_attr(f"{what}_width"))


def _read_concatenation(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    if len(shape) != 3 or int(layer.get_attr("axis")) not in (3, -1):
        raise UnsupportedLayer(
            f"{layer.name}: joins along axis {layer.get_attr('axis')}; only channels can be joined"
        )
    kind = _type_of(layer, "result")
    codes = reduce(CodeRange.union, [_joined_codes(builder, layer, source, kind) for source in sources])
    code = narrowest(kind, codes.lo, codes.hi)
    names = tuple(builder.as_format(source, code) for source in sources)
    made_shape: Shape = (shape[2], shape[0], shape[1])
    node = Concat(name=builder.unused(layer.name), format=code, operands=names)
    made = builder.add(node, made_shape, codes.lo, codes.hi)
    return Value(layer=layer.name, places=standard_places(made_shape), type=kind, tensor=made)


def _joined_codes(builder: Builder, layer: Any, source: Value, kind: Precision) -> CodeRange:
    """Codes of an operand at the frac of the concatenation's type, which must hold them."""
    tensor = builder.map(source)
    codes, frac = builder.ranges[tensor], builder.format(tensor).frac
    if not kind.holds(codes.lo, codes.hi, frac):
        raise UnsupportedLayer(
            f"{layer.name}: its type does not hold the codes of {source.layer}; give both the same type"
        )
    places = kind.frac - frac
    return CodeRange(lo=codes.lo << places, hi=codes.hi << places)


def _read_reshape(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    (source,) = sources
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    return _moved(builder, layer, source, source.places.reshape(shape))


def _read_transpose(builder: Builder, layer: Any, sources: list[Value]) -> Value:
    (source,) = sources
    order = [int(axis) for axis in layer.get_attr("perm")]
    return _moved(builder, layer, source, source.places.transpose(order))


def _moved(builder: Builder, layer: Any, source: Value, places: Places) -> Value:
    return Value(layer=layer.name, places=places, type=source.type, tensor=builder.tensor(source))


Reader = Callable[[Builder, Any, list[Value]], Value]
READERS: dict[str, Reader] = {
    "Input": _read_input,
    "Dense": _read_dense,
    "Conv2D": _read_convolution,
    "PointwiseConv2D": _read_convolution,
    "DepthwiseConv2D": _read_convolution,
    "BatchNormalization": _read_scale,
    "ApplyAlpha": _read_scale,
    "Activation": _read_activation,
    "Merge": _read_merge,
    "Pooling2D": _read_pool,
    "GlobalPooling2D": _read_pool,
    "Concatenate": _read_concatenation,
    "Reshape": _read_reshape,
    "Transpose": _read_transpose,
}
