"""MobileNet v1: alternating depthwise and pointwise convolutions.

Source: Howard et al. 2017, arXiv:1704.04861, table 1. ReLU as there, not the ReLU6 of some published weights.
"""

from __future__ import annotations

import torch
from torch import nn

from bitlathe.model.zoo.layers import ConvNormReLU, Normalize, initialize

_STEM = 32
# output channels of the depthwise-pointwise pairs; the first pair of a stage has the stage's stride
_STAGES = ((64,), (128, 128), (256, 256), 6 * (512,), (1024, 1024))

Strides = tuple[int, int, int, int, int]  # of the stem and of the stages of 128, 256, 512 and 1024 channels

IMAGENET_STRIDES: Strides = (2, 2, 2, 2, 2)  # as published, for 224x224: the last map has 7x7 pixels
CIFAR_STRIDES: Strides = (1, 2, 2, 2, 2)  # 32x32 to 2x2
SMALL_STRIDES: Strides = (2, 2, 2, 1, 2)  # 28x28 to 2x2, with most layers on maps of 4x4


class MobileNet(nn.Module):
    """Stem, thirteen depthwise-pointwise pairs, average pool, dense layer.

    `width` scales the channels of every layer.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int,
        width: float = 1.0,
        strides: Strides = CIFAR_STRIDES,
        normalize: Normalize | None = None,
    ) -> None:
        super().__init__()
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.stem = ConvNormReLU(in_channels, _scaled(_STEM, width), 3, stride=strides[0])
        self.features = _features(width, (1, *strides[1:]))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(_scaled(_STAGES[-1][-1], width), num_classes)
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.features(self.stem(self.normalize(x)))
        logits: torch.Tensor = self.linear(self.flatten(self.pool(x)))
        return logits


def _features(width: float, strides: Strides) -> nn.Sequential:
    """All pairs in one sequence; `strides` are those of the five stages."""
    pairs, inputs = [], _scaled(_STEM, width)
    for stage, first_stride in zip(_STAGES, strides, strict=True):
        for index, channels in enumerate(stage):
            outputs = _scaled(channels, width)
            pairs.append(_pair(inputs, outputs, first_stride if index == 0 else 1))
            inputs = outputs
    return nn.Sequential(*pairs)


def _pair(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ConvNormReLU(inputs, inputs, 3, stride=stride, groups=inputs),
        ConvNormReLU(inputs, outputs, 1),
    )


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))
