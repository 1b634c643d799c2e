"""Readers of layers that join tensors or move elements: activations, additions, concatenations, reshapes."""

from dataclasses import replace
from functools import reduce
from typing import Any

from bitlathe.hls.hls4ml.importer.draft import Draft, GraphDraft, LayerOutput, Places, standard_places
from bitlathe.hls.hls4ml.importer.precision import CodeType, assign, narrowest
from bitlathe.hls.hls4ml.importer.sums import type_of, value_of
from bitlathe.model.graph.bounds import CodeRange
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import Concat, Shape


def read_activation(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Value of a ReLU or an identity, joined to the sum before it where that is the same."""
    (source,) = sources
    function = str(layer.get_attr("activation")).lower()
    if function not in ("relu", "linear"):
        raise UnsupportedLayer(
            f"{layer.name}: {function} is computed from tables in hls4ml and never exact; "
            "end the model at the logits, or use relu"
        )
    has_relu, kind = function == "relu", type_of(layer, "result")
    draft = _joined_activation(builder, source, kind, has_relu, layer)
    if draft is None:
        tensor = builder.tensor(source)
        draft = replace(builder.identity(tensor), has_relu=has_relu)
    else:
        kind = kind if source.is_exact else source.type
    return LayerOutput(layer=layer.name, places=source.places, type=kind, draft=draft)


def _joined_activation(
    builder: GraphDraft, source: LayerOutput, kind: CodeType, has_relu: bool, layer: Any
) -> Draft | None:
    """The source's draft with the ReLU, where the source is exact or `kind` takes it as it is."""
    draft = source.draft
    if draft is None or source.tensor is not None or _readers(layer, layer.inputs[0]) > 1:
        return None
    if source.is_exact:
        return replace(draft, has_relu=has_relu)
    outcome = assign(source.layer, source.type, draft.frac, draft.lowest, draft.highest)
    least = 0 if has_relu else outcome.lo
    if not kind.holds(max(outcome.lo, least), max(outcome.hi, least), outcome.type.frac):
        return None
    return replace(draft, has_relu=draft.has_relu or has_relu)


def _readers(layer: Any, tensor: str) -> int:
    """How many read a tensor of the layer's model; leaving the model counts as one."""
    model = layer.model
    return sum(list(other.inputs).count(tensor) for other in model.get_layers()) + (tensor in model.outputs)


def read_merge(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Value of an addition: one operand is the residual of the other's sum, where that is exact."""
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
    return value_of(layer, draft)


def _can_join(value: LayerOutput, layer: Any) -> bool:
    """Whether a residual may be added to the value's own sum: nobody else reads it and it holds the sum."""
    is_free = value.draft is not None and value.tensor is None and value.draft.residual is None
    return is_free and value.is_exact and _readers(layer, value.layer) == 1


def _with_residual(builder: GraphDraft, draft: Draft, residual: str) -> Draft:
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


def read_concatenation(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Value of tensors joined along the channels."""
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    if len(shape) != 3 or int(layer.get_attr("axis")) not in (3, -1):
        raise UnsupportedLayer(
            f"{layer.name}: joins along axis {layer.get_attr('axis')}; only channels can be joined"
        )
    kind = type_of(layer, "result")
    codes = reduce(CodeRange.union, [_joined_codes(builder, layer, source, kind) for source in sources])
    code = narrowest(kind, codes.lo, codes.hi)
    names = tuple(builder.as_format(source, code) for source in sources)
    made_shape: Shape = (shape[2], shape[0], shape[1])
    node = Concat(name=builder.unused(layer.name), format=code, operands=names)
    made = builder.add(node, made_shape, codes.lo, codes.hi)
    return LayerOutput(layer=layer.name, places=standard_places(made_shape), type=kind, tensor=made)


def _joined_codes(builder: GraphDraft, layer: Any, source: LayerOutput, kind: CodeType) -> CodeRange:
    """Codes of an operand at the frac of the concatenation's type, which must hold them."""
    tensor = builder.map(source)
    codes, frac = builder.ranges[tensor], builder.format(tensor).frac
    if not kind.holds(codes.lo, codes.hi, frac):
        raise UnsupportedLayer(
            f"{layer.name}: its type does not hold the codes of {source.layer}; give both the same type"
        )
    places = kind.frac - frac
    return CodeRange(lo=codes.lo << places, hi=codes.hi << places)


def read_reshape(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Value of the same elements in another shape."""
    (source,) = sources
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    return _moved(builder, layer, source, source.places.reshape(shape))


def read_transpose(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    """Value of the same elements in another order."""
    (source,) = sources
    order = [int(axis) for axis in layer.get_attr("perm")]
    return _moved(builder, layer, source, source.places.transpose(order))


def _moved(builder: GraphDraft, layer: Any, source: LayerOutput, places: Places) -> LayerOutput:
    return LayerOutput(layer=layer.name, places=places, type=source.type, tensor=builder.tensor(source))
