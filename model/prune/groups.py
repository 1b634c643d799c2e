"""Channels that leave together, and for every other layer the reason why its channels stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import torch
from torch import nn

from bitlathe.model.prune.dependencies import Bundle, trace
from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.prune.members import Member, Role, is_depthwise, size
from bitlathe.model.zoo.layers import PadShortcut


class Scope(Enum):
    """Which groups are offered."""

    INTERNAL = "internal"  # of one producer each: inside residual blocks, and plain chains
    ALL = "all"  # those that a sum ties together too


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelGroup:
    """Channels of one width with every layer they run through."""

    name: str  # the root: the first producer
    width: int  # channels
    members: tuple[Member, ...]  # the root first

    @property
    def producers(self) -> tuple[str, ...]:
        """Layers whose filters make the channels; more than one where a sum or a concatenation ties them."""
        return tuple(m.layer for m in self.members if m.role is Role.PRODUCER)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChannelGroups:
    """Groups in the order of the network's layers, and why other layers are not among them."""

    groups: tuple[ChannelGroup, ...]
    refused: Mapping[str, str]  # convolution, dense layer or batch norm -> reason

    def __iter__(self) -> Iterator[ChannelGroup]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def width(self) -> int:
        """Channels of all groups."""
        return sum(group.width for group in self.groups)

    def find(self, layer: str) -> ChannelGroup:
        """Group that `layer` produces; Unprunable says why there is none."""
        for group in self.groups:
            if layer in group.producers:
                return group
        if layer in self.refused:
            raise Unprunable(f"{layer}: cannot be pruned: {self.refused[layer]}")
        names = ", ".join(group.name for group in self.groups) or "none"
        raise Unprunable(f"{layer}: no such layer; those that can be pruned: {names}")

    def without(self, layers: Iterable[str]) -> ChannelGroups:
        """The groups but those of `layers`."""
        skipped = {self.find(layer).name for layer in layers}
        kept = tuple(group for group in self.groups if group.name not in skipped)
        return replace(self, groups=kept, refused={**self.refused, **dict.fromkeys(skipped, "it is skipped")})


def channel_groups(model: nn.Module, example: torch.Tensor, scope: Scope = Scope.INTERNAL) -> ChannelGroups:
    """Groups of a live network; `example` (N, C, H, W) is an input of it.

    Names hold until the next prune changes a width. Raises Unprunable for a network that cannot be traced.
    """
    bundles = trace(model, example)
    layers = dict(model.named_modules())
    _object_to_widths(bundles, layers)
    _object_to_overlaps(bundles)
    _object_to_outputs_and_sharing(bundles, layers)
    _spread(bundles)
    groups = []
    refused = {
        "input": "the image brings its channels",
        **_followers(bundles),
        **_never_reached(bundles, layers),
    }
    for bundle in bundles:
        group = _group(bundle)
        reason = next(iter(bundle.objections), None) or _out_of_scope(group, scope)
        if reason is None:
            groups.append(group)
        else:
            refused.update({layer: reason for layer in (bundle.root, *group.producers)})
    return ChannelGroups(groups=tuple(groups), refused=refused)


def _group(bundle: Bundle) -> ChannelGroup:
    root = next((m for m in bundle.members if m.layer == bundle.root and m.role is Role.PRODUCER), None)
    others = [m for m in bundle.members if m is not root]
    return ChannelGroup(
        name=bundle.root,
        width=0 if root is None else len(root.indices),
        members=tuple(others if root is None else [root, *others]),
    )


def _object_to_widths(bundles: list[Bundle], layers: Mapping[str, nn.Module]) -> None:
    """Indices that a layer lacks come from a sum of maps of different widths."""
    for bundle in bundles:
        if any(m.indices.size and m.indices.max() >= size(layers[m.layer], m.role) for m in bundle.members):
            bundle.objections.append(_placed_by_position(bundle, layers))


def _placed_by_position(bundle: Bundle, layers: Mapping[str, nn.Module]) -> str:
    pads = [name for name, layer in layers.items() if isinstance(layer, PadShortcut)]
    widths = sorted({size(layers[m.layer], m.role) for m in bundle.members if m.role is Role.PRODUCER})
    where = f"{', '.join(pads)} (option A)" if pads else "an operation between them"
    return (
        f"maps of {', '.join(map(str, widths))} channels are summed and {where} places channels "
        "by position, so removing some would shift the others; prune channels inside the blocks"
    )


def _object_to_overlaps(bundles: list[Bundle]) -> None:
    """An index that two channels claim would leave with either."""
    claims: dict[tuple[str, Role], list[Bundle]] = {}
    for bundle in bundles:
        for member in bundle.members:
            claims.setdefault((member.layer, member.role), []).append(bundle)
    for (layer, role), claimants in claims.items():
        parts = [m.indices for b in claimants for m in b.members if m.layer == layer and m.role is role]
        indices = np.concatenate(parts)
        if len(np.unique(indices)) < len(indices):
            for bundle in claimants:
                bundle.objections.append(f"tracing cannot tell its channels from others in {layer}")


def _object_to_outputs_and_sharing(bundles: list[Bundle], layers: Mapping[str, nn.Module]) -> None:
    tied = _tied(layers)
    for bundle in bundles:
        if bundle.objections:
            continue
        if not any(member.role is Role.CONSUMER for member in bundle.members):
            bundle.objections.append("its channels are the network's output, such as the classes")
        if len(_group(bundle).members[0].indices) == 1:
            bundle.objections.append("it has one channel left")
        for member in bundle.members:
            if member.layer in tied:
                bundle.objections.append(f"a tensor of {member.layer} is {tied[member.layer]}")


def _tied(layers: Mapping[str, nn.Module]) -> dict[str, str]:
    """Layers whose tensors another layer holds too, or that compute their weight anew each time."""
    owners = [
        (name, p) for name, layer in layers.items() for p in layer._parameters.values() if p is not None
    ]
    uses = Counter(id(parameter) for _, parameter in owners)
    shared = {name: "shared with another layer" for name, p in owners if uses[id(p)] > 1}
    computed = {
        name: "computed by a parametrization"
        for name, layer in layers.items()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
        and not isinstance(layer._parameters.get("weight"), nn.Parameter)
    }
    return {**shared, **computed}


def _spread(bundles: list[Bundle]) -> None:
    """Object to bundles that make channels of a layer with another one that cannot be pruned."""
    spreading = True
    while spreading:
        spreading = False
        bad = {m.layer: b for b in bundles if b.objections for m in b.members if m.role is not Role.CONSUMER}
        for bundle in bundles:
            met = next(
                (m.layer for m in bundle.members if m.role is not Role.CONSUMER and m.layer in bad), None
            )
            if met is not None and not bundle.objections:
                bundle.objections.extend(bad[met].objections[:1])
                spreading = True


def _out_of_scope(group: ChannelGroup, scope: Scope) -> str | None:
    if scope is Scope.ALL or len(group.producers) == 1:
        return None
    others = ", ".join(group.producers)
    return f"a sum ties the channels of {others} together; widen the scope to all groups"


def _followers(bundles: list[Bundle]) -> dict[str, str]:
    """Layers that own no channel but follow a producer's."""
    return {
        member.layer: f"it follows the channels of {bundle.root}; name that layer"
        for bundle in reversed(bundles)  # so that the first of several roots is named
        for member in bundle.members
        if member.role in (Role.NORM, Role.DEPTHWISE)
    }


def _never_reached(bundles: list[Bundle], layers: Mapping[str, nn.Module]) -> dict[str, str]:
    reached = {member.layer for bundle in bundles for member in bundle.members}
    reasons = {}
    for name, layer in layers.items():
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and name not in reached:
            image = is_depthwise(layer)
            reasons[name] = "it follows the image's channels" if image else "no forward pass reaches it"
    return reasons
