"""Weights of a layer as lines of the weight store.

A line is `po` columns of `pi` bytes: byte i of column o multiplies input lane i for output lane o. Every pass
of the array takes one parameter line (column o: int32 bias, requantize shift, residual shift) and then its
kernel, row by row, tap by tap, input tiles innermost. In DDR the passes follow each other, encoded as
`encodings` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitlathe.hls.compile.encodings import encoded
from bitlathe.hls.compile.groups import passes
from bitlathe.hls.compile.layout import UNUSED
from bitlathe.hls.compile.network import Layer, LayerKind, Network, Parameters
from bitlathe.hls.program import Encoding
from bitlathe.hls.target.config import TABLE_CODES, TABLES, EngineConfiguration
from bitlathe.model.graph.arrays import Int8s
from bitlathe.model.graph.nodes import IntWeights

BIAS_BYTES = 4
PARAMETER_BYTES = BIAS_BYTES + 2


def pass_lines(layer: Layer) -> int:
    """Lines of one pass: parameters, and weights; a maximum takes parameters of zeros for all its passes."""
    if layer.kind in (LayerKind.MAX, LayerKind.PRODUCT):
        return 1
    return 2 if layer.window.holds_weights else 1 + layer.taps * layer.ci_tiles


def stored_passes(layer: Layer, configuration: EngineConfiguration) -> int:
    """Passes that have lines of their own."""
    return 1 if layer.repeats_weights else passes(layer, configuration)


def layer_lines(layer: Layer, configuration: EngineConfiguration) -> Int8s:
    """All lines of a weighted layer, (stored passes, pass_lines, po, pi)."""
    parameters = layer.parameters
    assert parameters is not None
    columns, po, pi = _columns(layer, configuration), configuration.po, configuration.pi
    lines = np.zeros((len(columns), pass_lines(layer), po, pi), np.int8)
    lines[:, 0, :, :PARAMETER_BYTES] = _parameter_bytes(parameters, columns)
    if layer.kind is LayerKind.DENSE:
        kernel = _packed_kernel if layer.source.is_packed else _dense_kernel
        lines[:, 1:] = kernel(parameters, columns, _source_lanes(layer, len(columns)), pi)
    elif layer.kind is LayerKind.DEPTHWISE:
        taps = parameters.weight[..., :1, :1] if layer.window.holds_weights else parameters.weight
        lines[:, 1:] = _depthwise_kernel(taps, columns, pi)
    return lines


def _source_lanes(layer: Layer, count: int) -> npt.NDArray[np.intp]:
    """Input channel of every lane that a pass reads, UNUSED where there is none: (passes, lanes)."""
    tiles = np.array(layer.source.slots, np.intp).reshape(layer.source.tiles, -1)
    first = np.arange(count)[:, None] * layer.tile_step + layer.window.source_tile
    return tiles[first + np.arange(layer.ci_tiles)].reshape(count, -1)


def _columns(layer: Layer, configuration: EngineConfiguration) -> npt.NDArray[np.intp]:
    """Channel of each pass and column, UNUSED where there is none: (passes, po)."""
    used = configuration.po if layer.kind is LayerKind.DENSE else configuration.pi
    columns = np.full((passes(layer, configuration), configuration.po), UNUSED, np.intp)
    if layer.repeats_weights:
        columns[0, :used] = 0  # a lane that this pass leaves out may belong to another pass
        return columns[:1]
    slots = np.full(columns.shape[0] * used, UNUSED, np.intp)
    taken = min(len(slots), len(layer.output.slots))
    slots[:taken] = layer.output.slots[:taken]
    columns[:, :used] = slots.reshape(-1, used)
    return columns


def _parameter_bytes(parameters: Parameters, columns: npt.NDArray[np.intp]) -> Int8s:
    """(passes, po, PARAMETER_BYTES)."""
    values = np.zeros((*columns.shape, PARAMETER_BYTES), np.uint8)
    bias = np.ascontiguousarray(parameters.bias.astype("<i4")).view(np.uint8).reshape(-1, BIAS_BYTES)
    values[..., :BIAS_BYTES] = bias[columns]
    values[..., BIAS_BYTES] = np.array(parameters.shifts, np.uint8)[columns]
    values[..., BIAS_BYTES + 1] = np.array(parameters.residual_shifts, np.uint8)[columns]
    values[columns == UNUSED] = 0
    return values.view(np.int8)


def _dense_kernel(
    parameters: Parameters, columns: npt.NDArray[np.intp], lanes: npt.NDArray[np.intp], pi: int
) -> Int8s:
    """(passes, taps * input tiles, po, pi); channels of other groups meet zeros."""
    out_channels, inputs, height, width = parameters.weight.shape
    group = columns // (out_channels // parameters.groups)
    channel = lanes[:, None] - (group * inputs)[..., None]
    is_met = (columns != UNUSED)[..., None] & (lanes != UNUSED)[:, None] & (channel >= 0) & (channel < inputs)
    weights = parameters.weight[np.maximum(columns, 0)[..., None], np.where(is_met, channel, 0)]
    taken = np.where(is_met[..., None, None], weights, 0)
    count, po = columns.shape
    tiled = taken.reshape(count, po, -1, pi, height, width).transpose(0, 4, 5, 2, 1, 3)
    return tiled.reshape(count, -1, po, pi).astype(np.int8)


def _packed_kernel(
    parameters: Parameters, columns: npt.NDArray[np.intp], lanes: npt.NDArray[np.intp], pi: int
) -> Int8s:
    """(passes, taps * input tiles, po, pi): 4-bit weights of low and high input lanes in a byte."""
    low, high = np.split(_dense_kernel(parameters, columns, lanes, 2 * pi), 2, axis=-1)
    return ((low & 15) | (high << 4)).astype(np.int8)


def _depthwise_kernel(weight: IntWeights, columns: npt.NDArray[np.intp], pi: int) -> Int8s:
    """(passes, taps, po, pi) with each pass's weights on the diagonal."""
    taken = np.where(
        (columns != UNUSED)[..., None, None], weight[columns, 0], 0
    )  # (passes, po, height, width)
    count, po, height, width = taken.shape
    lines = np.zeros((count, height * width, po, pi), np.int8)
    lane = np.arange(pi)
    lines[:, :, lane, lane] = taken[:, :pi].reshape(count, pi, -1).transpose(0, 2, 1)
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerImage:
    """Where a layer's weights are in DDR, in words, and in the store if all weights stay there."""

    encoding: Encoding
    word: int  # first word
    narrow: bool  # codes of SPARSE lines have 4 bits
    pass_words: tuple[int, ...]  # from its first word to each pass's, and to its end
    codebook: tuple[int, int] | None  # of INDICES: first word and words of the codebook
    line: int  # first line in the store, if all stay


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightImage:
    """All weights, and the tables behind them, as they are stored in DDR."""

    data: bytes
    layers: Mapping[str, LayerImage]  # of each weighted layer's `weights`
    pinned_lines: int  # lines at the start that stay in the store: one of zeros when a layer takes maxima
    stays: bool  # all lines fit the store together
    tables: Mapping[bytes, int]  # first word of each different table

    @property
    def tables_stay(self) -> bool:
        """Whether all tables fit their memory together."""
        return len(self.tables) <= TABLES


def weight_image(network: Network, configuration: EngineConfiguration) -> WeightImage:
    """Image of every layer's weights, in order of the layers; layers of one codebook share it."""
    weighted = {layer.weights: layer for layer in network.layers if layer.kind is not LayerKind.MAX}
    pinned = int(any(layer.kind is LayerKind.MAX for layer in network.layers))
    parts = [np.zeros((pinned * configuration.po, configuration.pi), np.int8)]
    word, line = len(parts[0]), pinned
    layers: dict[str, LayerImage] = {}
    codebooks: dict[bytes, int] = {}  # first word
    for layer in weighted.values():
        count = stored_passes(layer, configuration)
        own = encoded(layer_lines(layer, configuration), _columns(layer, configuration) != UNUSED)
        codebook = None
        if len(own.codebook):
            if own.codebook.tobytes() not in codebooks:
                codebooks[own.codebook.tobytes()] = word
                parts.append(own.codebook)
                word += len(own.codebook)
            codebook = codebooks[own.codebook.tobytes()], len(own.codebook)
        layers[layer.weights] = LayerImage(
            encoding=own.encoding,
            word=word,
            narrow=own.narrow,
            pass_words=own.pass_words,
            codebook=codebook,
            line=line,
        )
        parts.append(own.words)
        word, line = word + len(own.words), line + count * pass_lines(layer)
    tables = dict.fromkeys(layer.table for layer in network.layers if layer.table is not None)
    parts += [np.frombuffer(table, np.int8).reshape(-1, configuration.pi) for table in tables]
    return WeightImage(
        data=np.concatenate(parts).tobytes(),
        layers=layers,
        pinned_lines=pinned,
        stays=line <= configuration.weight_lines,
        tables={table: word + index * table_words(configuration) for index, table in enumerate(tables)},
    )


def table_words(configuration: EngineConfiguration) -> int:
    """Words of a table."""
    return TABLE_CODES // configuration.word_bytes
