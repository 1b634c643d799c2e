"""Cut tensors out of a live network and its optimizer, and put them back.

A cut makes new parameters, as autograd keeps a gradient accumulator of the old shape with the old ones. They
replace those in the optimizer, with momentum cut alike; else it would step what no layer holds any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from bitlathe.model.prune.channels.members import ChannelIndices, MemberRole, size, sizes, tensors
from bitlathe.model.prune.errors import PruneError

Cuts = Mapping[tuple[str, MemberRole], ChannelIndices]  # sorted indices that every layer loses
Optimizers = Sequence[torch.optim.Optimizer]
Kept = dict[int, torch.Tensor]  # dimension -> kept indices, ascending int64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replacement:
    """One tensor of one layer before and after."""

    layer: nn.Module
    name: str  # of the tensor, as in a state dict
    attribute: str
    old: torch.Tensor
    new: torch.Tensor
    kept: Kept


@dataclass(slots=True, kw_only=True)
class Surgery:
    """All changes of one pruning; nothing changes before `apply`."""

    tensors: list[Replacement] = field(default_factory=list)
    sizes: list[tuple[nn.Module, str, int, int]] = field(default_factory=list)  # layer, attribute, old, new

    def apply(self) -> None:
        """Install the cut tensors."""
        for change in self.tensors:
            setattr(change.layer, change.attribute, change.new)
        for layer, attribute, _, new in self.sizes:
            setattr(layer, attribute, new)

    def undo(self) -> None:
        """Restore the same old tensors."""
        for change in self.tensors:
            setattr(change.layer, change.attribute, change.old)
        for layer, attribute, old, _ in self.sizes:
            setattr(layer, attribute, old)


def plan(model: nn.Module, cuts: Cuts) -> Surgery:
    """The changes that take the indices `cuts` out of `model`; what layers share stays shared."""
    surgery = Surgery()
    kept: dict[tuple[str, str], Kept] = {}
    layers = dict(model.named_modules())
    for (name, role), gone in cuts.items():
        layer = layers[name]
        width = size(layer, role)
        stay = _complement(gone, width)
        for attribute in sizes(layer, role):
            old = getattr(layer, attribute)
            surgery.sizes.append((layer, attribute, old, old * len(stay) // width))
        for attribute, dimension in tensors(layer, role):
            if getattr(layer, attribute) is not None:
                kept.setdefault((name, attribute), {})[dimension] = stay
    made: dict[int, Replacement] = {}
    for (name, attribute), by_dimension in kept.items():
        change = _replacement(layers[name], name, attribute, by_dimension)
        first = made.setdefault(id(change.old), change)
        surgery.tensors.append(replace(change, new=first.new) if _is_equal(change, first) else change)
    return surgery


def _is_equal(one: Replacement, other: Replacement) -> bool:
    """Whether two cuts of one tensor keep the same part."""
    return one.kept.keys() == other.kept.keys() and all(
        torch.equal(one.kept[dimension], other.kept[dimension]) for dimension in one.kept
    )


def cut(tensor: torch.Tensor, kept: Kept) -> torch.Tensor:
    """The kept indices of a tensor, in its memory order."""
    result = tensor.detach()
    for dimension, indices in kept.items():
        result = result.index_select(dimension, indices.to(tensor.device))
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return result.contiguous(memory_format=torch.channels_last)
    return result


@contextmanager
def masked(model: nn.Module, cuts: Cuts) -> Iterator[None]:
    """Inside, no layer reads the channels: in evaluation mode, the result is that of the pruned network."""
    layers = dict(model.named_modules())
    read = [
        (_inputs_first(layers[name]), torch.from_numpy(gone))
        for (name, role), gone in cuts.items()
        if role is MemberRole.CONSUMER
    ]
    saved = [weight[gone].clone() for weight, gone in _on_device(read)]
    try:
        for weight, gone in _on_device(read):
            weight[gone] = 0
        yield
    finally:
        for (weight, gone), values in zip(_on_device(read), saved, strict=True):
            weight[gone] = values


def _inputs_first(layer: nn.Module) -> torch.Tensor:
    """A layer's own weights, seen with the channels that it reads first."""
    ((attribute, dimension),) = tensors(layer, MemberRole.CONSUMER)
    weight: torch.Tensor = getattr(layer, attribute)
    return weight.detach().movedim(dimension, 0)


def _on_device(
    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]],
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return ((weight, indices.to(weight.device)) for weight, indices in pairs)


def _complement(gone: ChannelIndices, width: int) -> torch.Tensor:
    return torch.from_numpy(np.setdiff1d(np.arange(width), gone))


def _replacement(layer: nn.Module, name: str, attribute: str, kept: Kept) -> Replacement:
    old: torch.Tensor = getattr(layer, attribute)
    new = cut(old, kept)
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
        new.grad = None if old.grad is None else cut(old.grad, kept)
    return Replacement(
        layer=layer,
        name=f"{name}.{attribute}" if name else attribute,
        attribute=attribute,
        old=old,
        new=new,
        kept=kept,
    )


def check_tied(model: nn.Module, optimizers: Optimizers) -> None:
    """Raise PruneError if a parameter with a gradient is in no optimizer (unless there is no optimizer)."""
    if not optimizers:
        return
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and id(parameter) not in held:
            raise PruneError(
                f"{name}: is in no optimizer, so it would never be trained; make the optimizer of the "
                "parameters the network has now, or set requires_grad to False"
            )


def plan_retie(optimizers: Optimizers, replacements: Iterable[Replacement]) -> Callable[[], None]:
    """Prepare the change of every optimizer and return a function that makes it and cannot fail.

    Raises PruneError for a state that is neither a number nor shaped like its parameter.
    """
    replaced = {id(r.old): r for r in replacements if isinstance(r.old, nn.Parameter)}
    states = [(optimizer, _cut_states(optimizer, replaced)) for optimizer in optimizers]

    def retie() -> None:
        for optimizer, cut_states in states:
            for group in optimizer.param_groups:
                group["params"] = [replaced[id(p)].new if id(p) in replaced else p for p in group["params"]]
            for replacement, state in cut_states:
                del optimizer.state[replacement.old]
                optimizer.state[replacement.new] = state

    return retie


def _cut_states(
    optimizer: torch.optim.Optimizer, replaced: dict[int, Replacement]
) -> list[tuple[Replacement, dict[str, Any]]]:
    owners = [parameter for parameter in optimizer.state if id(parameter) in replaced]
    return [(replaced[id(owner)], _cut_state(optimizer, replaced[id(owner)])) for owner in owners]


def _cut_state(optimizer: torch.optim.Optimizer, replacement: Replacement) -> dict[str, Any]:
    state = optimizer.state[replacement.old]
    return {key: _cut_entry(f"{replacement.name}: {key}", value, replacement) for key, value in state.items()}


def _cut_entry(where: str, value: Any, replacement: Replacement) -> Any:
    if not isinstance(value, torch.Tensor) or value.dim() == 0:
        return value
    if value.shape != replacement.old.shape:
        raise PruneError(
            f"{where} of the optimizer is {tuple(value.shape)}, its parameter "
            f"{tuple(replacement.old.shape)}; such a state cannot be cut, "
            "use an optimizer that keeps one value a weight"
        )
    return cut(value, replacement.kept)
