"""What each of PyTorch's operations does to channels: along which dimension of its result they are.

An operation that is not listed, or that takes channels by position, raises `ChannelsLost`; its channels stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils import _pytree

from bitlathe.model.prune.channels.members import ChannelAxis, ChannelIndices, ChannelTies

PADDED = "constant channels stand beside its channels"
_CONSTANT = "a constant tensor is put together with its channels"
_PARAMETER = "a bare parameter outside any layer depends on its channels"


class ChannelsLost(Exception):
    """Channels cannot be followed through an operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorCall:
    """A finished operation that read tensors with channels."""

    function: OpOverload
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Tensor, ...]
    places: Mapping[Tensor, ChannelAxis]  # of every tensor that depends on the image
    ties: ChannelTies

    @property
    def name(self) -> str:
        """Bare name, in place or not: add of aten.add_.Tensor."""
        return str(self.function.overloadpacket.__name__).removesuffix("_")

    def argument(self, name: str) -> Any:
        """An argument by its name in the schema, None if there is none."""
        schema = self.function._schema.arguments
        given = {**dict(zip((a.name for a in schema), self.args, strict=False)), **self.kwargs}
        defaults = {a.name: a.default_value for a in schema if a.has_default_value()}
        return {**defaults, **given}.get(name)

    @property
    def image(self) -> tuple[Tensor, ChannelAxis]:
        """The one tensor with channels that it reads."""
        (tensor,) = (t for t in _tensors((self.args, self.kwargs)) if t in self.places)
        return tensor, self.places[tensor]


ChannelRule = Callable[[TensorCall], list[ChannelAxis]]  # one for each output


def rule_of(operation: TensorCall) -> ChannelRule:
    """The rule of an operation; ChannelsLost if there is none."""
    if operation.name in _RULES:
        return _RULES[operation.name]
    if operation.name.endswith("_like"):  # constants with the shape of a tensor
        return _elementwise
    packet = operation.function.overloadpacket
    if any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads()):
        return _elementwise
    raise ChannelsLost


def _elementwise(operation: TensorCall) -> list[ChannelAxis]:
    """Operations on each channel separately, with operands broadcast as usual."""
    output = _only(operation.outputs)
    operands = [t for t in _tensors((operation.args, operation.kwargs)) if t.dim()]
    if any(t.dim() > output.dim() for t in operands):  # such as the maximum of all values of a tensor
        raise ChannelsLost
    shapes = [(1,) * (output.dim() - t.dim()) + tuple(t.shape) for t in operands]
    places = [
        _shifted(operation.places[t], output.dim() - t.dim()) if t in operation.places else None
        for t in operands
    ]
    return [_tied(operation.ties, output.shape, shapes, places, operands)]


def _unmoved(operation: TensorCall) -> list[ChannelAxis]:
    """A rounding, which may also return where it did not clip."""
    return [operation.image[1]] * len(operation.outputs)


def _tied(
    ties: ChannelTies,
    result: Sequence[int],
    shapes: Sequence[Sequence[int]],
    places: Sequence[ChannelAxis | None],
    tensors: Sequence[Tensor],
) -> ChannelAxis:
    """Where channels are after an elementwise operation on tensors of broadcast shapes."""
    found = [place for place in places if place is not None]
    dim = next((place.dim for place in found if not place.is_one), found[0].dim)
    tied: list[ChannelAxis] = []
    for tensor, shape, place in zip(tensors, shapes, places, strict=True):
        if place is None:
            if shape[dim] > 1:
                reason = _PARAMETER if isinstance(tensor, torch.nn.Parameter) else _CONSTANT
                for other in found:
                    ties.keep(other.channels, reason)
            continue
        turned = place.at(dim, shape[dim])
        if turned is None:
            raise ChannelsLost
        if shape[dim] < result[dim]:  # one channel is combined with all
            ties.keep(turned.channels, "it is spread over the channels of other layers")
        else:
            tied.append(turned)
    if not tied:
        return ChannelAxis(dim=dim, channels=np.repeat(found[0].channels[:1], result[dim]))
    for other in tied[1:]:
        ties.tie(tied[0].channels, other.channels)
    return tied[0]


def _shifted(place: ChannelAxis, by: int) -> ChannelAxis:
    return ChannelAxis(dim=place.dim + by, channels=place.channels)


def _by_channel(operation: TensorCall) -> list[ChannelAxis]:
    """Pooling and the like: as many last dimensions change as the name says, each channel separately."""
    tensor, place = operation.image
    found = re.search(r"([123])d", operation.name)
    last = tensor.dim() - (int(found[1]) if found else 0)
    place = place if place.dim < last or not place.is_one else ChannelAxis(dim=1, channels=place.channels[:1])
    if place.dim >= last or any(output.dim() != tensor.dim() for output in operation.outputs):
        raise ChannelsLost
    return [place] * len(operation.outputs)


def _padded(operation: TensorCall) -> list[ChannelAxis]:
    """Zeros around a map; zeros beside its channels are channels that stay."""
    tensor, place = operation.image
    widths = list(operation.argument("pad"))
    at = 2 * (tensor.dim() - 1 - place.dim)
    front, behind = widths[at : at + 2] if at < len(widths) else (0, 0)
    if front < 0 or behind < 0:
        raise ChannelsLost
    parts = [operation.ties.new(count, PADDED) for count in (front, behind)]
    return [ChannelAxis(dim=place.dim, channels=np.concatenate([parts[0], place.channels, parts[1]]))]


def _reduced(operation: TensorCall) -> list[ChannelAxis]:
    """A mean or the like over dimensions; channels may not be among them."""
    tensor, place = operation.image
    given = operation.argument("dim")
    dims = {d % tensor.dim() for d in ([given] if isinstance(given, int) else given or range(tensor.dim()))}
    keeps = bool(operation.argument("keepdim"))
    if place.dim in dims:
        free = [d for d in range(tensor.dim()) if d not in dims]
        turned = place.at(free[0], tensor.shape[free[0]]) if free else place
        if turned is None or not place.is_one:
            raise ChannelsLost
        place = turned
    dim = place.dim if keeps else place.dim - sum(d < place.dim for d in dims)
    return [ChannelAxis(dim=dim, channels=place.channels)] * len(operation.outputs)


def _one_pixel(operation: TensorCall) -> list[ChannelAxis]:
    """Other strides for a map of one pixel, as pooling in channels_last order sets them."""
    output, (_, place) = _only(operation.outputs), operation.image
    channels = output.shape[1] if output.dim() > 2 else 0
    is_one = output[0].numel() == channels == len(place.channels) and place.dim == 1
    if not is_one or output.stride()[:2] != (channels, 1):
        raise ChannelsLost
    return [place]


def _concatenated(operation: TensorCall) -> list[ChannelAxis]:
    """Tensors one after another; parts without channels become channels that stay."""
    output = _only(operation.outputs)
    parts = [part for part in operation.argument("tensors") if part.dim() == output.dim()]
    dim = int(operation.argument("dim") or 0) % output.dim()
    places = [operation.places.get(part) for part in parts]
    along = [place and place.at(dim, part.shape[dim]) for part, place in zip(parts, places, strict=True)]
    if any(place is not None and turned is None for place, turned in zip(places, along, strict=True)):
        return [_side_by_side(operation, dim, [tuple(part.shape) for part in parts], places, parts)]
    channels = [
        operation.ties.new(part.shape[dim], _CONSTANT) if turned is None else turned.channels
        for part, turned in zip(parts, along, strict=True)
    ]
    return [ChannelAxis(dim=dim, channels=np.concatenate(channels))]


def _stacked(operation: TensorCall) -> list[ChannelAxis]:
    """Tensors one after another in a new dimension."""
    output = _only(operation.outputs)
    parts: list[Tensor] = operation.argument("tensors")
    dim = int(operation.argument("dim") or 0) % output.dim()
    shapes = [(*part.shape[:dim], 1, *part.shape[dim:]) for part in parts]
    places = [place and _shifted(place, int(place.dim >= dim)) for place in map(operation.places.get, parts)]
    if all(place is None or place.is_one for place in places):
        ones = [operation.ties.new(1, _CONSTANT) if p is None else p.channels[:1] for p in places]
        return [ChannelAxis(dim=dim, channels=np.concatenate(ones))]
    return [_side_by_side(operation, dim, shapes, places, parts)]


def _side_by_side(
    operation: TensorCall,
    dim: int,
    shapes: Sequence[tuple[int, ...]],
    places: Sequence[ChannelAxis | None],
    parts: Sequence[Tensor],
) -> ChannelAxis:
    """Channels along another dimension than that of joining: each part holds all of them."""
    result = list(operation.outputs[0].shape)
    if any(place is not None and not place.is_one and place.dim == dim for place in places):
        raise ChannelsLost
    return _tied(operation.ties, result, shapes, places, parts)


def _moved(operation: TensorCall) -> list[ChannelAxis]:
    """Operations that only move values: the same operation moves the numbers of their channels."""
    moved = _numbers_moved(operation)
    if operation.name in _RESHAPES:
        _tie_split(operation.ties, moved[0])
    elif operation.name in _SPLITS and len({part.shape for part in moved}) == 1:
        first, *others = (part.reshape(-1).numpy() for part in moved)
        for other in others:
            operation.ties.tie(*_distinct(first, other))
    made = [_place_of(result) for result in _numbers_moved(operation)]
    there = set(operation.ties.standing_for(operation.image[1].channels))
    if any(set(found.channels.tolist()) != there for found in made):
        raise ChannelsLost  # it takes some channels by position
    return made


def _numbers_moved(operation: TensorCall) -> list[Tensor]:
    """What an operation that only moves values makes of the numbers of its channels."""
    tensor, place = operation.image
    shape = [1] * tensor.dim()
    shape[place.dim] = -1
    channels = torch.tensor(operation.ties.standing_for(place.channels))
    numbers = channels.view(shape).expand(tensor.shape).contiguous()
    if operation.name in _RESHAPES:
        return [numbers.reshape(operation.outputs[0].shape)]
    args, kwargs = _pytree.tree_map(
        lambda leaf: numbers if leaf is tensor else leaf, (operation.args, dict(operation.kwargs))
    )
    return _tensors(operation.function(*args, **kwargs))


def _tie_split(ties: ChannelTies, numbers: Tensor) -> None:
    """Tie channels that a reshape puts into groups: two dimensions are groups and places, as in a channel
    shuffle; of more the first stays a channel and the others become pixels. A trial shows whether that holds.
    """
    changing = _changing(numbers)
    if len(changing) < 2:
        return
    bare = numbers.permute(*changing, *(d for d in range(numbers.dim()) if d not in changing))
    bare = bare.flatten(len(changing)).narrow(-1, 0, 1).squeeze(-1) if numbers.dim() > len(changing) else bare
    rows = bare if len(changing) == 2 else bare.flatten(1).T
    for row in rows[1:]:
        ties.tie(*_distinct(rows[0].numpy(), row.numpy()))


def _distinct(one: ChannelIndices, other: ChannelIndices) -> tuple[ChannelIndices, ChannelIndices]:
    """Pairs of numbers, each pair once."""
    pairs = np.unique(np.stack([one, other], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _pixels_from_channels(operation: TensorCall) -> list[ChannelAxis]:
    """A pixel shuffle: all channels that become pixels of one leave with it."""
    tensor, place = operation.image
    block = int(operation.argument("upscale_factor")) ** 2
    if place.dim != tensor.dim() - 3:
        raise ChannelsLost
    first, *others = place.channels.reshape(-1, block).T
    for other in others:
        operation.ties.tie(first, other)
    return [ChannelAxis(dim=place.dim, channels=np.ascontiguousarray(first))]


def _channels_from_pixels(operation: TensorCall) -> list[ChannelAxis]:
    """A pixel unshuffle: each channel becomes several."""
    tensor, place = operation.image
    if place.dim != tensor.dim() - 3:
        raise ChannelsLost
    each = int(operation.argument("downscale_factor")) ** 2
    return [ChannelAxis(dim=place.dim, channels=np.repeat(place.channels, each))]


def _shuffled_channels(operation: TensorCall) -> list[ChannelAxis]:
    """A channel shuffle: channels at one place in each group leave together."""
    _, place = operation.image
    if place.dim != 1:
        raise ChannelsLost
    by_group = place.channels.reshape(int(operation.argument("groups")), -1)
    for other in by_group[1:]:
        operation.ties.tie(by_group[0], other)
    return [ChannelAxis(dim=place.dim, channels=by_group.T.reshape(-1).copy())]


def _place_of(numbers: Tensor) -> ChannelAxis:
    """The one dimension along which channels change; ChannelsLost if there are several or none."""
    if not numbers.numel() or not numbers.dim():
        raise ChannelsLost
    changing = _changing(numbers)
    if len(changing) > 1:
        raise ChannelsLost
    dim = changing[0] if changing else min(1, numbers.dim() - 1)
    return ChannelAxis(dim=dim, channels=numbers.movedim(dim, 0).flatten(1)[:, 0].numpy().copy())


def _changing(numbers: Tensor) -> list[int]:
    """Dimensions along which numbers change."""
    firsts = (numbers.narrow(dim, 0, 1) for dim in range(numbers.dim()))
    return [dim for dim, first in enumerate(firsts) if bool((numbers != first).any())]


def _only(outputs: Sequence[Tensor]) -> Tensor:
    if len(outputs) != 1:
        raise ChannelsLost
    return outputs[0]


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(values) if isinstance(leaf, Tensor)]


_RESHAPES = ("view", "_unsafe_view", "_reshape_alias", "reshape")
_SPLITS = ("split", "split_with_sizes", "chunk")
_MOVES = (
    "permute transpose t squeeze unsqueeze expand slice select split split_with_sizes unbind chunk flip "
    "repeat detach alias _to_copy lift_fresh"
)
_POOLS = (
    "max_pool2d_with_indices max_pool2d avg_pool2d _adaptive_avg_pool2d adaptive_avg_pool2d "
    "adaptive_max_pool2d upsample_nearest2d _upsample_nearest_exact2d upsample_bilinear2d "
    "upsample_bicubic2d reflection_pad2d replication_pad2d"
)
_MEANS = "mean sum amax amin var std prod logsumexp linalg_vector_norm"
_RULES: dict[str, ChannelRule] = {
    **dict.fromkeys(_RESHAPES, _moved),
    **dict.fromkeys(_MOVES.split(), _moved),
    **dict.fromkeys(_POOLS.split(), _by_channel),
    **dict.fromkeys(_MEANS.split(), _reduced),
    **dict.fromkeys(("hardswish", "rsub", "_prelu_kernel", "dropout"), _elementwise),
    **dict.fromkeys(
        ("fake_quantize_per_tensor_affine", "fake_quantize_per_tensor_affine_cachemask"), _unmoved
    ),
    "as_strided": _one_pixel,
    "pixel_shuffle": _pixels_from_channels,
    "pixel_unshuffle": _channels_from_pixels,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _shuffled_channels),
    "constant_pad_nd": _padded,
    "cat": _concatenated,
    "stack": _stacked,
}
