"""Shrink a newly built network to the shapes of a pruned one's state dict, so that no module is pickled.

Only the number of channels that each layer has left matters here, not which were removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from bitlathe.model.graph.errors import DataError, first_of
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.members import (
    ChannelIndices,
    MemberRole,
    Norms,
    Weighted,
    is_depthwise,
    is_grouped_transposed,
    size,
    tensors,
)
from bitlathe.model.prune.channels.surgery import plan
from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.train.state_dicts import StateDict

Module = TypeVar("Module", bound=nn.Module)
Narrowed = dict[tuple[str, MemberRole], ChannelIndices]
_COUNTER = "num_batches_tracked"
_ADVICE = "it belongs to another network, give the one it was trained for"


def shrink_to(model: Module, state: StateDict, example: torch.Tensor | None = None) -> Module:
    """Shrink `model` in place to the shapes in `state`, load the state, and return the model.

    A state that already fits is just loaded. Raises DataError naming the first tensor that is missing,
    unknown, wider than the network's, or narrower where no channel can go: kernels, image channels, classes.
    With an `example` (N, C, H, W), only what can be pruned may be narrower, and the shrunk network must run.
    """
    check_names(model, state)
    narrowed = _narrowed(model, state)
    _check_shapes(model, state, narrowed)
    _check_ends(model, state, narrowed, example)
    plan(model, narrowed).apply()
    model.load_state_dict(dict(state), strict=False)  # many files lack batch counters
    if narrowed and example is not None:
        with _groups_by_inputs(model):
            _check_runs(model, example)
    return model


def check_names(model: nn.Module, state: StateDict) -> None:
    """Raise DataError for tensors that only one of the two has, except batch counters."""
    expected = model.state_dict()
    missing = [name for name in expected if name not in state and not name.endswith(_COUNTER)]
    unknown = [name for name in state if name not in expected]
    parts = [
        f"{first_of(names)} {'is' if len(names) == 1 else 'are'} {what}"
        for names, what in ((missing, "missing"), (unknown, "unknown to the network"))
        if names
    ]
    if parts:
        raise DataError(f"{' and '.join(parts)}; {_ADVICE}")


def _narrowed(model: nn.Module, state: StateDict) -> Narrowed:
    """The last indices of each layer that is narrower in the state."""
    narrowed = {}
    for name, layer in model.named_modules():
        for role in _roles(layer):
            width = _width(name, layer, role, state)
            if width is not None and 0 < width < size(layer, role):
                narrowed[name, role] = np.arange(width, size(layer, role))
    return narrowed


def _roles(layer: nn.Module) -> tuple[MemberRole, ...]:
    if isinstance(layer, Norms):
        return (MemberRole.NORM,)
    if is_depthwise(layer):
        return (MemberRole.DEPTHWISE,)
    if isinstance(layer, nn.PReLU) and layer.num_parameters > 1:
        return (MemberRole.SLOPE,)
    if isinstance(layer, Weighted) and not is_grouped_transposed(layer):
        return (MemberRole.PRODUCER, MemberRole.CONSUMER)
    return ()


def _width(name: str, layer: nn.Module, role: MemberRole, state: StateDict) -> int | None:
    held = ((state.get(f"{name}.{attribute}"), dimension) for attribute, dimension in tensors(layer, role))
    widths = (t.shape[dimension] for t, dimension in held if t is not None and t.dim() > dimension)
    return next(widths, None)


def _check_shapes(model: nn.Module, state: StateDict, narrowed: Narrowed) -> None:
    """Check that every tensor has its shape after narrowing."""
    shapes = {id(change.old): change.new.shape for change in plan(model, narrowed).tensors}
    own = model.state_dict(keep_vars=True)  # one tensor may have several names
    misfits = [n for n, t in own.items() if n in state and state[n].shape != shapes.get(id(t), t.shape)]
    if misfits:
        raise _misfit(misfits, state, own)


def _check_ends(model: nn.Module, state: StateDict, narrowed: Narrowed, example: torch.Tensor | None) -> None:
    fixed = _fixed_without_example(model) if example is None else _fixed(model, narrowed, example)
    misfits = [f"{layer}.weight" for layer, role in narrowed if (layer, role) in fixed]
    if misfits:
        raise _misfit(misfits, state, model.state_dict())


def _fixed_without_example(model: nn.Module) -> set[tuple[str, MemberRole]]:
    """Check image channels and classes, as far as the order of the layers shows them."""
    layers = [name for name, m in model.named_modules() if isinstance(m, Weighted)]
    dense = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]
    return {(name, MemberRole.CONSUMER) for name in layers[:1]} | {
        (name, MemberRole.PRODUCER) for name in dense[-1:]
    }


def _fixed(model: nn.Module, narrowed: Narrowed, example: torch.Tensor) -> set[tuple[str, MemberRole]]:
    if not narrowed:
        return set()
    try:
        groups = channel_groups(model, example, ChannelScope.ALL)
    except Unprunable as error:
        raise DataError(str(error)) from error
    prunable = {(member.layer, member.role) for group in groups for member in group.members}
    return set(narrowed) - prunable


@contextmanager
def _groups_by_inputs(model: nn.Module) -> Iterator[None]:
    """Inside, a forward pass gives grouped convolutions as many groups as their inputs and weights ask for.

    Where groups of one channel left as wholes, a state only tells groups times filters of one.
    """

    def fit(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(layer, nn.Conv2d)
        layer.in_channels = int(inputs[0].shape[-3])
        layer.groups = layer.in_channels // int(layer.weight.shape[1])

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1]
    handles = [layer.register_forward_pre_hook(fit) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check_runs(model: nn.Module, example: torch.Tensor) -> None:
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(example)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"the layers do not fit together ({reason}); {_ADVICE}") from error
    finally:
        model.train(training)


def _misfit(names: Sequence[str], state: StateDict, own: StateDict) -> DataError:
    shapes = [(name, tuple(state[name].shape), tuple(own[name].shape)) for name in names]
    each = [f"{name} is {found}, the network's is {wanted}" for name, found, wanted in shapes]
    return DataError(f"{first_of(each)}; {_ADVICE}")
