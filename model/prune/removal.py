"""Remove channels from a live network for good, optimizer and all, or leave everything as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils import _pytree

from bitlathe.model.prune.errors import BrokenNetwork, PruneError
from bitlathe.model.prune.members import size
from bitlathe.model.prune.optimizer import Optimizers, check_tied, plan_retie
from bitlathe.model.prune.selection import Selection
from bitlathe.model.prune.surgery import masked, plan

Optimizer = torch.optim.Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What a prune removed."""

    removed: int  # channels
    widths: dict[str, tuple[int, int]]  # every group that could be pruned: before, after
    parameters: tuple[int, int]  # before, after

    def describe(self) -> str:
        """Lines for a person: the layers that changed, and the sum."""
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

    New parameters take the old ones' places in the optimizer (or optimizers) with their momentum cut. The
    forward pass of `example` (N, C, H, W) must give what it gave with the channels unread; otherwise the
    network is put back and BrokenNetwork names the layer. Raises PruneError for groups of an earlier shape
    or an optimizer that does not hold the network's parameters.
    """
    optimizers = _listed(optimizer)
    _check_fresh(model, selection)
    check_tied(model, optimizers)
    before = parameter_count(model)
    surgery = plan(model, selection.cuts())
    retie = plan_retie(optimizers, surgery.tensors)
    with _evaluating(model):
        expected = _expected(model, selection, example)
        try:
            surgery.apply()
            trouble = _trouble(model, example, expected)
        except BaseException:
            surgery.undo()
            raise
        if trouble:
            surgery.undo()
            layer = _culprit(model, selection, example)
            raise BrokenNetwork(
                f"{layer}: removing its channels breaks the forward pass ({trouble}); "
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


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def _outputs(model: nn.Module, example: torch.Tensor) -> list[torch.Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(model(example)) if isinstance(leaf, torch.Tensor)]


def _expected(model: nn.Module, selection: Selection, example: torch.Tensor) -> list[torch.Tensor]:
    with masked(model, selection.cuts()):
        outputs = _outputs(model, example)
    if not all(torch.isfinite(output).all() for output in outputs):
        raise BrokenNetwork(
            "the forward pass gives NaN or infinite values before anything is removed; "
            "go back to the last good state"
        )
    return outputs


def _trouble(model: nn.Module, example: torch.Tensor, expected: list[torch.Tensor]) -> str:
    """What is wrong with the forward pass, or nothing.

    Removing zeros changes only the order of sums: rounding errors of a few units in the last place a layer.
    The bound, the square root of a unit, lies far above them and far below the effect of a wrong channel.
    """
    try:
        found = _outputs(model, example)
    except Exception as error:  # whatever a user's forward raises
        return f"{type(error).__name__}: {error}".splitlines()[0]
    for output, wanted in zip(found, expected, strict=True):
        if output.shape != wanted.shape:
            return f"its output becomes {tuple(output.shape)}, it was {tuple(wanted.shape)}"
        bound = torch.finfo(wanted.dtype).eps ** 0.5 * float(wanted.abs().max())
        difference = float((output - wanted).abs().max())
        if not difference <= bound:
            return f"its output moves by {difference:.3g} where rounding explains {bound:.3g}"
    return ""


def _culprit(model: nn.Module, selection: Selection, example: torch.Tensor) -> str:
    """The first group that breaks the network by itself; all of them when none does."""
    for name in selection.removed:
        alone = selection.only(name)
        expected = _expected(model, alone, example)
        surgery = plan(model, alone.cuts())
        surgery.apply()
        try:
            trouble = _trouble(model, example, expected)
        finally:
            surgery.undo()
        if trouble:
            return name
    return ", ".join(selection.removed)
