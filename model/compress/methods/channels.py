"""P: removes channels for good, some in each epoch it is chosen in, or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import torch
from torch import nn

from bitlathe.model.compress.cycles import CycleCosts
from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import MethodContext, MethodKind
from bitlathe.model.compress.state import State
from bitlathe.model.data import to_input
from bitlathe.model.graph.files.settings import WrongValue, demand
from bitlathe.model.graph.graph import Graph
from bitlathe.model.prune.channels.budget import ChannelBudget, CostShare, Count, PerLayer, Share, WidthLimits
from bitlathe.model.prune.channels.costs import Costs, Metric
from bitlathe.model.prune.channels.groups import ChannelGroup, ChannelGroups, ChannelScope, channel_groups
from bitlathe.model.prune.channels.members import MemberRole, size
from bitlathe.model.prune.channels.plug_in import PruneSettings, plug_in
from bitlathe.model.prune.channels.scores import CRITERIA
from bitlathe.model.prune.errors import BudgetError
from bitlathe.model.prune.weights.masks import Masks
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.train.batches import Batch, forward_in_training

_USUAL = QuantizeConfig()
_AMOUNTS = ("channels", "share", "macs", "parameters", "latency")  # of which one says how much goes
_EXAMPLES = 2  # images to trace a network with
_SETTLING = 8  # batches for new statistics of batch norm


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedPart:
    """Which channels P takes first, and which it leaves."""

    stage: str = ""  # only layers with names that begin with this
    criterion: str = "l2"  # what ranks them
    scope: ChannelScope = ChannelScope.INTERNAL
    floor: int = 1  # channels that every layer keeps at least
    skip: tuple[str, ...] = ()  # layers left alone
    required: bool = True  # whether the target must be met by the end; if not, it is only an upper bound

    def settings(
        self,
        budget: ChannelBudget,
        *,
        lanes: int,
        others: Iterable[str] = (),
        cap: float = 1.0,
        seed: int = 0,
    ) -> PruneSettings:
        """To remove so much, nothing of `others`."""
        return PruneSettings(
            budget=budget,
            criterion=self.criterion,
            limits=WidthLimits(floor=self.floor, cap=cap, lanes=lanes),
            scope=self.scope,
            skip=(*self.skip, *others),
            seed=seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneChannels(PrunedPart):
    """P: removes `channels` of the whole network, or of one layer, until `target` are gone in total.

    If `lanes` go together, `channels` is a multiple of them. A layer whose width is not a multiple first
    loses the remainder; if such blocks do not add up to `channels`, up to lanes - 1 more channels go.
    """

    channels: int  # per epoch
    target: int  # in total
    lanes: int = 1  # channels that go together
    layer: str | None = None  # only of this one
    batches: int = 4  # for a criterion that looks at images

    kind: ClassVar[MethodKind] = MethodKind.PRUNE
    lasting: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """P, with the layer or stage it is confined to, the criterion if not L2, and /N if N go together."""
        part = self.layer or self.stage
        parts = (
            f"[{part}]" if part else "",
            "" if self.criterion == "l2" else f"({self.criterion})",
            f"/{self.lanes}" if self.lanes > 1 else "",
        )
        return "P" + "".join(parts)

    def applicable(self, state: State) -> bool:
        """Until the target is met, or the one layer is as narrow as it may get."""
        if not self.left(state):
            return False
        return self.layer is None or width(state.model, self.layer) - self.channels >= self.floor

    def owed(self, state: State) -> int:
        """Epochs until the target is met, if it must be."""
        return -(-self.left(state) // self.channels) if self.required else 0

    @property
    def epochs(self) -> int:
        """Epochs it needs to meet its target, starting from the unpruned network."""
        return -(-_in_blocks(self.target, self.lanes) // self.channels)

    def left(self, state: State) -> int:
        """Channels still to go, in whole blocks."""
        return _in_blocks(max(0, self.target - state.removed_channels), self.lanes)

    def most(self, group: ChannelGroup, groups: ChannelGroups) -> int:
        """Channels that it may at most remove of a group."""
        is_pruned = group.name in {each.name for each in self._pruned(groups)}
        return min(self.target, max(0, group.width - self.floor)) if is_pruned else 0

    def goes_in(self, lanes: int, groups: ChannelGroups) -> bool:
        """Whether blocks of so many channels can make up what goes in an epoch and in all."""
        reach = sum(replace(self, lanes=lanes).reach_of(groups).values())
        enough = _in_blocks(self.target, lanes) if self.required else 1
        return self.channels % lanes == 0 and reach >= max(1, enough)

    def reach(self, model: nn.Module, example: torch.Tensor) -> dict[str, int]:
        """Channels that each group in its scope can lose; `example` (N, C, H, W) is an input."""
        return self.reach_of(channel_groups(model, example, self.scope))

    def reach_of(self, groups: ChannelGroups) -> dict[str, int]:
        """Channels that each group in its scope can lose, given the network's groups in that scope."""
        return {g.name: removable(g.width, self.floor, self.lanes) for g in self._pruned(groups)}

    def apply(self, state: State, data: MethodData) -> State:
        """The state with fewer channels and new statistics of batch norm; changes `state`.

        Leaves the state as it is if the target is met. Raises BudgetError if more must go than the layers in
        scope can give.
        """
        if not self.left(state):
            return state
        groups = channel_groups(state.model, example_of(data), self.scope)
        reach = sum(self.reach_of(groups).values())
        due = min(self.channels, self.left(state))
        may_fall_short = self.stage or self.layer or not self.required  # or others remove the rest
        if reach and may_fall_short:
            due = min(due, reach)
        single = PerLayer(amounts={self.layer: due}) if self.layer is not None else None
        others = [group.name for group in groups.without(self.skip) if not self._prunes(group)]
        seed = state.seed + state.epoch
        budget = single or Count(channels=due)
        settings = self.settings(budget, lanes=self.lanes, others=others, seed=seed)
        try:
            return pruned(state, data, settings, self.batches)
        except BudgetError:
            if self.lanes == 1 or reach < due:
                raise
        most = min(due + self.lanes - 1, self.target - state.removed_channels, reach)
        whole_blocks = Share(share=most / sum(group.width for group in self._pruned(groups)))
        return pruned(state, data, replace(settings, budget=whole_blocks), self.batches)

    def _pruned(self, groups: ChannelGroups) -> tuple[ChannelGroup, ...]:
        """The groups of the layer or stage it is confined to, without those to skip."""
        return tuple(group for group in groups.without(self.skip) if self._prunes(group))

    def _prunes(self, group: ChannelGroup) -> bool:
        return group.name.startswith(self.stage) and self.layer in (None, *group.producers)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOnce:
    """P at once: removes what `settings` ask for when first applied; the epochs that follow recover accuracy.

    Source: "Filter pruning by standard deviation", which prunes all layers at once and then fine-tunes.
    """

    settings: PruneSettings
    batches: int = 8  # for a criterion that looks at images
    name: str = "P"
    lanes: int = 1  # channels that go together where the budget can be met so, else as `settings` say
    cycles: Callable[[Graph], int] | None = None  # that a share of the latency refers to
    quantization: QuantizeConfig = _USUAL  # of the integers that they are counted of, if no Q is on

    kind: ClassVar[MethodKind] = MethodKind.PRUNE
    lasting: ClassVar[bool] = True

    def applicable(self, state: State) -> bool:
        """Once."""
        return self.name not in state.history

    def owed(self, state: State) -> int:
        """One epoch until it is applied, then none."""
        return int(self.applicable(state))

    @property
    def epochs(self) -> int:
        """Epochs it needs: one."""
        return 1

    @property
    def scope(self) -> ChannelScope:
        """Which groups it is offered."""
        return self.settings.scope

    def most(self, group: ChannelGroup, groups: ChannelGroups) -> int:
        """Channels that it may at most remove of a group."""
        if group.name not in {each.name for each in groups.without(self.settings.skip)}:
            return 0
        most = max(0, group.width - self.settings.limits.least(group.width))
        match self.settings.budget:
            case Count(channels=channels):
                return min(most, channels)
            case Share(share=share):
                return min(most, max(1, round(share * groups.width)))
        return most

    def apply(self, state: State, data: MethodData) -> State:
        """The state with fewer channels and new statistics of batch norm; changes `state`."""
        costs = self._costs(state, data)
        if self.lanes > 1:
            in_blocks = replace(self.settings, limits=replace(self.settings.limits, lanes=self.lanes))
            try:
                return pruned(state, data, in_blocks, self.batches, costs)
            except BudgetError:
                pass
        return pruned(state, data, self.settings, self.batches, costs)

    def _costs(self, state: State, data: MethodData) -> CycleCosts | None:
        """Cycles on the target, as the integers that the state would be."""
        if self.cycles is None:
            return None
        on = state.quantization
        return CycleCosts(
            model=state.model,
            images=data.train_images,
            config=self.quantization if on is None else on.config,
            cycles=self.cycles,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneParameters(PrunedPart):
    """P as a user writes it: how many channels go; `channels` and `share` together prune epoch by epoch."""

    lanes: int | None = None  # channels that go together; None: as the target computes them, if they can
    channels: int | None = None  # with `share`: in each epoch that chooses P; alone: all at once
    share: float | None = None  # of all channels in scope
    macs: float | None = None  # at once, as many as lower the multiply-accumulates by this share
    parameters: float | None = None  # the same for the weights
    latency: float | None = None  # the same for the cycles that the target is predicted to take
    cap: float = 1.0  # share of a layer's channels that may go at once

    def __post_init__(self) -> None:
        shares = {key: getattr(self, key) for key in ("share", "macs", "parameters", "latency")}
        given = [key for key, share in shares.items() if share is not None]
        if len(given) > 1 or (given[:1] not in ([], ["share"]) and self.channels is not None):
            raise WrongValue(given[-1], f"is given beside another; give one of {', '.join(_AMOUNTS)}")
        if not given and self.channels is None:
            raise WrongValue("share", f"is missing; give one of {', '.join(_AMOUNTS)}")
        for key in (*given, "cap"):
            demand(self, key, 0 < getattr(self, key) <= 1, "more than 0 and at most 1")
        demand(self, "criterion", self.criterion in CRITERIA, f"one of {', '.join(CRITERIA)}")
        demand(self, "floor", self.floor >= 1, "1 or more")
        demand(self, "lanes", self.lanes is None or self.lanes >= 1, "1 or more")
        if self.channels is not None:
            demand(self, "channels", self.channels >= 1, "1 or more")
        if self.channels is not None and self.share is not None:
            fits = self.channels % (self.lanes or 1) == 0
            demand(self, "channels", fits, f"a multiple of lanes, {self.lanes}")
            demand(self, "cap", self.cap == 1, "none where channels go epoch by epoch")
        else:
            demand(self, "required", self.required, "true where channels go at once")

    def method(self, context: MethodContext) -> PruneChannels | PruneOnce:
        """The method for the network of the run."""
        groups = context.groups(self)
        if self.channels is None or self.share is None:
            others = [group.name for group in groups if not group.name.startswith(self.stage)]
            return PruneOnce(
                settings=self.settings(self._budget(), lanes=self.lanes or 1, others=others, cap=self.cap),
                lanes=context.lanes if self.lanes is None else 1,
                cycles=context.cycles,
                quantization=context.quantization or _USUAL,
            )
        part = {field.name: getattr(self, field.name) for field in fields(PrunedPart)}
        made = PruneChannels(channels=self.channels, target=round(self.share * groups.width), **part)
        usual = context.lanes if made.goes_in(context.lanes, groups) else 1
        return replace(made, lanes=self.lanes or usual)

    def _budget(self) -> ChannelBudget:
        if self.macs is not None:
            return CostShare(share=self.macs, metric=Metric.MACS)
        if self.parameters is not None:
            return CostShare(share=self.parameters, metric=Metric.PARAMETERS)
        if self.latency is not None:
            return CostShare(share=self.latency, metric=Metric.LATENCY)
        if self.share is not None:
            return Share(share=self.share)
        assert self.channels is not None
        return Count(channels=self.channels)


def removable(width: int, floor: int, lanes: int) -> int:
    """Channels that a layer can lose if `floor` stay and a shrunk layer keeps a multiple of `lanes`.

    >>> removable(84, 1, 8), removable(6, 1, 8), removable(84, 10, 1)
    (76, 0, 74)
    """
    return max(0, width - -(-floor // lanes) * lanes)


def joint_reach(pruners: Sequence[PruneChannels], model: nn.Module, example: torch.Tensor) -> int:
    """Channels that `pruners` can remove together; `example` (N, C, H, W) is an input of the network."""
    scopes = {pruner.scope for pruner in pruners}
    every = {scope: channel_groups(model, example, scope) for scope in scopes}  # each takes a trace
    most: dict[str, int] = {}
    for pruner in pruners:
        for group, channels in pruner.reach_of(every[pruner.scope]).items():
            most[group] = max(channels, most.get(group, 0))
    return sum(most.values())


def pruned(
    state: State, data: MethodData, settings: PruneSettings, batches: int = 4, costs: Costs | None = None
) -> State:
    """The state pruned by `settings`, momentum and masks cut alike, batch norm settled; changes `state`."""
    report = plug_in(
        state.model,
        state.optimizer,
        settings,
        example=example_of(data),
        data=list(batches_of(state, data, batches)),
        costs=costs,
        loss=data.loss,
    )
    state.removed_channels += report.removed
    if state.masks is not None:
        state.masks = Masks.of_zeros(state.model)
    state.cluster_again()
    settle(state.model, batches_of(state, data, _SETTLING))
    return state


def example_of(data: MethodData) -> torch.Tensor:
    """A few images (N, C, H, W) float32 to trace a network with."""
    return to_input(data.train_images[:_EXAMPLES])


def batches_of(state: State, data: MethodData, count: int) -> Iterator[Batch]:
    """The first batches of the state's current epoch."""
    return (data.batch(state.seed, state.epoch, step) for step in range(min(count, data.steps)))


def width(model: nn.Module, layer: str) -> int:
    """Output channels of a layer."""
    return size(model.get_submodule(layer), MemberRole.PRODUCER)


@torch.no_grad()
def settle(model: nn.Module, batches: Iterator[Batch]) -> None:
    """Replace batch norm's statistics by their means over `batches`.

    Source: Li et al. 2020, arXiv:2007.02491, section 3.3 (adaptive batch norm).
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta, training = [norm.momentum for norm in norms], model.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's word for a plain mean
    for images, _ in batches:
        forward_in_training(model, images)
    model.train(training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _in_blocks(channels: int, lanes: int) -> int:
    return channels // lanes * lanes
