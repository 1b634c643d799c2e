"""The pipelines that a search is compared with, at equal epochs on the same lab, rule and ladder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bitlathe.flow.errors import UsageError
from bitlathe.flow.search_config import Baseline
from bitlathe.flow.search_knapsack import knapsack
from bitlathe.flow.search_setup import Setup, prunable_groups, prune_method, quantize_method
from bitlathe.model.compress.channels import PruneChannels
from bitlathe.model.compress.methods import Quantize, Train
from bitlathe.model.search import Lab, Ladder, Measures, Rule, Strategy, UntilFast, find_rule, ordinary

_QUANTIZED_SHARE = 2 / 7  # of the ordinary pipeline's epochs: 40 of 140 in the paper


def baseline_strategy(
    kind: Baseline, setup: Setup, lab: Lab, ladder: Ladder, reference: Measures
) -> tuple[Strategy, Rule]:
    """Strategy and rule of a baseline; errors are those of `check_baselines`."""
    _check_methods(kind, setup)
    makers: Mapping[Baseline, Callable[[], Strategy]] = {
        Baseline.ORDINARY: lambda: _ordinary(setup),
        Baseline.GREEDY: lambda: _greedy(setup, reference),
        Baseline.KNAPSACK: lambda: knapsack(setup, lab, ladder.quickest, reference),
    }
    rule = find_rule("ratio", {}) if kind is Baseline.GREEDY else setup.config.rule
    return makers[kind](), rule


def check_baselines(setup: Setup) -> None:
    """Raise UsageError or FormatError, before anything is trained, for baselines that cannot be run."""
    for kind in setup.config.baselines.run:
        _check_methods(kind, setup)
        if kind is Baseline.ORDINARY:
            _ordinary(setup)


def _check_methods(kind: Baseline, setup: Setup) -> None:
    config = setup.config
    if config.prune is None or config.quantize is None:
        raise UsageError(f"{config.path}: the baseline {kind.value} needs [methods.P] and [methods.Q]")


def _bits(setup: Setup) -> Quantize:
    """The Q that ordinary and greedy end with."""
    config = setup.config
    assert config.quantize is not None
    return quantize_method(config, config.baselines.bits or config.quantize.bits[0])


def _ordinary(setup: Setup) -> Strategy:
    config, prune = setup.config, prune_method(setup.config, setup.subject)
    epochs = config.training.epochs
    quantized = config.baselines.quantized_epochs
    if quantized is None:
        quantized = max(1, round(_QUANTIZED_SHARE * epochs))
    return ordinary(
        prune,
        _bits(setup),
        Train(),
        epochs=epochs,
        quantized_epochs=quantized,
        pruned_epochs=prune.epochs,
    )


def _greedy(setup: Setup, reference: Measures) -> Strategy:
    """One proposal a group: as many channels as P takes in an epoch, of that group alone."""
    config, section = setup.config, setup.config.prune
    assert section is not None
    groups = prunable_groups(config, setup.subject)
    proposals = tuple(
        PruneChannels(
            channels=min(section.channels, group.width - section.floor),
            target=groups.width,
            layer=group.name,
            criterion=section.criterion,
            scope=section.scope,
            floor=section.floor,
            skip=section.skip,
            required=False,
        )
        for group in groups
        if group.width > section.floor
    )
    return UntilFast(
        first=_bits(setup),
        proposals=proposals,
        after=Train(),
        target_ms=config.baselines.latency_share * reference.latency_ms,
    )
