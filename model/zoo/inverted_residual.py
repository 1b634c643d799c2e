"""MobileNetV2 and EfficientNet-Lite0: narrow maps, widened by 1x1 convolutions around a depthwise one.

Sources: Sandler et al. 2018, arXiv:1801.04381, table 2; tensorflow/tpu, models/official/efficientnet/lite
(no squeeze and excitation, ReLU6, fixed stem and head). Names of tensors are torchvision's for MobileNetV2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from bitlathe.model.zoo.layers import Classifier, ConvNorm, Normalize


@dataclass(frozen=True, slots=True)
class InvertedStage:
    """Blocks of one kind in a row; the first one strides."""

    expansion: int
    out_channels: int
    blocks: int
    stride: int
    kernel_size: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertedNetwork:
    """Stem, stages, and the last 1x1 convolution."""

    stem_stride: int
    stages: tuple[InvertedStage, ...]
    stem: int = 32
    head: int = 1280
    eps: float = 1e-5


_MOBILENET_V2 = (
    *(InvertedStage(1, 16, 1, 1), InvertedStage(6, 24, 2, 2), InvertedStage(6, 32, 3, 2)),
    *(InvertedStage(6, 64, 4, 2), InvertedStage(6, 96, 3, 1), InvertedStage(6, 160, 3, 2)),
    InvertedStage(6, 320, 1, 1),
)
MOBILENET_V2 = InvertedNetwork(stem_stride=2, stages=_MOBILENET_V2)
# 32x32 images: neither the stem nor the first wide stage halves the map, as in kuangliu/pytorch-cifar
CIFAR_MOBILENET_V2 = InvertedNetwork(
    stem_stride=1, stages=(_MOBILENET_V2[0], InvertedStage(6, 24, 2, 1), *_MOBILENET_V2[2:])
)
_EFFICIENTNET_LITE0 = (
    *(InvertedStage(1, 16, 1, 1), InvertedStage(6, 24, 2, 2), InvertedStage(6, 40, 2, 2, 5)),
    *(InvertedStage(6, 80, 3, 2), InvertedStage(6, 112, 3, 1, 5), InvertedStage(6, 192, 4, 2, 5)),
    InvertedStage(6, 320, 1, 1),
)
EFFICIENTNET_LITE0 = InvertedNetwork(stem_stride=2, stages=_EFFICIENTNET_LITE0, eps=1e-3)
CIFAR_EFFICIENTNET_LITE0 = InvertedNetwork(
    stem_stride=1,
    stages=(_EFFICIENTNET_LITE0[0], InvertedStage(6, 24, 2, 1), *_EFFICIENTNET_LITE0[2:]),
    eps=1e-3,
)


class InvertedResidual(nn.Module):
    """1x1 to more channels unless the expansion is 1, depthwise, 1x1 without activation; and the sum."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, expansion: int, kernel_size: int, eps: float
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        wide = [ConvNorm(in_channels, hidden, 1, nn.ReLU6, eps=eps)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *wide,
            ConvNorm(hidden, hidden, kernel_size, nn.ReLU6, stride=stride, groups=hidden, eps=eps),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels, eps=eps),
        )
        self.is_sum = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        made: torch.Tensor = self.conv(x)
        return x + made if self.is_sum else made


def inverted_residuals(
    *, network: InvertedNetwork, num_classes: int, in_channels: int, normalize: Normalize | None = None
) -> Classifier:
    """A network of inverted residuals."""
    eps, channels = network.eps, network.stem
    layers: list[nn.Module] = [
        ConvNorm(in_channels, channels, 3, nn.ReLU6, stride=network.stem_stride, eps=eps)
    ]
    for stage in network.stages:
        for block in range(stage.blocks):
            stride = stage.stride if block == 0 else 1
            layers.append(
                InvertedResidual(
                    channels, stage.out_channels, stride, stage.expansion, stage.kernel_size, eps
                )
            )
            channels = stage.out_channels
    layers.append(ConvNorm(channels, network.head, 1, nn.ReLU6, eps=eps))
    head = nn.Sequential(nn.Dropout(0.2), nn.Linear(network.head, num_classes))
    return Classifier(nn.Sequential(*layers), head, normalize)
