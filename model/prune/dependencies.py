"""Thin adapter of torch-pruning: which indices of which layers leave together.

Only its tracing is used; ranking, counting and removing are ours, because the library removes more than asked
on ties, skips groups silently and leaves the optimizer behind. What it returns is checked here (`objection`)
and by a forward pass after every prune, since it takes operations it does not know for elementwise ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch_pruning
from torch import nn

from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.prune.members import Indices, Member, Norms, Role, is_depthwise, size


@dataclass(slots=True, kw_only=True)
class Bundle:
    """Channels of one producer with all that leaves with them; `objections` say why they cannot."""

    root: str
    members: list[Member] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)


def trace(model: nn.Module, example: torch.Tensor) -> list[Bundle]:
    """Bundles of all convolutions and dense layers that the forward pass of `example` (N, C, H, W) reaches.

    Every output channel of a layer is in one bundle. Raises Unprunable when the network cannot be traced.
    """
    names = {module: name for name, module in model.named_modules()}
    graph = _dependency_graph(model, example)
    covered: dict[str, set[int]] = {}
    bundles = []
    roots = [m for m in graph.module2node if isinstance(m, (nn.Conv2d, nn.Linear)) and not is_depthwise(m)]
    for module in sorted(roots, key=list(names).index):
        open_indices = sorted(set(range(size(module, Role.PRODUCER))) - covered.get(names[module], set()))
        if open_indices:
            bundles.append(_bundle(graph, names, module, open_indices))
            for member in bundles[-1].members:
                if member.role is Role.PRODUCER:
                    covered.setdefault(member.layer, set()).update(member.indices.tolist())
    return bundles


def _dependency_graph(model: nn.Module, example: torch.Tensor) -> Any:
    # wants no gradient: the library stumbles over operations recorded before the first layer
    image = example.detach()
    with _modes_kept(model), _recorded(model), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = torch_pruning.DependencyGraph()
            graph.REGISTERED_PRUNERS[torch_pruning.ops.OPTYPE.CONCAT] = _Concatenation()
            return graph.build_dependency(model, image, verbose=False)
        except Exception as error:  # the library raises anything, and so may the user's forward
            raise Unprunable(
                f"{type(model).__name__}: cannot be traced with an input of {tuple(example.shape)} "
                f"({_first_line(error)}); give an example the network accepts"
            ) from error


class _Concatenation(torch_pruning.ops.ConcatPruner):  # type: ignore[misc]  # the library is untyped
    """Tells the width of a concatenation.

    The library infers it from the next layer, which is wrong where a dense layer reads the flattened map; it
    then takes the concatenation for one of another dimension and loses the offsets of the parts.
    """

    def get_in_channels(self, layer: Any) -> int | None:
        """Channels of all parts together, None as long as they are unknown."""
        parts = layer.concat_sizes
        return None if parts is None or None in parts else int(sum(parts))

    get_out_channels = get_in_channels


@contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    """Undo the library's `model.eval()`, module by module."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _recorded(model: nn.Module) -> Iterator[None]:
    """Let autograd record layers with frozen weights too."""
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_()
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _bundle(graph: Any, names: dict[nn.Module, str], root: nn.Module, indices: list[int]) -> Bundle:
    bundle = Bundle(root=names[root])
    handler = graph.get_pruner_of_module(root).prune_out_channels
    try:
        group = graph.get_pruning_group(root, handler, indices)
    except Exception as error:  # index errors of any kind inside the library
        bundle.objections.append(f"torch-pruning cannot follow its channels ({_first_line(error)})")
        return bundle
    place = {index: channel for channel, index in enumerate(indices)}
    for item in group.items:
        module = item.dep.target.module
        if module not in names or _carries_nothing(module):
            bundle.objections.extend(_objection(module))
            continue
        role = _role(graph, module, item.dep.handler)
        if role is None:
            bundle.objections.append(
                f"its channels pass {names[module]}, a {type(module).__name__} that cannot lose channels"
            )
            continue
        channels = np.array([place[i] for i in item.root_idxs], np.int64)
        bundle.members.append(_member(names[module], role, channels, np.array(item.idxs, np.int64)))
    return bundle


def _objection(module: Any) -> list[str]:
    """Why channels that pass an operation must stay."""
    if isinstance(module, nn.Parameter):
        return ["a bare parameter outside any layer depends on its channels"]
    if module.__class__.__name__ == "_OutputOp":
        return ["its channels reach the network's output"]
    return []


def _member(layer: str, role: Role, channels: Indices, indices: Indices) -> Member:
    order = np.argsort(indices, kind="stable")
    return Member(layer=layer, role=role, channels=channels[order], indices=indices[order])


def _carries_nothing(module: Any) -> bool:
    """Whether a node is an operation, or a layer without any tensor."""
    return not isinstance(module, nn.Module) or not (any(True for _ in module.parameters(recurse=False)))


def _role(graph: Any, module: nn.Module, handler: Any) -> Role | None:
    if isinstance(module, Norms):
        return Role.NORM
    if is_depthwise(module):
        return Role.DEPTHWISE
    if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1):
        return Role.PRODUCER if graph.is_out_channel_pruning_fn(handler) else Role.CONSUMER
    return None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].strip()
