"""The baseline that plans once: measure every width and every pair of bits alone, solve, then fine-tune."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from bitlathe.flow.output import task
from bitlathe.flow.search_config import PruneSection
from bitlathe.flow.search_setup import Setup, prunable_groups, quantize_method
from bitlathe.model.compress import Method
from bitlathe.model.compress.methods import Quantize
from bitlathe.model.compress.one_shot import PruneOnce
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.state import State
from bitlathe.model.prune.budget import PerLayer
from bitlathe.model.prune.groups import ChannelGroup
from bitlathe.model.prune.plug_in import PruneSettings
from bitlathe.model.search import Lab, LatencyRung, Measures, Scripted
from bitlathe.model.search.knapsack import Option, Plan, Setting, solve
from bitlathe.model.train import evaluate

_LANES = 8  # channels that an engine computes at once: widths in between save nothing
_IMAGES = 500  # held-out images that a loss is measured on


def knapsack(setup: Setup, lab: Lab, rung: LatencyRung, reference: Measures) -> Scripted:
    """The solved plan as a script: all channels go in the first epoch, the rest is quantized."""
    config, section = setup.config, setup.config.prune
    assert section is not None and config.quantize is not None
    groups = prunable_groups(config, setup.subject)
    quantizers = [quantize_method(config, bits) for bits in config.quantize.bits]
    with task("knapsack: measuring", len(quantizers) * len(groups)) as advance:
        measure = partial(_setting, lab, rung, section, groups.groups)
        tellers = [partial(_add, advance, s * len(groups)) for s in range(len(quantizers))]
        settings = [measure(quantizer, tell) for quantizer, tell in zip(quantizers, tellers, strict=True)]
    plan = solve(settings, config.baselines.latency_share * reference.cycles)
    quantizer = quantizers[plan.setting]
    pruned = _method(section, plan, groups.groups)
    first = (quantizer,) if pruned is None else (pruned,)
    return Scripted(script=first + (quantizer,) * (config.training.epochs - 1))


def _add(advance: Callable[[int], None], before: int, done: int) -> None:
    advance(before + done)


def _method(section: PruneSection, plan: Plan, groups: Sequence[ChannelGroup]) -> PruneOnce | None:
    amounts: dict[str, int | float] = {
        g.name: o.removed for g, o in zip(groups, plan.options, strict=True) if o.removed
    }
    return _removal(section, amounts) if amounts else None


def _removal(section: PruneSection, amounts: dict[str, int | float]) -> PruneOnce:
    settings = PruneSettings(
        budget=PerLayer(amounts=amounts), criterion=section.criterion, scope=section.scope
    )
    return PruneOnce(settings=settings, name="P[planned]")


def _setting(
    lab: Lab,
    rung: LatencyRung,
    section: PruneSection,
    groups: Sequence[ChannelGroup],
    quantizer: Quantize,
    advance: Callable[[int], None],
) -> Setting:
    """One pair of bits, with each group's widths measured under it."""
    full = _cost(lab, rung, _quantized(lab, quantizer, ()))
    offers = []
    for position, group in enumerate(groups, 1):
        options = [Option(removed=0, cycles=0.0, loss=0.0)]
        for removed in range(_LANES, group.width - section.floor + 1, _LANES):
            method = _removal(section, {group.name: removed})
            cycles, loss = _cost(lab, rung, _quantized(lab, quantizer, (method,)))
            options.append(Option(removed=removed, cycles=full[0] - cycles, loss=loss - full[1]))
        offers.append(tuple(options))
        advance(position)
    return Setting(name=quantizer.name, cycles=full[0], loss=full[1], groups=tuple(offers))


def _quantized(lab: Lab, quantizer: Quantize, before: tuple[PruneOnce, ...]) -> State:
    state = lab.first_state()
    methods: tuple[Method, ...] = (*before, quantizer)
    for method in methods:
        state = method.apply(state, lab.data)
    return state


def _cost(lab: Lab, rung: LatencyRung, state: State) -> tuple[float, float]:
    """Cycles, and loss on held-out images without any training."""
    view = integer_view(state, lab.data, lab.spec.deployment)
    images, labels = lab.data.held_images[:_IMAGES], lab.data.held_labels[:_IMAGES]
    return float(rung.cost(view.network().graph).cycles), evaluate(view, images, labels).loss
