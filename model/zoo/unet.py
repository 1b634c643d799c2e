"""A small U-Net: a class of each pixel, by maps that are halved, doubled again, and joined on the way.

Source: Ronneberger et al. 2015, arXiv:1505.04597, with batch norm, padded convolutions, and 16 channels at
first instead of 64.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from bitlathe.model.zoo.layers import ConvNormReLU, Normalize, initialize

_WIDTHS = (16, 32, 64, 128)  # channels, from the whole map to an eighth of its sides


class UNet(nn.Module):
    """Two 3x3 convolutions on each of four sizes of map, down and up; transposed ones of 2x2 double a map."""

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        widths: tuple[int, ...] = _WIDTHS,
        normalize: Normalize | None = None,
    ) -> None:
        super().__init__()
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.down = nn.ModuleList(_pair(a, b) for a, b in pairwise((in_channels, *widths)))
        self.pool = nn.ModuleList(nn.MaxPool2d(2) for _ in widths[1:])
        rising = list(pairwise(reversed(widths)))
        self.rise = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in rising)
        self.up = nn.ModuleList(_pair(2 * b, b) for _, b in rising)
        self.head = nn.Conv2d(widths[0], num_classes, 1)
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes, H, W) of images (N, in_channels, H, W), whose sides eight divides."""
        maps = [self.down[0](self.normalize(x))]
        for pool, down in zip(self.pool, self.down[1:], strict=True):
            maps.append(down(pool(maps[-1])))
        x = maps.pop()
        for rise, up in zip(self.rise, self.up, strict=True):
            x = up(torch.cat([maps.pop(), rise(x)], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(ConvNormReLU(inputs, outputs, 3), ConvNormReLU(outputs, outputs, 3))
