"""Groups of channels that leave together, and the reason why the channels of other layers stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
import torch
from torch import nn

from bitlathe.model.graph.errors import first_of
from bitlathe.model.prune.channels.dependencies import CLASSES, ChannelBundle, trace
from bitlathe.model.prune.channels.members import (
    ChannelIndices,
    Member,
    MemberRole,
    Weighted,
    is_depthwise,
    size,
)
from bitlathe.model.prune.channels.surgery import Cuts
from bitlathe.model.prune.channels.trial import trouble
from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.zoo.layers import PadShortcut

_TOLD = 4  # layers named in a line


class ChannelScope(Enum):
    """Which groups are offered."""

    INTERNAL = "internal"  # those with one producer: inside residual blocks, and in plain chains
    ALL = "all"  # also those that a sum ties together


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelGroup:
    """Channels of one width and every layer they pass through."""

    name: str  # the root: the first producer
    width: int  # channels, those that leave only together counted as one
    members: tuple[Member, ...]  # the root first

    @property
    def producers(self) -> tuple[str, ...]:
        """Layers with filters that make the channels; several if a sum or a concatenation ties them."""
        return tuple(m.layer for m in self.members if m.role is MemberRole.PRODUCER)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelGroups:
    """Groups in the order of the network's layers, and why other layers have none."""

    groups: tuple[ChannelGroup, ...]
    refused: Mapping[str, str]  # convolution, dense layer or batch norm -> reason
    stuck: Mapping[str, str] = field(default_factory=dict)  # of these, layers whose own channels must stay
    wider: int = 0  # further channels that `ChannelScope.ALL` offers

    def __iter__(self) -> Iterator[ChannelGroup]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def width(self) -> int:
        """Channels of all groups."""
        return sum(group.width for group in self.groups)

    def told(self) -> list[str]:
        """A line for each reason why channels must stay, except for the classes."""
        lines = []
        for reason in dict.fromkeys(self.stuck.values()):
            layers = [layer for layer, why in self.stuck.items() if why == reason]
            lines.append(f"{first_of(layers, _TOLD)}: cannot be pruned: {reason}")
        return lines

    def find(self, layer: str) -> ChannelGroup:
        """Group that `layer` produces; Unprunable, with the reason, if there is none."""
        for group in self.groups:
            if layer in group.producers:
                return group
        if layer in self.refused:
            raise Unprunable(f"{layer}: cannot be pruned: {self.refused[layer]}")
        names = ", ".join(group.name for group in self.groups) or "none"
        raise Unprunable(f"{layer}: no such layer; those that can be pruned: {names}")

    def without(self, layers: Iterable[str]) -> ChannelGroups:
        """The groups except those of `layers`."""
        skipped = {self.find(layer).name for layer in layers}
        kept = tuple(group for group in self.groups if group.name not in skipped)
        return replace(self, groups=kept, refused={**self.refused, **dict.fromkeys(skipped, "it is skipped")})


def channel_groups(
    model: nn.Module, example: torch.Tensor, scope: ChannelScope = ChannelScope.INTERNAL
) -> ChannelGroups:
    """Groups of a live network; `example` (N, C, H, W) is an input of it.

    Groups are valid until pruning changes a width. Raises Unprunable for a network that cannot be traced.
    """
    bundles = trace(model, example)
    layers = dict(model.named_modules())
    _object_to_positions(bundles, layers)
    _object_to_outputs_and_sharing(bundles, layers)
    _spread(bundles)
    refused = {
        "input": "the image brings its channels",
        **_followers(bundles),
        **_never_reached(bundles, layers),
    }
    groups, wider, stuck = [], 0, {}
    for bundle in bundles:
        reason = next(iter(bundle.objections), None)
        if reason is not None and reason != CLASSES:
            stuck.update(dict.fromkeys((bundle.root, *bundle.producers), reason))
        if reason is None and scope is ChannelScope.INTERNAL and len(bundle.producers) > 1:
            wider += _group(bundle).width
            others = ", ".join(bundle.producers)
            reason = f"a sum ties the channels of {others} together; widen the scope to all groups"
        if reason is None:
            groups.append(_group(bundle))
        else:
            refused.update(dict.fromkeys((bundle.root, *bundle.producers), reason))
    working, broken = _tried(groups, model, example)
    return ChannelGroups(
        groups=working, refused={**refused, **broken}, stuck={**stuck, **broken}, wider=wider
    )


def _group(bundle: ChannelBundle) -> ChannelGroup:
    width = len(np.unique(bundle.members[0].channels))
    return ChannelGroup(name=bundle.root, width=width, members=tuple(bundle.members))


def _tried(
    groups: list[ChannelGroup], model: nn.Module, example: torch.Tensor
) -> tuple[tuple[ChannelGroup, ...], dict[str, str]]:
    """Groups that can lose a channel without breaking the forward pass, and why others cannot.

    Widths written as numbers in the forward pass show only when something is removed.
    """
    if not groups or not trouble(model, _one_of_each(groups), example):
        return tuple(groups), {}
    working: list[ChannelGroup] = []
    broken: dict[str, str] = {}
    for group in groups:
        found = trouble(model, _one_of_each([*working, group]), example)
        if found:
            reason = f"without one of its channels the forward pass breaks ({found})"
            broken.update(dict.fromkeys(group.producers, reason))
        else:
            working.append(group)
    return tuple(working), broken


def _one_of_each(groups: Sequence[ChannelGroup]) -> Cuts:
    """What layers lose if the middle channel of each group goes."""
    return cuts((group, (group.width // 2,)) for group in groups)


def cuts(removed: Iterable[tuple[ChannelGroup, Sequence[int]]]) -> Cuts:
    """Indices that each layer loses in each of its roles if these channels of the groups go."""
    parts: dict[tuple[str, MemberRole], list[ChannelIndices]] = {}
    for group, channels in removed:
        for member in group.members if len(channels) else ():
            parts.setdefault((member.layer, member.role), []).append(member.at(np.array(channels, np.int64)))
    return {place: np.unique(np.concatenate(indices)) for place, indices in parts.items()}


def _object_to_positions(bundles: list[ChannelBundle], layers: Mapping[str, nn.Module]) -> None:
    """Object to summed channels that are held in place by constant channels beside them."""
    for bundle in [bundle for bundle in bundles if bundle.is_padded]:
        widths = {size(layers[name], MemberRole.PRODUCER) for name in _tied_producers(bundle, bundles)}
        bundle.objections = [_placed_by_position(sorted(widths), layers)]


def _tied_producers(bundle: ChannelBundle, bundles: list[ChannelBundle]) -> set[str]:
    """Producers of a bundle, of bundles that share one with it, and so on."""
    found = set(bundle.producers)
    while any(found & set(other.producers) and not found.issuperset(other.producers) for other in bundles):
        found.update(*(other.producers for other in bundles if found & set(other.producers)))
    return found


def _placed_by_position(widths: list[int], layers: Mapping[str, nn.Module]) -> str:
    pads = [name for name, layer in layers.items() if isinstance(layer, PadShortcut)]
    where = f"{', '.join(pads)} (option A)" if pads else "an operation between them"
    return (
        f"maps of {', '.join(map(str, widths))} channels are summed and {where} places channels "
        "by position, so removing some would shift the others; prune channels inside the blocks"
    )


def _object_to_outputs_and_sharing(bundles: list[ChannelBundle], layers: Mapping[str, nn.Module]) -> None:
    tied = _tied(layers)
    for bundle in bundles:
        if bundle.objections:
            continue
        if not any(member.role is MemberRole.CONSUMER for member in bundle.members):
            bundle.objections.append("nothing reads its channels")
        if _group(bundle).width == 1:
            bundle.objections.append("it has one channel left")
        for member in bundle.members:
            if member.layer in tied:
                bundle.objections.append(f"a tensor of {member.layer} is {tied[member.layer]}")


def _tied(layers: Mapping[str, nn.Module]) -> dict[str, str]:
    """Layers that share a tensor with another layer, or that compute their weight on each use."""
    owners = [
        (name, p) for name, layer in layers.items() for p in layer._parameters.values() if p is not None
    ]
    uses = Counter(id(parameter) for _, parameter in owners)
    shared = {name: "shared with another layer" for name, p in owners if uses[id(p)] > 1}
    computed = {
        name: "computed by a parametrization"
        for name, layer in layers.items()
        if isinstance(layer, Weighted) and not isinstance(layer._parameters.get("weight"), nn.Parameter)
    }
    return {**shared, **computed}


def _spread(bundles: list[ChannelBundle]) -> None:
    """Object to bundles that share a layer with a bundle that cannot be pruned."""
    spreading = True
    while spreading:
        spreading = False
        bad = {layer: bundle for bundle in bundles if bundle.objections for layer in bundle.producers}
        for bundle in bundles:
            met = next((layer for layer in bundle.producers if layer in bad), None)
            if met is not None and not bundle.objections:
                bundle.objections.extend(bad[met].objections[:1])
                spreading = True


def _followers(bundles: list[ChannelBundle]) -> dict[str, str]:
    """Layers that have no channels of their own but follow a producer's."""
    return {
        member.layer: f"it follows the channels of {bundle.root}; name that layer"
        for bundle in reversed(bundles)  # so that the first of several roots is the one named
        for member in bundle.members
        if member.role in (MemberRole.NORM, MemberRole.DEPTHWISE, MemberRole.SLOPE)
    }


def _never_reached(bundles: list[ChannelBundle], layers: Mapping[str, nn.Module]) -> dict[str, str]:
    reached = {member.layer for bundle in bundles for member in bundle.members}
    reasons = {}
    for name, layer in layers.items():
        if isinstance(layer, Weighted) and name not in reached:
            image = is_depthwise(layer)
            reasons[name] = "it follows the image's channels" if image else "no forward pass reaches it"
    return reasons
