"""PyTorch modules whose float arithmetic is exact, so that two ways to compute them agree bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class Forward(nn.Module):
    """A module from a function of itself and the image; `layers` become its children."""

    def __init__(self, function: Callable[[Forward, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the function returns."""
        return self.function(self, x)


def make_exact(module: Module, seed: int = 0) -> Module:
    """Give the module small integer weights and batch norms that scale by powers of two, and evaluation mode.

    A few layers of such a network keep every value a multiple of a small power of two below 2**24 of them.
    """
    generator = torch.Generator().manual_seed(seed)

    def integers(like: Tensor, low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, like.shape, generator=generator).to(like.dtype)

    for layer in module.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            _make_norm_exact(layer, integers)
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.weight.data = integers(layer.weight, -2, 2)
            if layer.bias is not None:
                layer.bias.data = integers(layer.bias, -3, 3)
    return module.eval()


def _make_norm_exact(
    layer: nn.BatchNorm1d | nn.BatchNorm2d, integers: Callable[[Tensor, int, int], Tensor]
) -> None:
    layer.eps = 0.0
    assert layer.running_mean is not None and layer.running_var is not None
    layer.running_mean.copy_(integers(layer.running_mean, -3, 3))
    layer.running_var.copy_(4.0 ** integers(layer.running_var, -1, 1))  # so the deviation is 1/2, 1 or 2
    if layer.affine:
        layer.weight.data = 2.0 ** integers(layer.weight, -1, 1)
        layer.bias.data = integers(layer.bias, -3, 3)


def pixel_inputs(count: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """Images (count, C, H, W) of random bytes, x = (pixel - 128) / 128."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(0, 256, (count, *shape), generator=generator) - 128) / 128
