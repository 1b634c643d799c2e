"""Multiply-accumulates of a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bitlathe.model.zoo.modes import evaluating


def macs(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image through convolutions and dense layers; `input_shape` is (C, H, W)."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        # a filter's terms for each value it makes; of a transposed convolution, for each value it reads
        counts.append(_layer_macs(module, inputs[0] if isinstance(module, nn.ConvTranspose2d) else output))

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        _run_once(model, input_shape)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)


def _layer_macs(module: nn.Module, values: torch.Tensor) -> int:
    """Terms of one value, one for each weight of its channel, times values."""
    weight: torch.Tensor = module.weight  # type: ignore[assignment]
    return weight[0].numel() * values[0].numel()


@torch.no_grad()
def _run_once(model: nn.Module, input_shape: tuple[int, int, int]) -> None:
    parameter = next(model.parameters())
    with evaluating(model):
        model(torch.zeros(1, *input_shape, dtype=parameter.dtype, device=parameter.device))
