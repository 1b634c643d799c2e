"""Make any network behave like those of the zoo: float32, tensors of outputs, one row per image."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree

from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.zoo.layers import Normalize
from bitlathe.model.zoo.outputs import tensors_of


def adapted(model: nn.Module, example: torch.Tensor, normalize: Normalize | None = None) -> nn.Module:
    """`model` itself, changed so that it maps images like `example` to outputs (N, K) or (N, K, H, W).

    Its numbers become float32. An output in a dict or tuple of one is unpacked, several keep what is around
    them, and 1x1 maps become (N, K). With `normalize`, images pass through it first. Names of layers and
    tensors do not change, as all of this is done by hooks. Weights get channels_last order, which is faster,
    if forward and backward pass work with it: a `.view` of a map does not.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.float().clone(memory_format=torch.contiguous_format)
    _forget_hooks(model)
    if normalize is not None:
        model.register_forward_pre_hook(_Before(normalize))
    model.register_forward_hook(_by_image)
    if _bears_channels_last(model, example):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def _forget_hooks(model: nn.Module) -> None:
    """Remove earlier changes of this kind: a module may be passed in repeatedly, or be a copy."""
    for key in [key for key, hook in model._forward_pre_hooks.items() if isinstance(hook, _Before)]:
        del model._forward_pre_hooks[key]
    for key in [key for key, hook in model._forward_hooks.items() if hook is _by_image]:
        del model._forward_hooks[key]


def _bears_channels_last(model: nn.Module, example: torch.Tensor) -> bool:
    """Whether a copy of the network runs in channels_last order in both modes."""
    try:
        trial = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            for training in (False, True):
                torch.stack(
                    [made.sum() for made in tensors_of(trial.train(training)(example))]
                ).sum().backward()
    except Exception:  # by a user's forward; unchanged, the network may run or report the error itself
        return False
    return True


class _Before:
    """A hook that passes the image through a module first."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, model: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (self.module(arguments[0]), *arguments[1:])


def _by_image(model: nn.Module, arguments: tuple[torch.Tensor, ...], output: Any) -> Any:
    """The output, each tensor of it (N, K) or (N, K, H, W); the tensor itself where there is one."""
    count, found = len(arguments[0]), tensors_of(output)
    if len(found) == 1:
        return _rows(count, found[0])
    leaves = _pytree.tree_leaves(output)
    if not found or len(found) < len(leaves):
        others = sorted({type(leaf).__name__ for leaf in leaves if not isinstance(leaf, torch.Tensor)})
        what = f"{len(found)} tensors and also {', '.join(others)}" if others else "nothing"
        raise UnsupportedLayer(f"{type(model).__name__}: its forward returns {what}; return tensors only")
    return _pytree.tree_map(lambda tensor: _rows(count, tensor), output)


def _rows(count: int, output: torch.Tensor) -> torch.Tensor:
    """An output of `count` images, a row for each, without maps of one pixel."""
    if count == 1 and output.shape[:1] != (1,):
        output = output.unsqueeze(0)  # `squeeze()` also removes the batch if it has one image
    return output.flatten(1) if output.shape[2:] and output.shape[2:].numel() == 1 else output
