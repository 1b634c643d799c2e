"""Strategies decide which methods an epoch may try: Algorithm 1 and the pipelines to compare it with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import Method
from bitlathe.model.compress.methods import PruneChannels, Train, joint_reach
from bitlathe.model.compress.methods.channels import example_of
from bitlathe.model.compress.state import State
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.search.records import Measures


class Strategy(Protocol):
    """Decides what to try; the rule decides what to keep."""

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods that it may ever try; their names are unique."""

    def candidates(self, state: State, now: Measures, remaining: int) -> tuple[Method, ...]:
        """Methods of the next epoch, at least one; `now` measures the state, `remaining` epochs are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EachEpochTheBest:
    """Algorithm 1: every method that still has an effect, until targets leave no choice.

    Once the methods' targets need all remaining epochs, only methods with an unmet target are tried; a method
    that does not last gets the last epoch. If no method has an effect any more, the epoch just trains, under
    the quantizer if one is on.
    """

    methods: tuple[Method, ...]

    def candidates(self, state: State, now: Measures, remaining: int) -> tuple[Method, ...]:
        """Methods of the next epoch."""
        closing = tuple(m for m in self.methods if not m.lasting and m.owed(state))
        if closing and remaining == 1:
            return closing
        able = tuple(method for method in self.methods if method.applicable(state)) or (Train(),)
        lasting = [method for method in able if method.lasting]
        if owed(lasting, state) >= remaining - bool(closing):
            return tuple(method for method in lasting if method.owed(state)) or able
        return able


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodScript:
    """A fixed method for each epoch, whatever is measured: the ordinary pipeline."""

    script: tuple[Method, ...]

    @property
    def methods(self) -> tuple[Method, ...]:
        """The distinct methods of the script."""
        return tuple({method.name: method for method in self.script}.values())

    def candidates(self, state: State, now: Measures, remaining: int) -> tuple[Method, ...]:
        """The method of this epoch."""
        return (self.script[state.epoch],)


@dataclass(frozen=True, slots=True, kw_only=True)
class UntilFast:
    """Proposals until the network is fast enough, then `after`: NetAdapt's greedy loop.

    `first` is the method of the first epoch, such as quantizing. Source: Yang et al. 2018, arXiv:1804.03230.
    """

    first: Method
    proposals: tuple[Method, ...]
    after: Method
    target_ms: float

    @property
    def methods(self) -> tuple[Method, ...]:
        """First, proposals, and `after`."""
        return (self.first, *self.proposals, self.after)

    def candidates(self, state: State, now: Measures, remaining: int) -> tuple[Method, ...]:
        """Proposals that still change something, or `after`."""
        if state.epoch == 0:
            return (self.first,)
        able = tuple(method for method in self.proposals if method.applicable(state))
        return (self.after,) if now.latency_ms <= self.target_ms or not able else able


def owed(methods: Iterable[Method], state: State) -> int:
    """Epochs that the targets of `methods` still need; methods of one kind count for each other."""
    ordered = sorted(methods, key=lambda method: method.kind.value)
    kinds = groupby(ordered, key=lambda method: method.kind)
    return sum(max(method.owed(state) for method in group) for _, group in kinds)


def check_names(methods: Sequence[Method]) -> None:
    """Raise FormatError if there is no method, or two have the same name."""
    names = [method.name for method in methods]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise FormatError(
            f"search: the methods are {', '.join(names) or 'none'}; give at least one and each name once"
        )


def check_targets(methods: Sequence[Method], state: State, epochs: int) -> None:
    """Raise FormatError if the methods' targets need more than `epochs`."""
    needed = owed(methods, state)
    if needed > epochs:
        each = ", ".join(f"{m.name} {m.owed(state)}" for m in methods if m.owed(state))
        raise FormatError(
            f"search: the methods' targets take {needed} epochs ({each}), the search has {epochs}; give more "
            "epochs, let an epoch do more, or aim lower"
        )


def check_reach(methods: Sequence[Method], state: State, data: MethodData) -> None:
    """Raise FormatError if more channels must go than the layers' floors and blocks allow."""
    pruners = [m for m in methods if isinstance(m, PruneChannels) and m.owed(state)]
    wanted = max((pruner.left(state) for pruner in pruners), default=0)
    reach = joint_reach(pruners, state.model, example_of(data))
    if wanted > reach:
        each = ", ".join(pruner.name for pruner in pruners)
        raise FormatError(
            f"search: {each} must remove {wanted} channels, the layers in scope can give {reach}; lower "
            "share, floor or lanes, let more layers shrink, or make the share a bound by required = false"
        )
