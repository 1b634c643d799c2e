"""A layer's sum of products as a draft: constants as integers, an accumulator proven to hold it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bitlathe.hls.hls4ml.importer.draft import Draft, GraphDraft, LayerOutput, standard_places
from bitlathe.hls.hls4ml.importer.precision import CodeType, coarsest, constant_codes, read_precision
from bitlathe.hls.hls4ml.project.ap_fixed import holding
from bitlathe.model.graph.arrays import Int64s
from bitlathe.model.graph.bounds import product_range
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.nodes import Pair, Shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Constants:
    """Weights or biases: value = code * 2**-frac."""

    codes: Int64s
    frac: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelWindow:
    """How a convolution's kernel moves."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1


PLAIN = KernelWindow()


def type_of(layer: Any, what: str) -> CodeType:
    """Type of a layer's `result` or `accum`."""
    if what == "result":
        return read_precision(layer.name, what, layer.get_output_variable().type.precision)
    return read_precision(layer.name, what, layer.get_attr(f"{what}_t").precision)


def constants(layer: Any, name: str) -> Constants:
    """A layer's constants, quantized as their type does it; UnsupportedLayer where they would wrap."""
    held = layer.get_weights(name)
    kind = read_precision(layer.name, name, held.type.precision)
    return Constants(codes=constant_codes(layer.name, name, held.data, kind), frac=kind.frac)


def sum_of(
    builder: GraphDraft,
    source: str,
    weight: Constants,
    bias: Constants,
    shape: Shape,
    window: KernelWindow = PLAIN,
) -> Draft:
    """Draft of sum(x * weight) + bias over a tensor, for an output (C, H, W) of `shape`."""
    codes, frac = coarsest(weight.codes, weight.frac)
    added, bias_frac = coarsest(bias.codes, bias.frac)
    given = builder.format(source).frac
    finer = max(0, bias_frac - given - frac) if added.any() else 0
    frac += finer
    codes = codes << finer
    added = added << (given + frac - bias_frac) if added.any() else np.zeros(len(codes), np.int64)
    sums = product_range(codes, builder.ranges[source])
    return Draft(
        source=source,
        weight=codes,
        bias=added,
        weight_frac=frac,
        frac=given + frac,
        stride=window.stride,
        padding=window.padding,
        groups=window.groups,
        shape=shape,
        lowest=int((sums.lowest + np.minimum(added, 0)).min()),
        highest=int((sums.highest + np.maximum(added, 0)).max()),
    )


def summed(layer: Any, draft: Draft) -> LayerOutput:
    """Value of a draft whose accumulator is checked to be exact."""
    check_accumulator(layer, draft, draft.frac)
    return value_of(layer, draft)


def check_accumulator(layer: Any, draft: Draft, frac: int) -> None:
    """UnsupportedLayer unless the accumulator holds the sums, as integers at `frac`, and their fraction."""
    kind = type_of(layer, "accum")
    if kind.frac < draft.frac or not kind.holds(draft.lowest, draft.highest, frac):
        needed = holding(draft.lowest, draft.highest, frac)
        bits = needed.bits + draft.frac - frac
        raise UnsupportedLayer(
            f"{layer.name}: its accumulator {layer.get_attr('accum_t').precision} rounds or wraps its sums; "
            f"set Precision['accum'] to fixed<{bits},{bits - draft.frac}> or wider"
        )


def value_of(layer: Any, draft: Draft) -> LayerOutput:
    """Value that assigns a draft to the layer's result type."""
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    return LayerOutput(
        layer=layer.name,
        places=standard_places(draft.shape).reshape(shape),
        type=type_of(layer, "result"),
        draft=draft,
    )
