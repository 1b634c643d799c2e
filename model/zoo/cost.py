"""Multiply-accumulates of a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bitlathe.model.zoo.modes import evaluating

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)


def macs(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image through convolutions and dense layers; `input_shape` is (C, H, W)."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        counts.append(_layer_macs(module, inputs[0], output))

    layers = [m for m in model.modules() if isinstance(m, (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        _run_once(model, input_shape)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)


def _layer_macs(module: nn.Module, x: torch.Tensor, output: torch.Tensor) -> int:
    """Terms of one output value, one for each weight of an output channel, times output values.

    A transposed convolution takes each pixel times all weights of its channel.
    """
    weight: torch.Tensor = module.weight  # type: ignore[assignment]
    if isinstance(module, _TRANSPOSED):
        return weight[0].numel() * x[0].numel()
    return weight[0].numel() * output[0].numel()


@torch.no_grad()
def _run_once(model: nn.Module, input_shape: tuple[int, int, int]) -> None:
    parameter = next(model.parameters())
    with evaluating(model):
        model(torch.zeros(1, *input_shape, dtype=parameter.dtype, device=parameter.device))
