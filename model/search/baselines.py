"""Pipelines to compare a search with, for the same epochs, lab, rule and ladder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

from bitlathe.model.compress.methods import PruneChannels, PruneOnce, Quantize, Train
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.state import State
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.prune.channels.budget import PerLayer
from bitlathe.model.prune.channels.groups import ChannelGroup, ChannelGroups
from bitlathe.model.prune.channels.plug_in import PruneSettings
from bitlathe.model.search.budget import LatencyBudget
from bitlathe.model.search.knapsack import Option, Setting, solve
from bitlathe.model.search.lab import Lab
from bitlathe.model.search.ladder import Ladder, LatencyRung
from bitlathe.model.search.records import Measures
from bitlathe.model.search.rules import Rule, find_rule
from bitlathe.model.search.strategies import MethodScript, Strategy, UntilFast
from bitlathe.model.train.evaluate import evaluate
from bitlathe.model.train.metrics import TaskMetric

_QUANTIZED_SHARE = 2 / 7  # of the ordinary pipeline's epochs: 40 of 140 in the paper
_IMAGES = 500  # held-out images for measuring a loss

Told = Callable[[int, int], None]  # steps done, steps in total


class Baseline(Enum):
    """What the search is compared with."""

    ORDINARY = "ordinary"  # prune, train, then fine-tune quantized
    GREEDY = "greedy"  # NetAdapt: layer by layer, most milliseconds saved for least accuracy lost
    KNAPSACK = "knapsack"  # widths and bits by integer programming on the cycle model, then fine-tuning

    def rule(self, usual: Rule, metric: TaskMetric) -> Rule:
        """The rule that decides its choices; RuleError where it does not suit the metric."""
        return find_rule("ratio", {}, metric) if self is Baseline.GREEDY else usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """Components of the pipelines."""

    prune: PruneChannels  # of the whole network
    groups: ChannelGroups  # that it may prune
    quantizers: tuple[Quantize, ...]  # that the knapsack chooses from
    last: Quantize  # of the others
    epochs: int
    quantized_epochs: int | None  # last ones of `ordinary`; None: two in seven, as in the paper
    latency_share: float  # share of the reference's that `greedy` and `knapsack` aim at
    lanes: int  # channels that the engine computes at once: widths that are not multiples save nothing
    budget: LatencyBudget | None = None  # that they aim at instead

    def strategy(self, kind: Baseline, lab: Lab, ladder: Ladder, reference: Measures, told: Told) -> Strategy:
        """A pipeline; FormatError or CapacityError if it does not fit."""
        if kind is Baseline.ORDINARY:
            return self.ordinary()
        spent = None if self.budget is None else reference.spends(self.budget)
        share = self.latency_share if spent is None else min(1.0, 1 / spent)
        if kind is Baseline.GREEDY:
            return self.greedy(share * reference.latency_ms)
        steps = len(self.quantizers) * len(self.groups)
        budget = share * reference.cycles
        return self.knapsack(lab, ladder.quickest, budget, lambda done: told(done, steps))

    def ordinary(self) -> MethodScript:
        """Prune, train, then fine-tune quantized; FormatError for too few epochs."""
        quantized = self.quantized_epochs or max(1, round(_QUANTIZED_SHARE * self.epochs))
        floating = self.epochs - quantized - self.prune.epochs
        if floating < 0:
            raise FormatError(
                f"ordinary pipeline: {self.prune.epochs} epochs of {self.prune.name} and {quantized} of "
                f"{self.last.name} do not fit {self.epochs}; give more epochs or prune more an epoch"
            )
        script = (self.prune,) * self.prune.epochs + (Train(),) * floating + (self.last,) * quantized
        return MethodScript(script=script)

    def greedy(self, target_ms: float) -> UntilFast:
        """One proposal per group: as many channels as P takes in an epoch, from that group alone."""
        free = replace(self.prune, lanes=1, required=False)
        proposals = tuple(
            replace(
                free,
                channels=min(free.channels, group.width - free.floor),
                target=group.width,
                layer=group.name,
            )
            for group in self.groups
            if group.width > free.floor
        )
        return UntilFast(first=self.last, proposals=proposals, after=Train(), target_ms=target_ms)

    def knapsack(
        self, lab: Lab, rung: LatencyRung, budget: float, advance: Callable[[int], None]
    ) -> MethodScript:
        """Measure every width and pair of bits alone and solve; all channels go in the first epoch."""
        done = 0
        settings = []
        for quantizer in self.quantizers:
            measured = partial(_cost, lab, rung, quantizer)
            full, offers = measured(None), []
            for group in self.groups:
                offers.append(self._options(group, full, measured))
                advance(done := done + 1)
            settings.append(Setting(name=quantizer.name, cycles=full[0], loss=full[1], groups=tuple(offers)))
        plan = solve(settings, budget)
        quantizer = self.quantizers[plan.setting]
        chosen = zip(self.groups, plan.options, strict=True)
        amounts = {group.name: option.removed for group, option in chosen if option.removed}
        first = self._removal(amounts) if amounts else quantizer
        return MethodScript(script=(first, *(quantizer,) * (self.epochs - 1)))

    def _options(
        self,
        group: ChannelGroup,
        full: tuple[float, float],
        measured: Callable[[PruneOnce], tuple[float, float]],
    ) -> tuple[Option, ...]:
        """What each width of a group saves and costs compared with the full network."""
        options = [Option(removed=0, cycles=0.0, loss=0.0)]
        for removed in range(self.lanes, group.width - self.prune.floor + 1, self.lanes):
            cycles, loss = measured(self._removal({group.name: removed}))
            options.append(Option(removed=removed, cycles=full[0] - cycles, loss=loss - full[1]))
        return tuple(options)

    def _removal(self, amounts: dict[str, int]) -> PruneOnce:
        budget = PerLayer(amounts=amounts)
        settings = PruneSettings(budget=budget, criterion=self.prune.criterion, scope=self.prune.scope)
        return PruneOnce(settings=settings, name="P[planned]")


def _cost(lab: Lab, rung: LatencyRung, quantizer: Quantize, prune: PruneOnce | None) -> tuple[float, float]:
    """Cycles, and loss on held-out images without any training, of the quantized network."""
    state: State = lab.first_state()
    if prune is not None:
        state = prune.apply(state, lab.data)
    view = integer_view(quantizer.apply(state, lab.data), lab.data, lab.spec.deployment)
    images, labels = lab.data.held_images[:_IMAGES], lab.data.held_labels[:_IMAGES]
    return float(rung.cost(view.network().graph).cycles), evaluate(
        view, images, labels, task=lab.spec.task
    ).loss
