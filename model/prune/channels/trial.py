"""Check that a network computes the same without some channels as when nothing reads them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from bitlathe.model.prune.channels.surgery import Cuts, masked, plan
from bitlathe.model.zoo.modes import evaluating
from bitlathe.model.zoo.outputs import tensors_of


def trouble(model: nn.Module, cuts: Cuts, example: torch.Tensor) -> str:
    """What goes wrong in the forward pass of `example` (N, C, H, W) without `cuts`, or None.

    The network is left as it was. One that gives NaN or infinite values cannot be judged and gives None.
    """
    with torch.no_grad(), evaluating(model):
        expected = expected_outputs(model, cuts, example)
        if not all_finite(expected):
            return ""
        surgery = plan(model, cuts)
        surgery.apply()
        try:
            return difference(model, example, expected)
        finally:
            surgery.undo()


def expected_outputs(model: nn.Module, cuts: Cuts, example: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Outputs of the whole network if no layer reads the channels of `cuts`."""
    with masked(model, cuts):
        return _outputs(model, example)


def all_finite(outputs: Sequence[torch.Tensor]) -> bool:
    """Whether no value is NaN or infinite."""
    return all(bool(torch.isfinite(output).all()) for output in outputs)


def difference(model: nn.Module, example: torch.Tensor, expected: Sequence[torch.Tensor]) -> str:
    """How the forward pass of a pruned network fails or differs from `expected`, or None.

    Removing zeros changes only the order of sums, with rounding errors of a few units in the last place per
    layer. The bound, the square root of a unit, is far above them and far below a wrong channel's effect.
    """
    try:
        found = _outputs(model, example)
    except Exception as error:  # whatever a user's forward raises
        return f"{type(error).__name__}: {error}".splitlines()[0]
    for output, wanted in zip(found, expected, strict=True):
        if output.shape != wanted.shape:
            return f"its output becomes {tuple(output.shape)}, it was {tuple(wanted.shape)}"
        bound = torch.finfo(wanted.dtype).eps ** 0.5 * float(wanted.abs().max())
        moved = float((output - wanted).abs().max())
        if not moved <= bound:
            return f"its output moves by {moved:.3g} where rounding explains {bound:.3g}"
    return ""


def _outputs(model: nn.Module, example: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tensors_of(model(example))
