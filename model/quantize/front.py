"""Move a network's own normalisation of the image into the first layers or onto the host.

A zero that a layer pads with stands for one pixel value. Where that is 128 or 0, images enter as pixel - 128
or as the pixel itself, and padding stays exact; where nothing is padded, as pixel - 128.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import frexp
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.capture.float_arrays import Float64s
from bitlathe.model.capture.float_network import (
    FloatAvgPool2d,
    FloatConv2d,
    FloatDense,
    FloatInterpolate2d,
    FloatIntervalPool2d,
    FloatMaxPool2d,
    FloatNetwork,
    FloatNode,
    FloatUpsample2d,
    Front,
    Origin,
)
from bitlathe.model.capture.folding import following
from bitlathe.model.capture.formula import constant, operation
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.quantize.config import InputMode
from bitlathe.model.quantize.preprocess import OFFSET_FORMAT, PIXEL_FORMAT, PixelCodes, Preprocess
from bitlathe.model.quantize.rounding import finest_frac, round_half_up
from bitlathe.model.quantize.weight_formats import WeightedNode

_ZERO_PIXEL = 128  # of the float model's images, x = (pixel - 128) / 128
_CLOSE = 2.0**-12  # pixels: what the float32 constants of a normalisation leave of an exact 0 or 128


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPlacement:
    """A network and how its images become codes; its front makes values of the input."""

    network: FloatNetwork
    preprocess: Preprocess
    format: FixedPoint  # of the input


def place_front(network: FloatNetwork, images: Images, mode: InputMode) -> FrontPlacement:
    """Move the normalisation of `network`, if any; `images` (N, H, W, C) weigh the table's errors."""
    if network.front is None:
        return _entering_by_offset(network)
    normalised = _Normalised.of(network)
    if mode is InputMode.FOLD:
        return _entering_by_offset(normalised.folded(network.front))
    exact = _exact(network, network.front, normalised) if mode is InputMode.AUTO else None
    return exact or _tabled(network, network.front, images)


def _entering_by_offset(network: FloatNetwork) -> FrontPlacement:
    offset = Preprocess.offset(network.input.shape[0])
    return FrontPlacement(network=network, preprocess=offset, format=OFFSET_FORMAT)


def _exact(network: FloatNetwork, front: Front, normalised: _Normalised) -> FrontPlacement | None:
    """Images as they are, and what is left of the normalisation in the weights; None where that rounds."""
    if normalised.can_fold(front) and not normalised.is_padded:
        return _entering_by_offset(normalised.folded(front))
    zero = _ZERO_PIXEL * (1 - front.offset / front.scale)  # the pixel whose value is 0
    if np.allclose(zero, _ZERO_PIXEL, rtol=0, atol=_CLOSE):
        return _scaled(network, front, normalised, OFFSET_FORMAT)
    if np.allclose(zero, 0, rtol=0, atol=_CLOSE):
        return _scaled(network, front, normalised, PIXEL_FORMAT)
    return None


def _scaled(
    network: FloatNetwork, front: Front, normalised: _Normalised, form: FixedPoint
) -> FrontPlacement | None:
    """Codes pixel - 128 or pixel; their scale is the normalisation's, or stays apart from it in the weights.

    Readers without weights need a normalisation by one power of two, which the binary point holds.
    """
    steps = front.scale / _ZERO_PIXEL  # value of one pixel
    mantissas, exponents = np.frexp(steps)
    if np.all(mantissas == 0.5) and len(set(exponents)) == 1:
        form = replace(form, frac=1 - frexp(steps[0])[1])
        placed = network
    elif normalised.can_fold(front):
        rest = Front(scale=steps / form.scale, offset=np.zeros(len(steps)))
        placed = normalised.folded(rest)
    else:
        return None
    channels = network.input.shape[0]
    if form.signed:
        preprocess, offset = Preprocess.offset(channels), 0.0
    else:
        preprocess, offset = Preprocess.pixel(channels), _ZERO_PIXEL * form.scale
    values = Front(scale=np.full(channels, _ZERO_PIXEL * form.scale), offset=np.full(channels, offset))
    return FrontPlacement(network=_entering(placed, values, form), preprocess=preprocess, format=form)


def _entering(network: FloatNetwork, front: Front, form: FixedPoint) -> FloatNetwork:
    """The network with another front, and an input that knows whether its values can be negative."""
    source = network.input if form.signed else replace(network.input, low=0.0)
    return replace(network, nodes=(source, *network.nodes[1:]), front=front)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Normalised:
    """What sees normalised pixels of a network: the image, what keeps its channels, and their readers."""

    network: FloatNetwork
    tensors: frozenset[str]  # the input and its keepers, which a normalisation by channel may follow as well
    keepers: tuple[FloatNode, ...]  # pools and copies
    readers: tuple[FloatNode, ...]

    @classmethod
    def of(cls, network: FloatNetwork) -> _Normalised:
        tensors, keepers = {network.input.name}, []
        for node in network.nodes:
            if _keeps_channels(node) and tensors.issuperset(node.sources):
                tensors.add(node.name)
                keepers.append(node)
        others = (node for node in network.nodes if not tensors.isdisjoint(node.sources))
        return cls(
            network=network,
            tensors=frozenset(tensors),
            keepers=tuple(keepers),
            readers=tuple(node for node in others if node.name not in tensors),
        )

    @property
    def is_padded(self) -> bool:
        """Whether zeros are padded after the normalisation; of a maximum they never win."""
        return any(_pads_zeros(node) for node in (*self.keepers, *self.readers))

    def can_fold(self, front: Front) -> bool:
        """Whether weights read the normalised pixels everywhere, and no maximum would become a minimum."""
        falling = bool((front.scale < 0).any()) and any(map(_is_maximum, self.keepers))
        return not (self._stuck or falling)

    @property
    def _stuck(self) -> list[str]:
        """Nodes that show normalised pixels without weights."""
        shown = [output.tensor for output in self.network.outputs if output.tensor in self.tensors]
        return [*shown, *(node.name for node in self.readers if not self._has_weights(node))]

    def _has_weights(self, node: FloatNode) -> bool:
        return isinstance(node, FloatDense) or (
            isinstance(node, FloatConv2d) and node.residual not in self.tensors
        )

    def folded(self, front: Front) -> FloatNetwork:
        """The network with a normalisation in the weights of the layers that read it.

        w * (x * scale + offset) = (w * scale) * x + w * offset; a padded zero now stands for x = 0.
        """
        if not self.can_fold(front):
            stuck = [*self._stuck, *(node.name for node in self.keepers)][0]
            raise UnsupportedLayer(
                f"{stuck}: reads the normalised image without weights to fold the normalisation into; "
                f"use input_mode {InputMode.TABLE.value}"
            )
        readers = {node.name for node in self.readers}
        nodes = (_fold_into(node, front) if node.name in readers else node for node in self.network.nodes)
        return replace(self.network, nodes=tuple(nodes), front=None)


def _keeps_channels(node: FloatNode) -> bool:
    """Whether a node makes each channel of the same channel of its source by weights that sum to 1."""
    if isinstance(node, FloatConv2d) and node.is_selection and node.origin.is_constant:
        taken = node.weight.sum((2, 3))  # (out, in), or (out, 1) of a depthwise copy
        kept = np.ones((node.groups, 1)) if node.groups > 1 else np.eye(*taken.shape)
        return np.array_equal(taken, kept)
    return isinstance(node, _KEEPERS)


_KEEPERS = FloatMaxPool2d | FloatAvgPool2d | FloatIntervalPool2d | FloatInterpolate2d | FloatUpsample2d


def _is_maximum(node: FloatNode) -> bool:
    return isinstance(node, FloatMaxPool2d) or (isinstance(node, FloatIntervalPool2d) and node.is_max)


def _pads_zeros(node: FloatNode) -> bool:
    """Whether a node counts zeros around its source."""
    if isinstance(node, FloatConv2d):
        return max(*node.windows.padding, *node.windows.end_padding) > 0
    if isinstance(node, FloatIntervalPool2d) and not node.is_max:
        return any(each.counted != each.end - each.first for each in (*node.rows, *node.columns))
    return isinstance(node, FloatAvgPool2d) and max(node.padding) > 0


def _fold_into(node: FloatNode, front: Front) -> FloatNode:
    assert isinstance(node, (FloatConv2d, FloatDense))
    scale, offset = constant(per_weight(node, front.scale)), constant(per_weight(node, front.offset))
    shift = operation(lambda weight: weight.flatten(1).sum(1), node.origin.weight * offset)
    return following(node, Origin(weight=node.origin.weight * scale, bias=node.origin.bias + shift))


def per_weight(node: WeightedNode, by_channel: Float64s) -> Float64s:
    """A constant of each input channel, shaped to multiply the weights that read the channel."""
    if isinstance(node, FloatDense):
        return np.repeat(by_channel, node.weight.shape[1] // len(by_channel))
    by_group = by_channel.reshape(node.groups, -1)
    return by_group.repeat(len(node.weight) // node.groups, axis=0)[:, :, np.newaxis, np.newaxis]


def _tabled(network: FloatNetwork, front: Front, images: Images) -> FrontPlacement:
    """Codes from a table of the normalised pixels, unsigned where none is negative."""
    pixels = (np.arange(256)[:, np.newaxis] - _ZERO_PIXEL) / _ZERO_PIXEL
    values = pixels * front.scale + front.offset
    weights = np.stack(
        [np.bincount(images[..., c].ravel(), minlength=256) for c in range(len(front.scale))], axis=1
    )
    rounded = _CLOSE * float(np.abs(front.scale).max()) / _ZERO_PIXEL
    usual = OFFSET_FORMAT if values.min() < -rounded else PIXEL_FORMAT
    form = _table_format(values, weights, usual)
    codes = np.clip(round_half_up(np.ldexp(values, form.frac)), form.lo, form.hi)
    table: PixelCodes = codes.astype(np.int8) if form.signed else codes.astype(np.uint8)
    return FrontPlacement(
        network=_entering(network, front, form),
        preprocess=Preprocess(table=table),
        format=form,
    )


def _table_format(values: Float64s, weights: npt.NDArray[np.integer[Any]], usual: FixedPoint) -> FixedPoint:
    """The binary point, in place of `usual`'s, with the least squared error over the images."""
    finest = finest_frac(float(np.abs(values).max()), usual.hi)
    assert finest is not None, "a normalisation maps 256 pixels to more than one value"
    formats = [replace(usual, frac=finest + step) for step in range(3)]

    def error(form: FixedPoint) -> float:
        codes = np.clip(round_half_up(np.ldexp(values, form.frac)), form.lo, form.hi)
        return float((weights * (np.ldexp(codes.astype(np.float64), -form.frac) - values) ** 2).sum())

    return min(formats, key=error)
