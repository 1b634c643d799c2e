"""Legal binary points: every shift of the integer arithmetic within 0 to 31.

A requantize shifts right by n = frac_x + frac_w - frac_y, a residual left by frac_x + frac_w - frac_r; in a
product the factor's frac takes the place of frac_w. Activations get coarser where a shift would be negative,
weights, or sources of what has none to change, where one would be too large: the bits lost are finer than
those kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bitlathe.model.capture.float_network import FloatNetwork, FloatNode, FloatProduct
from bitlathe.model.graph.convolution import INT32_EXACT
from bitlathe.model.graph.errors import FormatError, together
from bitlathe.model.graph.fixed_point import MAX_SHIFT, FixedPoint
from bitlathe.model.quantize.calibrate import Formats
from bitlathe.model.quantize.groups import Group
from bitlathe.model.quantize.rounding import Fracs, finest_frac
from bitlathe.model.quantize.weight_formats import WeightedNode, WeightFormat, WeightFormats

FINER_THAN_ANY = 1 << 20  # beyond any binary point that occurs


def legal_activations(
    network: FloatNetwork,
    formats: Formats,
    weights: WeightFormats,
    groups: tuple[Group, ...],
    fixed: Formats,
    *,
    clip: bool = False,
) -> Formats:
    """Formats with lower binary points where shifts would be illegal; those in `fixed` stay.

    Raises FormatError, naming the layer, if no binary points are legal. With `clip` it leaves layers of that
    kind to `legal_weights`, which then clips their weights, and clips the sources of other nodes.
    """
    members = {name: group.tensors for group in groups for name in group.tensors}
    held = {name for name, tensors in members.items() if any(tensor in fixed for tensor in tensors)}
    search = _Search(network=network, weights=weights, members=members, held=held, may_clip=clip)
    found, stuck = search.legal(formats)
    if stuck and not clip:
        raise together([excess.refusal() for excess in stuck], network.name)
    if found is None and clip:  # a cycle of groups, lowered for nothing: keep the original
        found, stuck = replace(search, only_constant=True).legal(formats)
    if found is None or any(not isinstance(excess.node, WeightedNode) for excess in stuck):
        raise stuck[0].refusal()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Excess:
    """A tensor whose frac is too large for a node's shift, and by how much."""

    node: FloatNode
    by: int
    lowered: tuple[str, ...]  # tensors to lower ...
    against: tuple[str, ...]  # while these stay, or rise

    def refusal(self) -> FormatError:
        """Why no binary points are legal."""
        finer = " and ".join(self.lowered)
        if isinstance(self.node, WeightedNode):
            return FormatError(
                f"{self.node.name}: its weights are too large: {finer} has more fraction bits than the "
                "accumulator; give the layer more weight bits or scale its weights down"
            )
        return FormatError(
            f"{self.node.name}: {finer} has too many fraction bits beside {' and '.join(self.against)}: "
            "they share a format, or the host fixes it; scale one of them"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    network: FloatNetwork
    weights: WeightFormats
    members: dict[str, tuple[str, ...]]  # tensors of one format, by each of them
    held: set[str]  # tensors whose format must stay
    may_clip: bool
    only_constant: bool = False  # whether nodes with weights of their own are left out

    def legal(self, formats: Formats) -> tuple[Formats | None, list[_Excess]]:
        """Formats without excess but for what is stuck; None where groups chase each other."""
        legal = dict(formats)
        for _ in range(len(self.network.nodes) + 1):
            found = [excess for node in self.network.nodes for excess in self._excess(node, legal)]
            moves = [self._move(excess) for excess in found]
            stuck = [excess for excess, move in zip(found, moves, strict=True) if move is None]
            if len(stuck) == len(found) or (stuck and not self.may_clip):
                return legal, stuck
            for move in moves:
                if move is not None:
                    _shift(legal, *move)
        return None, found

    def _excess(self, node: FloatNode, formats: Formats) -> Iterator[_Excess]:
        own = isinstance(node, WeightedNode)
        if own and self.only_constant:
            return
        sources, fracs = self._summed(node)
        others = (node.name, *node.sources[len(sources) :]) if sources else ()
        base = sum(formats[source].frac for source in sources)
        for tensor in others:
            frac = formats[tensor].frac
            if frac > base + min(fracs):
                by = frac - base - min(fracs)
                yield _Excess(node=node, by=by, lowered=(tensor,), against=sources)
            if not own and base + max(fracs) - frac > MAX_SHIFT:
                by = base + max(fracs) - frac - MAX_SHIFT
                yield _Excess(node=node, by=by, lowered=sources, against=(tensor,))

    def _summed(self, node: FloatNode) -> tuple[tuple[str, ...], Fracs]:
        """Tensors whose fracs add up to an accumulator's, and the constants that they are added to."""
        if isinstance(node, FloatProduct):
            return node.sources, (0,)
        if node.name in self.weights:
            return node.sources[:1], self.weights[node.name].fracs
        return (), (0,)

    def _move(self, excess: _Excess) -> tuple[tuple[str, ...], int] | None:
        """Tensors of one format and by how much their binary point moves; None if nothing helps."""
        for tensor in excess.lowered:
            gain = self._gain(self.members[tensor], excess)
            if gain > 0 and tensor not in self.held:
                return self.members[tensor], -excess.by // gain
        if self.may_clip and not isinstance(excess.node, WeightedNode):
            for tensor in (*excess.against, *excess.lowered):
                gain = -self._gain(self.members[tensor], excess)
                if gain > 0 and tensor not in self.held:
                    return self.members[tensor], -(-excess.by // gain)
        return None

    @staticmethod
    def _gain(group: tuple[str, ...], excess: _Excess) -> int:
        """By how much the excess falls when a group's binary point falls by one."""
        lowered = sum(tensor in group for tensor in excess.lowered)
        return lowered - sum(tensor in group for tensor in excess.against)


def _shift(formats: Formats, tensors: tuple[str, ...], by: int) -> None:
    for tensor in tensors:
        formats[tensor] = replace(formats[tensor], frac=formats[tensor].frac + by)


def legal_weights(network: FloatNetwork, formats: Formats, weights: WeightFormats) -> WeightFormats:
    """Weight formats without shifts beyond `MAX_SHIFT` or biases beyond int32: coarser where necessary."""
    legal = dict(weights)
    for node in network.nodes:
        if isinstance(node, WeightedNode):
            legal[node.name] = _legal_weight(node, formats, weights[node.name])
    return legal


def _legal_weight(node: WeightedNode, formats: Formats, weight: WeightFormat) -> WeightFormat:
    """Binary points from that with a shift of 0 to that with a shift of `MAX_SHIFT`."""
    written = [formats[tensor].frac - formats[node.source].frac for tensor in (node.name, *node.sources[1:])]
    lowest, highest = max(written), min(written) + MAX_SHIFT
    wanted = np.minimum(weight.fracs, highest)
    wanted = np.minimum(wanted, [_finest_bias(bias, formats[node.source]) for bias in node.bias.tolist()])
    return replace(weight, fracs=tuple(np.maximum(wanted, lowest).tolist()))


def _finest_bias(bias: float, source: FixedPoint) -> int:
    """Finest binary point of weights with which a bias fits int32."""
    finest = finest_frac(abs(bias), INT32_EXACT - 1)
    return FINER_THAN_ANY if finest is None else finest - source.frac
