"""Move a network's own normalisation of the image into the first layer or onto the host."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.capture.float_arrays import Float64s
from bitlathe.model.capture.float_network import (
    FloatConv2d,
    FloatDense,
    FloatNetwork,
    FloatNode,
    Front,
    Origin,
)
from bitlathe.model.capture.folding import following
from bitlathe.model.capture.formula import constant, operation
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.quantize.config import InputMode
from bitlathe.model.quantize.groups import INPUT_BITS
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.model.quantize.rounding import finest_frac, round_half_up

OFFSET_FORMAT = FixedPoint(bits=INPUT_BITS, frac=INPUT_BITS - 1)  # of pixel - 128


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPlacement:
    """A network and how its images become codes."""

    network: FloatNetwork
    preprocess: Preprocess
    format: FixedPoint  # of the input


def place_front(network: FloatNetwork, images: Images, mode: InputMode) -> FrontPlacement:
    """Move the normalisation of `network`, if any; `images` (N, H, W, C) weigh the table's errors."""
    if (
        network.front is None
        or mode is InputMode.FOLD
        or (mode is InputMode.AUTO and _folds_exactly(network))
    ):
        offset = Preprocess.offset(network.input.shape[0])
        return FrontPlacement(network=_folded(network), preprocess=offset, format=OFFSET_FORMAT)
    return _tabled(network, network.front, images)


def _readers(network: FloatNetwork) -> list[FloatNode]:
    return [node for node in network.nodes if network.input.name in node.sources]


def _can_fold(node: FloatNode, tensor: str) -> bool:
    return isinstance(node, FloatDense) or (isinstance(node, FloatConv2d) and node.residual != tensor)


def _folds_exactly(network: FloatNetwork) -> bool:
    """Whether every reader of the input is a layer with weights and without padding."""
    name = network.input.name
    readers = _readers(network)
    unpadded = all(not isinstance(node, FloatConv2d) or node.padding == (0, 0) for node in readers)
    return unpadded and all(_can_fold(node, name) for node in readers)


def _folded(network: FloatNetwork) -> FloatNetwork:
    """The network with its normalisation in the weights of the layers that read the input.

    w * (x * scale + offset) = (w * scale) * x + w * offset; zero padding now stands for pixel 128, not for
    the mean.
    """
    if network.front is None:
        return network
    name, front = network.input.name, network.front
    stuck = [node.name for node in _readers(network) if not _can_fold(node, name)]
    if stuck:
        raise UnsupportedLayer(
            f"{stuck[0]}: reads the normalised image without weights to fold the normalisation into; "
            f"use input_mode {InputMode.TABLE.value}"
        )
    nodes = tuple(_fold_into(node, front) if name in node.sources else node for node in network.nodes)
    return replace(network, nodes=nodes, front=None)


def _fold_into(node: FloatNode, front: Front) -> FloatNode:
    assert isinstance(node, (FloatConv2d, FloatDense))
    scale, offset = constant(_per_weight(node, front.scale)), constant(_per_weight(node, front.offset))
    shift = operation(lambda weight: weight.flatten(1).sum(1), node.origin.weight * offset)
    return following(node, Origin(weight=node.origin.weight * scale, bias=node.origin.bias + shift))


def _per_weight(node: FloatConv2d | FloatDense, by_channel: Float64s) -> Float64s:
    """A constant of each input channel, shaped to multiply the weights that read the channel."""
    if isinstance(node, FloatDense):
        return np.repeat(by_channel, node.weight.shape[1] // len(by_channel))
    return by_channel.reshape((-1, 1, 1, 1) if node.groups > 1 else (1, -1, 1, 1))


def _tabled(network: FloatNetwork, front: Front, images: Images) -> FrontPlacement:
    pixels = (np.arange(256)[:, np.newaxis] - 128) / 128
    values = pixels * front.scale + front.offset
    weights = np.stack(
        [np.bincount(images[..., c].ravel(), minlength=256) for c in range(len(front.scale))], axis=1
    )
    form = _table_format(values, weights)
    table = np.clip(round_half_up(np.ldexp(values, form.frac)), form.lo, form.hi).astype(np.int8)
    return FrontPlacement(network=network, preprocess=Preprocess(table=table), format=form)


def _table_format(values: Float64s, weights: npt.NDArray[np.integer[Any]]) -> FixedPoint:
    """int8 format of the normalised pixels with the least squared error over the images."""
    finest = finest_frac(float(np.abs(values).max()), OFFSET_FORMAT.hi)
    assert finest is not None, "a normalisation maps 256 pixels to more than one value"
    formats = [replace(OFFSET_FORMAT, frac=finest + step) for step in range(3)]

    def error(form: FixedPoint) -> float:
        codes = np.clip(round_half_up(np.ldexp(values, form.frac)), form.lo, form.hi)
        return float((weights * (np.ldexp(codes.astype(np.float64), -form.frac) - values) ** 2).sum())

    return min(formats, key=error)
