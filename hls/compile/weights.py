"""Weights of a layer as lines of the weight store.

A line is `po` columns of `pi` bytes: byte i of column o multiplies input lane i for output lane o. Every pass
of the array takes one parameter line (column o: int32 bias, requantize shift, residual shift) and then its
kernel, row by row, tap by tap, input tiles innermost. In DDR lines follow each other, columns in order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitlathe.hls.compile.groups import passes
from bitlathe.hls.compile.layout import UNUSED, Slots
from bitlathe.hls.compile.network import Kind, Layer, Network, Parameters
from bitlathe.hls.config import EngineConfiguration
from bitlathe.model.graph.nodes import IntWeights

Lines = npt.NDArray[np.int8]  # (lines, po, pi)
Words = npt.NDArray[np.int8]  # (words, pi)

BIAS_BYTES = 4
PARAMETER_BYTES = BIAS_BYTES + 2


def pass_lines(layer: Layer) -> int:
    """Lines of one pass; a maximum takes one parameter line of zeros for all its passes and no weights."""
    return 1 if layer.kind is Kind.MAX else 1 + layer.taps * layer.ci_tiles


def layer_lines(layer: Layer, configuration: EngineConfiguration) -> Lines:
    """All lines of a weighted layer, pass after pass: (passes * pass_lines, po, pi)."""
    parameters = layer.parameters
    assert parameters is not None
    count, po, pi = passes(layer, configuration), configuration.po, configuration.pi
    columns = _columns(layer, configuration)
    kernel = _KERNELS[layer.kind, layer.source.is_packed]
    lines = np.zeros((count, pass_lines(layer), po, pi), np.int8)
    lines[:, 0, :, :PARAMETER_BYTES] = _parameter_bytes(parameters, columns)
    lines[:, 1:] = kernel(parameters.weight, columns, layer.source.slots, pi)
    return lines.reshape(-1, po, pi)


def _columns(layer: Layer, configuration: EngineConfiguration) -> npt.NDArray[np.intp]:
    """Channel of each pass and column, UNUSED where there is none: (passes, po)."""
    used = configuration.po if layer.kind is Kind.DENSE else configuration.pi
    columns = np.full((passes(layer, configuration), configuration.po), UNUSED, np.intp)
    slots = np.full(columns.shape[0] * used, UNUSED, np.intp)
    taken = min(len(slots), len(layer.output.slots))
    slots[:taken] = layer.output.slots[:taken]
    columns[:, :used] = slots.reshape(-1, used)
    return columns


def _parameter_bytes(parameters: Parameters, columns: npt.NDArray[np.intp]) -> Lines:
    """(passes, po, PARAMETER_BYTES)."""
    values = np.zeros((*columns.shape, PARAMETER_BYTES), np.uint8)
    bias = np.ascontiguousarray(parameters.bias.astype("<i4")).view(np.uint8).reshape(-1, BIAS_BYTES)
    values[..., :BIAS_BYTES] = bias[columns]
    values[..., BIAS_BYTES] = np.array(parameters.shifts, np.uint8)[columns]
    values[..., BIAS_BYTES + 1] = np.array(parameters.residual_shifts, np.uint8)[columns]
    values[columns == UNUSED] = 0
    return values.view(np.int8)


def _dense_kernel(weight: IntWeights, columns: npt.NDArray[np.intp], source: Slots, pi: int) -> Lines:
    """(passes, taps * input tiles, po, pi)."""
    lanes = np.array(source)
    taken = np.where(
        ((columns != UNUSED)[..., None] & (lanes != UNUSED))[..., None, None], weight[columns][:, :, lanes], 0
    )
    count, po, _, height, width = taken.shape
    tiled = taken.reshape(count, po, -1, pi, height, width).transpose(0, 4, 5, 2, 1, 3)
    return tiled.reshape(count, -1, po, pi).astype(np.int8)


def _depthwise_kernel(weight: IntWeights, columns: npt.NDArray[np.intp], source: Slots, pi: int) -> Lines:
    """(passes, taps, po, pi) with each pass's weights on the diagonal."""
    taken = np.where(
        (columns != UNUSED)[..., None, None], weight[columns, 0], 0
    )  # (passes, po, height, width)
    count, po, height, width = taken.shape
    lines = np.zeros((count, height * width, po, pi), np.int8)
    lane = np.arange(pi)
    lines[:, :, lane, lane] = taken[:, :pi].reshape(count, pi, -1).transpose(0, 2, 1)
    return lines


def _packed_kernel(weight: IntWeights, columns: npt.NDArray[np.intp], source: Slots, pi: int) -> Lines:
    """(passes, taps * input tiles, po, pi): 4-bit weights of low and high input lanes in a byte."""
    low, high = np.split(_dense_kernel(weight, columns, source, 2 * pi), 2, axis=-1)
    return ((low & 15) | (high << 4)).astype(np.int8)


_KERNELS = {
    (Kind.DENSE, False): _dense_kernel,
    (Kind.DENSE, True): _packed_kernel,
    (Kind.DEPTHWISE, False): _depthwise_kernel,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerImage:
    """Where a layer's weights lie in DDR, in words, and in the store if all weights stay there."""

    word: int  # first word: of its lines, or of its diagonals, one a line (parameter lines have one of zeros)
    parameter_word: int | None  # first word of the parameter lines, where they lie apart from diagonals
    line: int  # first line in the store, if all stay


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightImage:
    """All weights as they lie in DDR.

    Depthwise weights that are loaded for every input lie there as diagonals: a word a line instead of `po`.
    """

    data: bytes
    layers: Mapping[str, LayerImage]  # of each weighted layer
    pinned_lines: int  # lines at the start that stay in the store: one of zeros when a layer takes maxima
    stays: bool  # all lines fit the store together


def weight_image(network: Network, configuration: EngineConfiguration) -> WeightImage:
    """Image of every layer's weights, in order of the layers."""
    weighted = [layer for layer in network.layers if layer.kind is not Kind.MAX]
    pinned = int(len(weighted) < len(network.layers))
    counts = [passes(layer, configuration) * pass_lines(layer) for layer in weighted]
    stays = pinned + sum(counts) <= configuration.weight_lines
    parts = [np.zeros((pinned * configuration.po, configuration.pi), np.int8)]
    words, line, layers = len(parts[0]), pinned, {}
    for layer, count in zip(weighted, counts, strict=True):
        own = _layer_parts(layer, configuration, layer.kind is Kind.DEPTHWISE and not stays)
        apart = words + len(own[0]) if len(own) > 1 else None
        layers[layer.name] = LayerImage(word=words, parameter_word=apart, line=line)
        parts.extend(own)
        words, line = words + sum(map(len, own)), line + count
    return WeightImage(data=np.concatenate(parts).tobytes(), layers=layers, pinned_lines=pinned, stays=stays)


def _layer_parts(layer: Layer, configuration: EngineConfiguration, diagonal: bool) -> list[Words]:
    """Words of a layer's lines; or of its diagonals and of its parameter lines."""
    lines = layer_lines(layer, configuration)
    if not diagonal:
        return [lines.reshape(-1, configuration.pi)]
    lane = np.arange(configuration.pi)
    diagonals = lines[:, lane, lane]
    diagonals[:: pass_lines(layer)] = 0
    return [diagonals, lines[:: pass_lines(layer)].reshape(-1, configuration.pi)]
