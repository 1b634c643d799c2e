"""ShuffleNetV2 1.0x: half of the channels pass by, and a shuffle mixes the halves.

Source: Ma et al. 2018, arXiv:1807.11164, table 5. Names of tensors are those of torchvision.
"""

from __future__ import annotations

import torch
from torch import nn

from bitlathe.model.zoo.layers import Normalize, initialize

_STEM, _HEAD = 24, 1024
_STAGES = ((4, 116), (8, 232), (4, 464))  # blocks and channels


class ShuffleBlock(nn.Module):
    """Half of the channels as they are, half through three convolutions; with a stride all both ways."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half, self.is_split = out_channels // 2, stride == 1
        inputs = half if self.is_split else in_channels
        self.branch1 = (
            nn.Sequential()
            if self.is_split
            else nn.Sequential(*_depthwise(in_channels, stride), *_pointwise(in_channels, half))
        )
        self.branch2 = nn.Sequential(
            *_pointwise(inputs, half), *_depthwise(half, stride), *_pointwise(half, half)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        if self.is_split:
            passed, rest = x.chunk(2, dim=1)
            return shuffled(torch.cat((passed, self.branch2(rest)), dim=1))
        return shuffled(torch.cat((self.branch1(x), self.branch2(x)), dim=1))


def shuffled(x: torch.Tensor, groups: int = 2) -> torch.Tensor:
    """Channels dealt out to groups in turn."""
    count, channels, height, width = x.shape
    dealt = x.reshape(count, groups, channels // groups, height, width).transpose(1, 2)
    return dealt.reshape(count, channels, height, width)


def _pointwise(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def _depthwise(channels: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
    return conv, nn.BatchNorm2d(channels)


class ShuffleNetV2(nn.Module):
    """Stem, three stages, a 1x1 convolution, average pool, dense layer.

    The stem for 32x32 images neither strides nor pools.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int, halves_first: bool, normalize: Normalize | None = None
    ) -> None:
        super().__init__()
        self.normalize = normalize if normalize is not None else nn.Identity()
        stride, inputs = 1 + halves_first, _STEM
        conv = nn.Conv2d(in_channels, _STEM, 3, stride, 1, bias=False)
        self.conv1 = nn.Sequential(conv, nn.BatchNorm2d(_STEM), nn.ReLU())
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if halves_first else nn.Identity()
        stages = []
        for blocks, channels in _STAGES:
            rest = (ShuffleBlock(channels, channels, 1) for _ in range(blocks - 1))
            stages.append(nn.Sequential(ShuffleBlock(inputs, channels, 2), *rest))
            inputs = channels
        self.stage2, self.stage3, self.stage4 = stages
        self.conv5 = nn.Sequential(*_pointwise(inputs, _HEAD))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(_HEAD, num_classes)
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.maxpool(self.conv1(self.normalize(x)))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        logits: torch.Tensor = self.fc(self.flatten(self.pool(x)))
        return logits
