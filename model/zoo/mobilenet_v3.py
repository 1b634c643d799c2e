"""MobileNetV3-Small: inverted residuals with Hardswish, and channels weighted by squeeze and excitation.

Source: Howard et al. 2019, arXiv:1905.02244, table 2. Names of tensors are those of torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from bitlathe.model.zoo.layers import Classifier, ConvNorm, Normalize

_EPS = 1e-3
_HEAD, _HIDDEN = 576, 1024


@dataclass(frozen=True, slots=True)
class _Row:
    """A block, as a row of the published table."""

    kernel_size: int
    hidden: int
    out_channels: int
    is_weighted: bool
    activation: type[nn.Module]
    stride: int


_ROWS = (
    _Row(3, 16, 16, True, nn.ReLU, 2),
    _Row(3, 72, 24, False, nn.ReLU, 2),
    _Row(3, 88, 24, False, nn.ReLU, 1),
    _Row(5, 96, 40, True, nn.Hardswish, 2),
    _Row(5, 240, 40, True, nn.Hardswish, 1),
    _Row(5, 240, 40, True, nn.Hardswish, 1),
    _Row(5, 120, 48, True, nn.Hardswish, 1),
    _Row(5, 144, 48, True, nn.Hardswish, 1),
    _Row(5, 288, 96, True, nn.Hardswish, 2),
    _Row(5, 576, 96, True, nn.Hardswish, 1),
    _Row(5, 576, 96, True, nn.Hardswish, 1),
)


class SqueezeExcitation(nn.Module):
    """Each channel times a number from 0 to 1, which two 1x1 convolutions make of all channels' averages."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.ReLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.scale_activation = nn.Hardsigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        weights: torch.Tensor = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        return x * weights


class _Block(nn.Module):
    def __init__(self, in_channels: int, row: _Row, stride: int) -> None:
        super().__init__()
        hidden, kind = row.hidden, row.activation
        layers: list[nn.Module] = []
        if hidden != in_channels:
            layers.append(ConvNorm(in_channels, hidden, 1, kind, eps=_EPS))
        layers.append(ConvNorm(hidden, hidden, row.kernel_size, kind, stride=stride, groups=hidden, eps=_EPS))
        if row.is_weighted:
            layers.append(SqueezeExcitation(hidden, _in_eights(hidden // 4)))
        layers.append(ConvNorm(hidden, row.out_channels, 1, None, eps=_EPS))
        self.block = nn.Sequential(*layers)
        self.is_sum = stride == 1 and in_channels == row.out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        made: torch.Tensor = self.block(x)
        return x + made if self.is_sum else made


def _in_eights(channels: int) -> int:
    """The multiple of 8 next to a number of channels, that is not less than nine tenths of it."""
    near = max(8, (channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def mobilenet_v3_small(
    *, num_classes: int, in_channels: int, halves_first: bool, normalize: Normalize | None = None
) -> Classifier:
    """MobileNetV3-Small; of 32x32 images neither the stem nor the first block `halves_first`."""
    channels = 16
    layers: list[nn.Module] = [
        ConvNorm(in_channels, channels, 3, nn.Hardswish, stride=1 + halves_first, eps=_EPS)
    ]
    for place, row in enumerate(_ROWS):
        layers.append(_Block(channels, row, 1 if place == 0 and not halves_first else row.stride))
        channels = row.out_channels
    layers.append(ConvNorm(channels, _HEAD, 1, nn.Hardswish, eps=_EPS))
    head = nn.Sequential(
        nn.Linear(_HEAD, _HIDDEN), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(_HIDDEN, num_classes)
    )
    return Classifier(nn.Sequential(*layers), head, normalize)
