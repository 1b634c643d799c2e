"""Criteria that look at images: first-order Taylor, and the channel sparsity index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bitlathe.model.prune.channels.criteria import FILTERS, Criterion, Data, Rows, by_member, filters_of
from bitlathe.model.prune.channels.groups import ChannelGroup, ChannelGroups
from bitlathe.model.prune.channels.members import Member, MemberRole, filters
from bitlathe.model.prune.errors import PruneError
from bitlathe.model.train.losses import CROSS_ENTROPY, TaskLoss
from bitlathe.model.zoo.modes import evaluating
from bitlathe.model.zoo.outputs import float_outputs


def taylor(loss: TaskLoss = CROSS_ENTROPY) -> Criterion:
    """Sum over batches and weights of |weight * gradient|, the first-order change of the loss without it.

    Source: Molchanov et al. 2019, arXiv:1906.10771, equation 8, with magnitudes in place of squares.
    Batch norm uses its running statistics; existing gradients of the network are kept.
    """

    def measure(model: nn.Module, groups: ChannelGroups, data: Data) -> Rows:
        layers = dict(model.named_modules())
        names = sorted({m.layer for group in groups for m in group.members if m.role in FILTERS})
        weights = [layers[name].weight for name in names]
        counts = [len(filters(layers[name], layers[name].weight)) for name in names]
        sums = [torch.zeros(count, dtype=torch.float64) for count in counts]
        for images, labels in _batches(model, data):
            with torch.enable_grad(), _wanting_gradients(weights):
                gradients = torch.autograd.grad(loss(float_outputs(model(images)), labels), weights)
            for name, total, weight, gradient in zip(names, sums, weights, gradients, strict=True):
                change = (weight.detach() * gradient).abs().double()
                total += filters(layers[name], change).sum(1).cpu()
        found = dict(zip(names, sums, strict=True))
        return by_member(groups, FILTERS, lambda member: found[member.layer])

    return Criterion(name="taylor", measure=measure, needs_data=True)


def channel_sparsity(rho: float = 0.5, norm_weight: float = 0.5, threshold: float = 0.1) -> Criterion:
    """Channel sparsity index with L2: importance = 1 + lambda - I, I = rho A + (1 - rho) Z + lambda (1 - L).

    A is the share of zeros after the ReLU (Hu et al. 2016, arXiv:1607.03250, equation 1), counted as values
    <= 0 before it; Z the share of weights below `threshold` standard deviations of the layer's weights;
    L the filter's L2 norm over the layer's largest; lambda is `norm_weight`. 0 <= importance <= 1 + lambda.
    """

    def measure(model: nn.Module, groups: ChannelGroups, data: Data) -> Rows:
        layers = dict(model.named_modules())
        zeros = _zero_shares(model, groups, data)

        def still(member: Member) -> torch.Tensor:
            rows = filters_of(layers[member.layer], member.layer)
            norms = rows.square().sum(1).sqrt()
            small = (rows.abs() < threshold * rows.std(correction=0)).double().mean(1)
            relative = norms / norms.max().clamp_min(torch.finfo(torch.float64).tiny)
            return (1 - rho) * small + norm_weight * (1 - relative)

        weights = by_member(groups, FILTERS, still)
        return {name: 1 + norm_weight - rho * zeros[name] - rows for name, rows in weights.items()}

    return Criterion(name="sparsity", measure=measure, needs_data=True, is_comparable=True)


def _zero_shares(model: nn.Module, groups: ChannelGroups, data: Data) -> dict[str, torch.Tensor]:
    """Share (width,) of values that a ReLU makes zero: the mean over a group's batch norms, or producers."""
    watched = {group.name: _before_relu(group) for group in groups}
    names = {member.layer for members in watched.values() for member in members}
    layers = {name: layer for name, layer in model.named_modules() if name in names}
    counts: dict[str, torch.Tensor] = {}
    values = 0
    with torch.no_grad(), _watching(layers, counts):
        for images, _ in _batches(model, data):
            model(images)
            values += len(images)
    shares = {name: count / values for name, count in counts.items()}
    return {
        name: by_member(_just(groups, name), (members[0].role,), lambda m: shares[m.layer])[name].nanmean(0)
        for name, members in watched.items()
    }


def _before_relu(group: ChannelGroup) -> list[Member]:
    norms = [member for member in group.members if member.role is MemberRole.NORM]
    return norms or [member for member in group.members if member.role is MemberRole.PRODUCER]


def _just(groups: ChannelGroups, name: str) -> ChannelGroups:
    return ChannelGroups(groups=tuple(g for g in groups if g.name == name), refused={})


@contextmanager
def _watching(layers: dict[str, nn.Module], counts: dict[str, torch.Tensor]) -> Iterator[None]:
    """Sum for each layer the images times the share of positions with a value <= 0."""

    def watcher(name: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def count(_layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            share = (
                (output <= 0).double().flatten(2).mean(2).sum(0)
                if output.dim() > 2
                else (output <= 0).double().sum(0)
            )
            counts[name] = counts.get(name, torch.zeros(())) + share.cpu()

        return count

    handles = [layer.register_forward_hook(watcher(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _wanting_gradients(weights: list[torch.Tensor]) -> Iterator[None]:
    """Give frozen weights a gradient for a while."""
    frozen = [weight for weight in weights if not weight.requires_grad]
    for weight in frozen:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in frozen:
            weight.requires_grad_(False)


def _batches(model: nn.Module, data: Data) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches, on the model's device, with the model in evaluation mode; PruneError if there are none."""
    device = next(model.parameters()).device
    empty = True
    with evaluating(model):
        for images, labels in data:
            empty = False
            yield images.to(device), labels.to(device)
    if empty:
        raise PruneError(
            "the criterion looks at images and was given none; give some batches of the training set"
        )
