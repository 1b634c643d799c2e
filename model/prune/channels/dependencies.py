"""Which indices of which layers leave together, found by following channels through one forward pass.

Every value of every tensor belongs to a channel of some layer, or of the image. Operations that only move
values are applied to the channels' numbers too, so no offset needs to be computed; those that combine values
tie channels; all others make channels stay. What a forward pass itself does with widths, such as sizes
written as numbers, shows only when something is removed, as in `trial.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from bitlathe.model.prune.channels.channel_rules import PADDED, ChannelsLost, TensorCall, rule_of
from bitlathe.model.prune.channels.members import (
    ChannelAxis,
    ChannelIndices,
    ChannelTies,
    Member,
    MemberRole,
    Norms,
    Weighted,
    is_depthwise,
    is_grouped_transposed,
    size,
)
from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.zoo.modes import evaluating

IMAGE = "its channels are tied to the image's"
CLASSES = "its channels are the network's output, such as the classes"
AxisPlace = tuple[str, MemberRole]


@dataclass(slots=True, kw_only=True)
class ChannelBundle:
    """Channels of the same producers and all that leaves with them; `objections` say why they cannot go."""

    root: str
    members: list[Member] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)

    @property
    def is_padded(self) -> bool:
        """Whether an operation adds constant channels beside them and so places them by position."""
        return PADDED in self.objections

    @property
    def producers(self) -> tuple[str, ...]:
        """Layers whose filters make the channels."""
        return tuple(member.layer for member in self.members if member.role is MemberRole.PRODUCER)


def trace(model: nn.Module, example: Tensor) -> list[ChannelBundle]:
    """Bundles of all convolutions and dense layers that the forward pass of `example` (N, C, H, W) reaches.

    Every output channel of a layer is in one bundle. Raises Unprunable if the network cannot be traced.
    """
    follower = _Follower(model)
    try:
        with torch.no_grad(), evaluating(model), follower.hooked():
            image = example.detach().clone()
            follower.places[image] = ChannelAxis(dim=1, channels=follower.ties.new(image.shape[1], IMAGE))
            with follower:
                output = model(image)
    except Exception as error:  # whatever a user's forward raises
        raise Unprunable(
            f"{type(model).__name__}: cannot be traced with an input of {tuple(example.shape)} "
            f"({_first_line(error)}); give an example the network accepts"
        ) from error
    follower.keep(output, CLASSES)
    follower.keep_unfit()
    return _bundles(model, follower)


class _Follower(TorchDispatchMode):
    """Records where each tensor of a forward pass has its channels, and which channels each layer holds."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ties = ChannelTies()
        self.places: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self.held: dict[AxisPlace, ChannelIndices] = {}
        self.unfit: dict[str, str] = {}  # layer -> why its channels can never leave
        self._model = model
        self._inside: list[tuple[str, nn.Module]] = []  # running modules, the innermost last

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False, as PyTorch would import its compiler to skip it, which takes seconds."""
        return False

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Observe each module's start and end."""
        handles = []
        for name, module in self._model.named_modules():
            handles.append(module.register_forward_pre_hook(self._entering(name)))
            handles.append(module.register_forward_hook(self._left(name), with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def keep(self, values: object, reason: str) -> None:
        """Make the channels of all tensors among `values` stay."""
        for leaf in _pytree.tree_leaves(values):
            if isinstance(leaf, Tensor) and leaf in self.places:
                self.ties.keep(self.places[leaf].channels, reason)

    def keep_unfit(self) -> None:
        """Make all channels of a layer stay if it met others that cannot leave."""
        for (name, _), channels in self.held.items():
            if name in self.unfit:
                self.ties.keep(channels, self.unfit[name])

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and follow its channels outside of layers that are followed as a whole."""
        given = kwargs or {}
        result = function(*args, **given)
        if not any(_is_followed(module) for _, module in self._inside):
            self._follow(function, args, given, result)
        return result

    def _follow(self, function: Any, args: Any, kwargs: Any, result: Any) -> None:
        if not any(isinstance(t, Tensor) and t in self.places for t in _pytree.tree_leaves((args, kwargs))):
            return
        outputs = tuple(leaf for leaf in _pytree.tree_leaves(result) if isinstance(leaf, Tensor))
        operation = TensorCall(
            function=function, args=args, kwargs=kwargs, outputs=outputs, places=self.places, ties=self.ties
        )
        if operation.name.startswith("new_"):  # a constant that only shares a tensor's type
            return
        try:
            made = rule_of(operation)(operation)
        except ChannelsLost:
            made = self._lost((args, kwargs), outputs, self._passing(operation.name))
        for output, place in zip(outputs, made, strict=True):
            if output.dim():
                self.places[output] = place

    def _lost(self, values: object, outputs: tuple[Tensor, ...], reason: str) -> list[ChannelAxis]:
        self.keep(values, reason)
        one = self.ties.new(1, reason)
        dims = [min(1, max(0, output.dim() - 1)) for output in outputs]
        sizes = [output.shape[dim] if output.dim() else 1 for output, dim in zip(outputs, dims, strict=True)]
        return [
            ChannelAxis(dim=dim, channels=np.repeat(one, size)) for dim, size in zip(dims, sizes, strict=True)
        ]

    def _passing(self, operation: str) -> str:
        name, module = self._inside[-1]
        if name and type(module).__module__.startswith("torch.nn."):
            return f"its channels pass {name}, a {type(module).__name__} that cannot lose channels"
        where = name or type(module).__name__
        return (
            f"its channels pass {operation.strip('_')} in {where}, which takes them by position or mixes them"
        )

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        return lambda module, _inputs: self._inside.append((name, module))

    def _left(self, name: str) -> Callable[[nn.Module, Any, Any, Any], None]:
        def leave(module: nn.Module, inputs: Any, named: Any, output: Any) -> None:
            self._inside.pop()
            if _is_followed(module) and not any(_is_followed(m) for _, m in self._inside):
                (image,) = (*inputs, *named.values())[:1]
                self._through(name, module, image, output)

        return leave

    def _through(self, name: str, layer: nn.Module, image: Tensor, output: Tensor) -> None:
        """Follow channels through a layer: those it reads and those it makes."""
        dim = _channel_dim(layer, image)
        place = self.places.get(image)
        read = place and place.at(dim, image.shape[dim])
        if read is None and place is None:
            read = ChannelAxis(dim=dim, channels=self.ties.new(image.shape[dim], "a constant"))
        if read is None or is_grouped_transposed(layer):
            reason = f"its channels pass {name}, a {type(layer).__name__} that cannot lose channels"
            self.unfit[name] = reason
            (self.places[output],) = self._lost(image, (output,), reason)
            return
        role = _passing_role(layer)
        if role is not None:
            each = size(layer, role) // len(read.channels)  # filters of one channel
            channels = np.repeat(read.channels, each)
            self._hold(name, role, channels)
            self.places[output] = ChannelAxis(dim=dim, channels=channels)
            return
        groups = int(getattr(layer, "groups", 1))
        self._hold(name, MemberRole.CONSUMER, self._of_one_group(read.channels, groups))
        if (name, MemberRole.PRODUCER) not in self.held:
            made = self.ties.new(size(layer, MemberRole.PRODUCER) // groups)
            self._hold(name, MemberRole.PRODUCER, np.tile(made, groups))
        self.places[output] = ChannelAxis(dim=dim, channels=self.held[name, MemberRole.PRODUCER])

    def _of_one_group(self, channels: ChannelIndices, groups: int) -> ChannelIndices:
        """What a grouped convolution reads: each group loses the same places, so these leave together."""
        first, *others = np.split(channels, groups)
        for other in others:
            self.ties.tie(first, other)
        return first

    def _hold(self, layer: str, role: MemberRole, channels: ChannelIndices) -> None:
        """A layer that runs twice ties the channels it met the first time to those it meets now."""
        if (layer, role) in self.held:
            self.ties.tie(self.held[layer, role], channels)
        else:
            self.held[layer, role] = channels


def _channel_dim(layer: nn.Module, image: Tensor) -> int:
    if isinstance(layer, nn.Linear):
        return image.dim() - 1
    return image.dim() - 3 if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) else 1


def _is_followed(module: nn.Module) -> bool:
    """Whether a module's channels are followed as a whole, not operation by operation."""
    if isinstance(module, nn.PReLU):
        return module.num_parameters > 1
    return isinstance(module, (*Weighted, *Norms))


def _passing_role(layer: nn.Module) -> MemberRole | None:
    """How a layer takes part in channels that it passes on; None if it makes channels of its own."""
    if isinstance(layer, nn.PReLU):
        return MemberRole.SLOPE
    if isinstance(layer, Norms):
        return MemberRole.NORM
    return MemberRole.DEPTHWISE if is_depthwise(layer) else None


Holders = dict[AxisPlace, list[int]]  # indices of a channel in each role of each layer


def _bundles(model: nn.Module, follower: _Follower) -> list[ChannelBundle]:
    """Bundle the channels that the same layers make; the root is the narrowest of these layers."""
    layers = dict(model.named_modules())
    order = {name: number for number, name in enumerate(layers)}
    by_producers: dict[tuple[str, ...], dict[int, Holders]] = {}
    for channel, holders in _holders(follower).items():
        makers = sorted(
            (name for name, role in holders if role is MemberRole.PRODUCER), key=order.__getitem__
        )
        if makers:
            by_producers.setdefault(tuple(makers), {})[channel] = holders
    bundles = [ChannelBundle(root=name, objections=[reason]) for name, reason in follower.unfit.items()]
    taken: set[str] = set()
    for producers, channels in by_producers.items():
        narrow = sorted(producers, key=lambda name: (size(layers[name], MemberRole.PRODUCER), order[name]))
        root = next((name for name in narrow if name not in taken), narrow[0])
        taken.add(root)
        bundles.append(_bundle(root, channels, follower.ties, order))
    return sorted(bundles, key=lambda bundle: order[bundle.root])


def _holders(follower: _Follower) -> dict[int, Holders]:
    held: dict[int, Holders] = {}
    for place, channels in follower.held.items():
        for index, channel in enumerate(follower.ties.standing_for(channels)):
            held.setdefault(channel, {}).setdefault(place, []).append(index)
    return held


def _bundle(
    root: str, channels: Mapping[int, Holders], ties: ChannelTies, order: Mapping[str, int]
) -> ChannelBundle:
    bundle = ChannelBundle(root=root)
    ascending = sorted(channels, key=lambda channel: channels[channel][root, MemberRole.PRODUCER])
    parts: dict[AxisPlace, list[tuple[int, int]]] = {}  # (index, channel of the bundle)
    for number, channel in enumerate(ascending):
        reason = ties.reason(channel)
        if reason is not None and reason not in bundle.objections:
            bundle.objections.append(reason)
        for place, indices in channels[channel].items():
            parts.setdefault(place, []).extend((index, number) for index in indices)
    places = sorted(parts, key=lambda place: (place != (root, MemberRole.PRODUCER), order[place[0]]))
    bundle.members = [_member(*place, parts[place]) for place in places]
    return bundle


def _member(layer: str, role: MemberRole, pairs: list[tuple[int, int]]) -> Member:
    indices, channels = np.array(sorted(pairs), np.int64).T
    return Member(layer=layer, role=role, channels=_whole(channels), indices=_whole(indices))


def _whole(values: ChannelIndices) -> ChannelIndices:
    return np.ascontiguousarray(values)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].strip()
