"""GoogLeNet with batch norm for 32x32 images.

Sources: Szegedy et al. 2014, arXiv:1409.4842, table 1; the CIFAR geometry (a 3x3 stem of 192
channels, two 3x3 convolutions instead of the 5x5) is that of kuangliu/pytorch-cifar,
models/googlenet.py, which the literature on pruning measures.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import torch
from torch import nn

from bitlathe.model.zoo.layers import ConvNormReLU, Normalize, initialize


@dataclass(frozen=True, slots=True)
class Branches:
    """Output channels of an inception's convolutions, in the order of the published table."""

    one: int  # the 1x1 branch
    reduce_three: int
    three: int  # the 3x3 branch after its reduction
    reduce_five: int
    five: int  # the 5x5 branch after its reduction
    pooled: int  # 1x1 after the pool

    @property
    def out_channels(self) -> int:
        """Channels of the concatenation."""
        return self.one + self.three + self.five + self.pooled


_STEM = 192
_INCEPTIONS = (
    (Branches(64, 96, 128, 16, 32, 32), Branches(128, 128, 192, 32, 96, 64)),
    (
        Branches(192, 96, 208, 16, 48, 64),
        Branches(160, 112, 224, 24, 64, 64),
        Branches(128, 128, 256, 24, 64, 64),
        Branches(112, 144, 288, 32, 64, 64),
        Branches(256, 160, 320, 32, 128, 128),
    ),
    (Branches(256, 160, 320, 32, 128, 128), Branches(384, 192, 384, 48, 128, 128)),
)


class Inception(nn.Module):
    """Four branches on one map, with their channels concatenated."""

    def __init__(self, in_channels: int, branches: Branches) -> None:
        super().__init__()
        one, reduce_three, three, reduce_five, five, pooled = astuple(branches)
        self.branch1 = ConvNormReLU(in_channels, one, 1)
        self.branch2 = nn.Sequential(
            ConvNormReLU(in_channels, reduce_three, 1), ConvNormReLU(reduce_three, three, 3)
        )
        self.branch3 = nn.Sequential(
            ConvNormReLU(in_channels, reduce_five, 1),
            ConvNormReLU(reduce_five, five, 3),
            ConvNormReLU(five, five, 3),
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), ConvNormReLU(in_channels, pooled, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, out, H, W)."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class GoogLeNet(nn.Module):
    """Stem, nine inceptions with two pools in between, average pool, dense layer."""

    def __init__(self, *, num_classes: int, in_channels: int, normalize: Normalize | None = None) -> None:
        super().__init__()
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.stem = ConvNormReLU(in_channels, _STEM, 3)
        self.features = _features()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(_INCEPTIONS[-1][-1].out_channels, num_classes)
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.features(self.stem(self.normalize(x)))
        logits: torch.Tensor = self.linear(self.flatten(self.pool(x)))
        return logits


def _features() -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = _STEM
    for index, stage in enumerate(_INCEPTIONS):
        if index > 0:
            layers.append(nn.MaxPool2d(3, 2, padding=1))
        for branches in stage:
            layers.append(Inception(inputs, branches))
            inputs = branches.out_channels
    return nn.Sequential(*layers)
