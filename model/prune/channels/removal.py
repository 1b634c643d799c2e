"""Remove channels from a live network and its optimizer for good, or leave everything as it was."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from bitlathe.model.prune.channels.members import size
from bitlathe.model.prune.channels.selection import Selection
from bitlathe.model.prune.channels.surgery import Optimizers, check_tied, plan, plan_retie
from bitlathe.model.prune.channels.trial import all_finite, difference, expected_outputs, trouble
from bitlathe.model.prune.errors import BrokenNetwork, PruneError
from bitlathe.model.zoo.modes import evaluating

Optimizer = torch.optim.Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What pruning removed."""

    removed: int  # channels
    widths: dict[str, tuple[int, int]]  # every group that could be pruned: before, after
    parameters: tuple[int, int]  # before, after

    def describe(self) -> str:
        """Readable lines: the layers that changed, and the total."""
        rows = [f"{name}: {old} -> {new}" for name, (old, new) in self.widths.items() if old != new]
        old, new = self.parameters
        return "\n".join([*rows, f"{self.removed} channels removed, {old:,} -> {new:,} parameters"])


def prune(
    model: nn.Module,
    selection: Selection,
    optimizer: Optimizer | Optimizers | None = None,
    *,
    example: torch.Tensor,
) -> PruneReport:
    """Remove the selected channels in place.

    New parameters replace the old ones in the optimizer (or optimizers) with their momentum cut. The forward
    pass of `example` (N, C, H, W) must give the same result as when nothing reads the channels; otherwise the
    network is restored and BrokenNetwork names the layer. Raises PruneError for outdated groups or an
    optimizer that does not hold the network's parameters.
    """
    optimizers = _listed(optimizer)
    _check_fresh(model, selection)
    check_tied(model, optimizers)
    before = parameter_count(model)
    surgery = plan(model, selection.cuts())
    retie = plan_retie(optimizers, surgery.tensors)
    with torch.no_grad(), evaluating(model):
        expected = expected_outputs(model, selection.cuts(), example)
        if not all_finite(expected):
            raise BrokenNetwork(
                "the forward pass gives NaN or infinite values before anything is removed; "
                "go back to the last good state"
            )
        try:
            surgery.apply()
            found = difference(model, example, expected)
        except BaseException:
            surgery.undo()
            raise
        if found:
            surgery.undo()
            layer = _culprit(model, selection, example)
            raise BrokenNetwork(
                f"{layer}: removing its channels breaks the forward pass ({found}); "
                "nothing was changed, skip this layer"
            )
    retie()
    check_tied(model, optimizers)
    report = PruneReport(
        removed=selection.count, widths=selection.widths, parameters=(before, parameter_count(model))
    )
    assert report.removed == sum(old - new for old, new in report.widths.values())
    return report


def parameter_count(model: nn.Module) -> int:
    """Parameters of a network."""
    return sum(parameter.numel() for parameter in model.parameters())


def _listed(optimizer: Optimizer | Optimizers | None) -> Optimizers:
    if optimizer is None:
        return ()
    return (optimizer,) if isinstance(optimizer, torch.optim.Optimizer) else tuple(optimizer)


def _check_fresh(model: nn.Module, selection: Selection) -> None:
    layers = dict(model.named_modules())
    for group in selection.groups:
        for member in group.members:
            held = size(layers[member.layer], member.role) if member.layer in layers else 0
            if held <= member.indices.max():
                raise PruneError(
                    f"{member.layer}: has {held} channels, the groups were found with "
                    f"{member.indices.max() + 1} or more; find the groups again after each prune"
                )


def _culprit(model: nn.Module, selection: Selection, example: torch.Tensor) -> str:
    """The first group that breaks the network by itself; all of them if none does."""
    for name in selection.removed:
        if trouble(model, selection.only(name).cuts(), example):
            return name
    return ", ".join(selection.removed)
