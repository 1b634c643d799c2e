"""P: channels removed for good, some in each epoch it is chosen in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import Kind
from bitlathe.model.compress.state import State
from bitlathe.model.data import to_input
from bitlathe.model.prune.budget import Count, Limits, PerLayer
from bitlathe.model.prune.groups import Scope, channel_groups
from bitlathe.model.prune.masks import Masks
from bitlathe.model.prune.plug_in import PruneSettings, plug_in
from bitlathe.model.train.batches import Batch

_EXAMPLES = 2  # images to trace a network with
_SETTLING = 8  # batches that batch norm's statistics are taken from anew


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneChannels:
    """P: removes `channels` of the whole network, or of one layer, until `target` have gone in all."""

    channels: int  # an epoch
    target: int  # in all
    layer: str | None = None  # only of this one
    stage: str = ""  # only of layers whose names begin so
    criterion: str = "l2"
    scope: Scope = Scope.INTERNAL
    floor: int = 1  # channels a layer keeps at least
    lanes: int = 1  # channels that go together
    skip: tuple[str, ...] = ()
    required: bool = True  # the target must be met by the end
    batches: int = 4  # that a criterion looks at, if it looks at any
    kind: Kind = Kind.PRUNE
    lasting: bool = True

    @property
    def name(self) -> str:
        """P, with the layer or stage that it is confined to, what ranks if not L2, /N where N go together."""
        part = self.layer or self.stage
        parts = (
            f"[{part}]" if part else "",
            "" if self.criterion == "l2" else f"({self.criterion})",
            f"/{self.lanes}" if self.lanes > 1 else "",
        )
        return "P" + "".join(parts)

    def applicable(self, state: State) -> bool:
        """Until the target is met, or the one layer is as narrow as it may get."""
        if not self._left(state):
            return False
        return self.layer is None or width(state.model, self.layer) - self.channels >= self.floor

    def owed(self, state: State) -> int:
        """Epochs until the target is met, if it must be."""
        return -(-self._left(state) // self.channels) if self.required else 0

    def apply(self, state: State, data: MethodData) -> State:
        """The state with fewer channels and batch norm's statistics taken anew; changes `state`."""
        count = min(self.channels, self._left(state))
        single = PerLayer(amounts={self.layer: count}) if self.layer is not None else None
        settings = PruneSettings(
            budget=single or Count(channels=count),
            criterion=self.criterion,
            limits=Limits(floor=self.floor, lanes=self.lanes),
            scope=self.scope,
            skip=(*self.skip, *self._outside(state.model, data)),
            seed=state.seed + state.epoch,
        )
        return pruned(state, data, settings, self.batches)

    def _left(self, state: State) -> int:
        """Channels still to go, in whole blocks."""
        return max(0, self.target - state.removed_channels) // self.lanes * self.lanes

    def _outside(self, model: nn.Module, data: MethodData) -> tuple[str, ...]:
        """Groups that are not of the stage."""
        if not self.stage:
            return ()
        groups = channel_groups(model, to_input(data.train_images[:_EXAMPLES]), self.scope)
        return tuple(g.name for g in groups if not g.name.startswith(self.stage) and g.name not in self.skip)


def pruned(state: State, data: MethodData, settings: PruneSettings, batches: int = 4) -> State:
    """The state pruned by `settings`, momentum and masks cut alike, batch norm settled; changes `state`."""
    report = plug_in(
        state.model,
        state.optimizer,
        settings,
        example=to_input(data.train_images[:_EXAMPLES]),
        data=list(batches_of(state, data, batches)),
    )
    state.removed_channels += report.removed
    if state.masks is not None:
        state.masks = Masks.of_zeros(state.model)
    if state.sharing is not None:
        state.sharing = replace(state.sharing, assignments=None)  # narrower layers are clustered anew
    settle(state.model, batches_of(state, data, _SETTLING))
    return state


def batches_of(state: State, data: MethodData, count: int) -> Iterator[Batch]:
    """The first batches of the state's present epoch."""
    return (data.batch(state.seed, state.epoch, step) for step in range(min(count, data.steps)))


def width(model: nn.Module, layer: str) -> int:
    """Output channels of a layer."""
    weight: torch.Tensor = model.get_submodule(layer).weight  # type: ignore[assignment]
    return int(weight.shape[0])


@torch.no_grad()
def settle(model: nn.Module, batches: Iterator[Batch]) -> None:
    """Take batch norm's statistics anew, each the mean over `batches`.

    Source: Li et al. 2020, arXiv:2007.02491, section 3.3 (adaptive batch norm).
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta, training = [norm.momentum for norm in norms], model.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's word for a plain mean
    model.train()
    for images, _ in batches:
        model(images)
    model.train(training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
