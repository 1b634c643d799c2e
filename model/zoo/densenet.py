"""DenseNet-BC for 32x32 images: each layer reads the maps of all before it in its block.

Source: Huang et al. 2017, arXiv:1608.06993, section 3: bottlenecks of 4 * growth channels, transitions that
keep half of the channels. Names of tensors are those of torchvision's DenseNet.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from bitlathe.model.zoo.layers import Classifier, Normalize

_BLOCKS = 3
_LAYERS_AROUND = 4  # the stem, two transitions and the dense layer; a dense layer of a block is two deep


class DenseLayer(nn.Module):
    """Batch norm, ReLU and a 1x1 convolution, the same with a 3x3 one; what it makes is joined behind."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(in_channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, in + growth, H, W)."""
        narrow = self.conv1(self.relu1(self.norm1(x)))
        return torch.cat([x, self.conv2(self.relu2(self.norm2(narrow)))], dim=1)


def densenet_bc(
    *, depth: int, growth: int, num_classes: int, in_channels: int, normalize: Normalize | None = None
) -> Classifier:
    """A DenseNet-BC of so many layers with weights: 40 or 100, of growth 12, are the small published ones."""
    layers = (depth - _LAYERS_AROUND) // (2 * _BLOCKS)
    channels = 2 * growth
    named: dict[str, nn.Module] = {"conv0": nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)}
    for block in range(1, _BLOCKS + 1):
        dense = {f"denselayer{n + 1}": DenseLayer(channels + n * growth, growth) for n in range(layers)}
        named[f"denseblock{block}"] = nn.Sequential(OrderedDict(dense))
        channels += layers * growth
        if block < _BLOCKS:
            named[f"transition{block}"] = _transition(channels)
            channels //= 2
    named |= {"norm5": nn.BatchNorm2d(channels), "relu5": nn.ReLU()}
    return Classifier(nn.Sequential(OrderedDict(named)), nn.Linear(channels, num_classes), normalize)


def _transition(channels: int) -> nn.Sequential:
    layers: dict[str, nn.Module] = {
        "norm": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(),
        "conv": nn.Conv2d(channels, channels // 2, 1, bias=False),
        "pool": nn.AvgPool2d(2),
    }
    return nn.Sequential(OrderedDict(layers))
