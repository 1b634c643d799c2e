"""A network that is quantized already, with its own integers: formats, codes and rounding stay as they are.

Such a network rounds its tensors to grids, halves to even; its weights are multiples of powers of two. Each
layer's sum is then an integer at a step of its own, and the integer graph computes the same one. What has no
such form is refused by node, and the network is calibrated like any other instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, ldexp, prod

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bitlathe.model.capture.float_arrays import Float64s
from bitlathe.model.capture.float_network import (
    CodeGrid,
    FloatAvgPool2d,
    FloatInput,
    FloatNetwork,
    FloatNode,
    FloatProduct,
)
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.fixed_point import MIN_BITS, FixedPoint, RoundingMode, weight_limit
from bitlathe.model.graph.graph import Graph, with_rounding
from bitlathe.model.graph.nodes import AvgPool2d, Conv2d, Dense, average_multiplier
from bitlathe.model.graph.resampling import ConvTranspose2d
from bitlathe.model.quantize.calibrate import Formats, calibrated
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.groups import Group, format_groups, keeps_format
from bitlathe.model.quantize.lower import lower
from bitlathe.model.quantize.preprocess import OFFSET_FORMAT, PIXEL_FORMAT, Preprocess
from bitlathe.model.quantize.rounding import Fracs
from bitlathe.model.quantize.weight_formats import WeightedNode, WeightFormat, WeightFormats

LARGEST_BITS = 8  # of weights and activations: what the engine multiplies
PACKED_BITS = 4  # weights that the engine multiplies two at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptNetwork:
    """The integers of a network, and how images become its input."""

    graph: Graph
    preprocess: Preprocess
    network: FloatNetwork  # with the values that the graph's integers stand for


def has_grids(network: FloatNetwork) -> bool:
    """Whether a network rounds any tensor itself."""
    return any(getattr(node, "grid", None) is not None for node in network.nodes)


def keep_integers(network: FloatNetwork, inputs: Tensor, config: QuantizeConfig) -> KeptNetwork:
    """The integer graph that computes, code for code, what a network with grids computes.

    Logits that the network does not round get a format by the images `inputs` (N, C, H, W), which are
    (pixel - 128) / 128. Raises FormatError, naming the node, where there is no such graph of `LARGEST_BITS`.
    """
    formats = _formats(network, inputs, config)
    preprocess = _preprocess(network, formats[network.input.name])
    nodes: list[FloatNode] = []
    weights: WeightFormats = {}
    modes: dict[str, RoundingMode] = {}
    for node in network.nodes:
        if isinstance(node, WeightedNode):
            node, weights[node.name], modes[node.name] = _kept_layer(node, formats)
        elif isinstance(node, FloatAvgPool2d):
            weights[node.name] = _kept_average(node, formats)
            modes[node.name] = RoundingMode.HALF_EVEN
        elif isinstance(node, FloatProduct):
            node, modes[node.name] = _kept_product(node, formats), RoundingMode.HALF_EVEN
        nodes.append(node)
    kept = replace(network, nodes=tuple(nodes), front=None)
    graph = with_rounding(lower(kept, formats, weights), modes)
    for made in graph.nodes:
        if (
            isinstance(made, Conv2d | Dense | ConvTranspose2d)
            and made.weight_frac != weights[made.name].fracs
        ):
            raise FormatError(f"{made.name}: its accumulators leave int32")
    return KeptNetwork(graph=graph, preprocess=preprocess, network=replace(kept, front=network.front))


# ---- Tensors


def _formats(network: FloatNetwork, inputs: Tensor, config: QuantizeConfig) -> Formats:
    """Format of every tensor, from the grids of the nodes that make it or another of its group."""
    formats: Formats = {}
    for group in format_groups(network, config):
        if not _is_real(network, group):
            members = [network.by_name[name] for name in group.tensors]
            makers = [node for node in members if not keeps_format(node, config)]
            formats.update(dict.fromkeys(group.tensors, _common_format(network, makers)))
    real = [name for name in network.by_name if name not in formats]
    if real:
        chosen = calibrated(network, inputs, config, dict(formats)).formats
        formats |= {name: _output_format(network, name, chosen[name], formats) for name in real}
    return formats


def _is_real(network: FloatNetwork, group: Group) -> bool:
    """Whether a group is an output that nothing rounds and nothing reads, such as logits."""
    node = network.by_name[group.tensors[0]]
    is_output = node.name in {output.tensor for output in network.outputs}
    is_read = any(node.name in other.sources for other in network.nodes)
    return len(group.tensors) == 1 and is_output and not is_read and _grid(network, node) is None


def _grid(network: FloatNetwork, node: FloatNode) -> CodeGrid | None:
    """The grid of a node's output; an image that nothing rounds may be on that of its pixels."""
    grid: CodeGrid | None = getattr(node, "grid", None)
    return _pixel_grid(network) if grid is None and isinstance(node, FloatInput) else grid


def _pixel_grid(network: FloatNetwork) -> CodeGrid | None:
    """The grid of pixels, or of pixels - 128, at one step; None for images that are normalised otherwise."""
    values = _image_values(network)
    step = float(values[1, 0] - values[0, 0])
    for form in (OFFSET_FORMAT, PIXEL_FORMAT):
        codes = np.arange(form.lo, form.hi + 1)[:, np.newaxis]
        if step > 0 and np.array_equal(values, np.broadcast_to(codes * step, values.shape)):
            return CodeGrid(step=step, lo=form.lo, hi=form.hi)
    return None


def _image_values(network: FloatNetwork) -> Float64s:
    """Value of each pixel in each channel, (256, C)."""
    front, channels = network.front, network.input.shape[0]
    pixels: Float64s = np.repeat((np.arange(256)[:, np.newaxis] - 128) / 128, channels, axis=1)
    return pixels if front is None else pixels * front.scale + front.offset


def _common_format(network: FloatNetwork, makers: list[FloatNode]) -> FixedPoint:
    """Narrowest format of the codes that some nodes round to; FormatError if they have no such format."""
    spans = [_span(network, node) for node in makers]
    fracs = {frac for frac, _, _ in spans}
    where = makers[0].name
    if len(fracs) > 1:
        names = ", ".join(node.name for node in makers)
        raise FormatError(f"{names}: are joined, and their steps differ")
    form = _narrowest(where, spans[0][0], min(lo for _, lo, _ in spans), max(hi for _, _, hi in spans))
    if any(isinstance(node, FloatInput) for node in makers):
        return _image_format(form)
    for node, (_, lo, hi) in zip(makers, spans, strict=True):
        if isinstance(node, FloatAvgPool2d) and (lo, hi) != (form.lo, form.hi):
            raise FormatError(f"{node.name}: an average cannot be clamped to codes {lo} to {hi}")
    return form


def _span(network: FloatNetwork, node: FloatNode) -> tuple[int, int, int]:
    """Binary point, least and largest code of a node's output."""
    grid = _grid(network, node)
    if grid is None:
        raise FormatError(f"{node.name}: nothing rounds its output")
    if grid.frac is None:
        raise FormatError(f"{node.name}: its step {grid.step:.6g} is not a power of two")
    low, high = (node.low, node.high) if isinstance(node, WeightedNode | FloatProduct) else (-inf, inf)
    ends = [int(np.rint(min(max(end, grid.low), grid.high) / grid.step)) for end in (low, high)]
    return grid.frac, ends[0], ends[1]


def _narrowest(where: str, frac: int, lo: int, hi: int) -> FixedPoint:
    signed = lo < 0
    bits = max(hi.bit_length(), (-lo - 1).bit_length() if signed else 0) + signed
    if bits > LARGEST_BITS:
        raise FormatError(f"{where}: codes {lo} to {hi} take {bits} bits, the engine has {LARGEST_BITS}")
    return FixedPoint(bits=max(bits, MIN_BITS), frac=frac, signed=signed)


def _image_format(form: FixedPoint) -> FixedPoint:
    return replace(OFFSET_FORMAT if form.signed else PIXEL_FORMAT, frac=form.frac)


def _preprocess(network: FloatNetwork, form: FixedPoint) -> Preprocess:
    """Pixels to the input's codes, rounded as the network rounds them."""
    grid = _grid(network, network.input)
    assert grid is not None, "the input has a format"
    codes = np.clip(np.rint(np.ldexp(_image_values(network), form.frac)), grid.lo, grid.hi)
    return Preprocess(table=codes.astype(np.int8 if form.signed else np.uint8))


def _output_format(network: FloatNetwork, name: str, form: FixedPoint, formats: Formats) -> FixedPoint:
    """The format chosen for an output that nothing rounds, no finer than its sums with the file's weights."""
    node = network.by_name[name]
    if not isinstance(node, WeightedNode):
        raise FormatError(f"{node.name}: nothing rounds its output")
    fracs = _weight_fracs(node, formats[node.source], [])
    return replace(form, frac=min(form.frac, formats[node.source].frac + min(fracs)))


# ---- Layers


def _kept_layer(node: WeightedNode, formats: Formats) -> tuple[WeightedNode, WeightFormat, RoundingMode]:
    """A layer with the clamp, bias and rounding that make its integers, and the format of its weights."""
    source, form = formats[node.source], formats[node.name]
    others = [formats[tensor].frac - source.frac for tensor in (node.name, *node.sources[1:])]
    fracs = np.array(_weight_fracs(node, source, others))
    steps = _steps(node, fracs + source.frac, fracs + source.frac - form.frac)
    widened = tuple((fracs + steps.finer).tolist())
    bits = _bits(node, widened)
    if bits > LARGEST_BITS:
        raise FormatError(
            f"{node.name}: some biases are between the steps of its sums, others are on them; "
            "round biases to int32 at those steps"
        )
    bias = np.ldexp(steps.bias, -(np.array(widened) + source.frac))
    made = replace(node, bias=bias, captured=None)
    if node.grid is not None:
        made = replace(made, low=max(node.low, node.grid.low), high=min(node.high, node.grid.high))
    return made, WeightFormat(bits=bits, fracs=widened), steps.mode


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _BiasSteps:
    """Biases in steps of the sums, `finer` bits finer than the weights ask for, and how sums round then."""

    bias: Float64s  # (out_channels,), whole numbers
    finer: npt.NDArray[np.int64]  # (out_channels,), 0 or 1
    mode: RoundingMode


def _steps(node: WeightedNode, sums: npt.NDArray[np.int64], shifts: npt.NDArray[np.int64]) -> _BiasSteps:
    """Whole biases with which all sums round as they do with the layer's own.

    A bias between two steps of the sums makes a half impossible: its fraction decides like a half rounded up,
    wherever it is. `sums` are binary points, `shifts` those of the requantization.
    """
    exact = np.ldexp(node.bias, sums)
    whole, none = np.floor(exact), np.zeros(len(exact), np.int64)
    if node.grid is None:
        return _BiasSteps(bias=np.rint(exact), finer=none, mode=RoundingMode.HALF_UP)
    between = exact != whole
    unshifted = between & (shifts == 0)
    if (exact[unshifted] - whole[unshifted] == 0.5).any():
        raise FormatError(f"{node.name}: a bias is a half of a code, and its sums are not shifted")
    whole[unshifted] = np.rint(exact[unshifted])
    between &= shifts > 0
    if between.all():
        return _BiasSteps(bias=whole, finer=none, mode=RoundingMode.HALF_UP)
    finer = between.astype(np.int64)
    return _BiasSteps(bias=np.where(between, 2 * whole + 1, whole), finer=finer, mode=RoundingMode.HALF_EVEN)


def _weight_fracs(node: WeightedNode, source: FixedPoint, others: list[int]) -> Fracs:
    """Binary points at which the weights are whole and no shift is negative: one for all if that is as good.

    `others` are the binary points of what the sum is moved to or has added, less the source's.
    """
    rows = node.weight.reshape(len(node.weight), -1).astype(np.float64)
    own = [_whole_at(row) for row in rows]
    least = max(others, default=-source.frac)
    coarsest = max((frac for frac in own if frac is not None), default=least)
    by_channel = tuple(max(coarsest if frac is None else frac, least) for frac in own)
    together = (max(by_channel),) * len(by_channel)
    bits = {fracs: _bits(node, fracs) for fracs in (by_channel, together)}
    if bits[by_channel] > LARGEST_BITS:
        channel = int(np.argmax(np.abs(np.ldexp(rows.T, by_channel)).max(axis=0)))
        raise FormatError(
            f"{node.name}: weights of channel {channel} take {bits[by_channel]} bits, symmetric, "
            f"the engine has {LARGEST_BITS}"
        )
    limit = PACKED_BITS if bits[by_channel] <= PACKED_BITS else LARGEST_BITS
    return together if bits[together] <= limit else by_channel


def _whole_at(row: Float64s) -> int | None:
    """The least binary point at which values are whole; None where all are zero.

    >>> _whole_at(np.array([0.75, -4.0, 0.0])), _whole_at(np.array([8.0])), _whole_at(np.zeros(2))
    (2, -3, None)
    """
    mantissa, exponent = np.frexp(row[row != 0])
    if not mantissa.size:
        return None
    digits = np.ldexp(mantissa, 53).astype(np.int64)
    zeros = np.log2((digits & -digits).astype(np.float64)).astype(np.int64)
    return int((53 - zeros - exponent).max())


def _bits(node: WeightedNode, fracs: Fracs) -> int:
    """Width of the symmetric range that holds the weights at these binary points."""
    codes = np.ldexp(np.abs(node.weight.astype(np.float64)).reshape(len(fracs), -1).max(axis=1), fracs)
    largest = int(codes.max())
    bits = max(largest.bit_length() + 1, MIN_BITS)
    assert largest <= weight_limit(bits)
    return bits


def _kept_product(node: FloatProduct, formats: Mapping[str, FixedPoint]) -> FloatProduct:
    if formats[node.source].frac + formats[node.factor].frac < formats[node.name].frac:
        raise FormatError(f"{node.name}: its output has a finer step than its product")
    assert node.grid is not None, "it has a format"
    return replace(node, low=max(node.low, node.grid.low), high=min(node.high, node.grid.high))


def _kept_average(node: FloatAvgPool2d, formats: Mapping[str, FixedPoint]) -> WeightFormat:
    area = prod(node.kernel_size)
    multiplier, frac = average_multiplier(area)
    if ldexp(multiplier, -frac) * area != 1:
        raise FormatError(f"{node.name}: averages {area} values, which is exact for powers of two only")
    if formats[node.source].frac + frac < formats[node.name].frac:
        raise FormatError(f"{node.name}: its output has a finer step than its average")
    return WeightFormat(bits=AvgPool2d.WEIGHT_BITS, fracs=(frac,) * node.shape[0])
