"""Carry an optimizer over a prune: the new parameters in the old places, momentum cut alike.

Without this an optimizer goes on stepping tensors that no layer holds any more, in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from bitlathe.model.prune.errors import PruneError
from bitlathe.model.prune.surgery import Replacement, cut

Optimizers = Sequence[torch.optim.Optimizer]


def check_tied(model: nn.Module, optimizers: Optimizers) -> None:
    """Raise PruneError if a parameter that wants a gradient is in no optimizer (unless there is none)."""
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
    """Prepare the change of every optimizer and return what carries it out, which cannot fail any more.

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
