"""Residual networks for 32x32 images: MLPerf Tiny's ResNet-8 and the CIFAR family of He et al.

Sources: He et al. 2015, arXiv:1512.03385, section 4.2 (depth 6n + 2, option A shortcuts);
Banbury et al. 2021, arXiv:2106.07597, image classification (ResNet-8, 1x1 convolution shortcuts).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from bitlathe.model.zoo.layers import Normalize, PadShortcut, initialize

Shortcut = Callable[[int, int, int], nn.Module]  # in_channels, out_channels, stride


def pad_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Option A: no parameters."""
    return PadShortcut(in_channels, out_channels, stride)


def conv_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """MLPerf Tiny's: a 1x1 convolution with bias and no batch norm."""
    return nn.Conv2d(in_channels, out_channels, 1, stride)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        same = stride == 1 and in_channels == out_channels
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity() if same else shortcut(in_channels, out_channels, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        total: torch.Tensor = self.relu2(out + self.shortcut(x))
        return total


class CifarResNet(nn.Module):
    """Stem, three stacks of 16, 32 and 64 channels, average pool, dense layer."""

    def __init__(
        self,
        *,
        blocks: int,
        shortcut: Shortcut,
        num_classes: int,
        in_channels: int,
        normalize: Normalize | None = None,
    ) -> None:
        super().__init__()
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stack(16, 16, 1, blocks, shortcut)
        self.layer2 = _stack(16, 32, 2, blocks, shortcut)
        self.layer3 = _stack(32, 64, 2, blocks, shortcut)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(64, num_classes)
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.relu(self.bn1(self.conv1(self.normalize(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: torch.Tensor = self.linear(self.flatten(self.pool(x)))
        return logits


def _stack(inputs: int, outputs: int, stride: int, blocks: int, shortcut: Shortcut) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride, shortcut)
    rest = (BasicBlock(outputs, outputs, 1, shortcut) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
