"""ResNet-18 and ResNet-50, with a stem for 224x224 images or one for 32x32.

Sources: He et al. 2015, arXiv:1512.03385, table 1. A bottleneck strides in its 3x3 convolution ("v1.5"), as
torchvision's weights do; the stem for 32x32 images (3x3, no pool) is that of kuangliu/pytorch-cifar.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import nn

from bitlathe.model.zoo.layers import Normalize, initialize
from bitlathe.model.zoo.resnet import BasicBlock

_WIDTHS = (64, 128, 256, 512)  # of the stages; each but the first halves the map


class Stem(Enum):
    """Layers before the stages."""

    IMAGENET = "imagenet"  # 7x7 stride 2, then a 3x3 maximum of stride 2
    CIFAR = "cifar"  # 3x3 stride 1


def projection_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Option B: a 1x1 convolution with batch norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, the last one four times as wide, and a shortcut around them.

    The 3x3 convolution may have groups, and all may end in other channels, as in ResNeXt.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, groups: int = 1, outputs: int | None = None
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion if outputs is None else outputs
        same = stride == 1 and in_channels == out_channels
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity() if same else projection_shortcut(in_channels, out_channels, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        total: torch.Tensor = self.relu3(out + self.shortcut(x))
        return total


class ProjectedBlock(BasicBlock):
    """Two 3x3 convolutions and an option B shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__(in_channels, width, stride, projection_shortcut)


class DeepResNet(nn.Module):
    """Stem, four stages of 64, 128, 256 and 512 channels, average pool, dense layer.

    `blocks` are those of each stage: (2, 2, 2, 2) of `ProjectedBlock` for ResNet-18, (3, 4, 6, 3) of
    `Bottleneck` for ResNet-50.
    """

    def __init__(
        self,
        *,
        block: type[ProjectedBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        stem: Stem,
        num_classes: int,
        in_channels: int,
        normalize: Normalize | None = None,
    ) -> None:
        super().__init__()
        large = stem is Stem.IMAGENET
        self.normalize = normalize if normalize is not None else nn.Identity()
        kernel, stride = (7, 2) if large else (3, 1)
        self.conv1 = nn.Conv2d(in_channels, _WIDTHS[0], kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if large else nn.Identity()
        inputs = (_WIDTHS[0], *(width * block.expansion for width in _WIDTHS))
        self.layer1 = _stage(block, inputs[0], _WIDTHS[0], 1, blocks[0])
        self.layer2 = _stage(block, inputs[1], _WIDTHS[1], 2, blocks[1])
        self.layer3 = _stage(block, inputs[2], _WIDTHS[2], 2, blocks[2])
        self.layer4 = _stage(block, inputs[3], _WIDTHS[3], 2, blocks[3])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(inputs[4], num_classes)
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.normalize(x)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: torch.Tensor = self.linear(self.flatten(self.pool(x)))
        return logits


def _stage(
    block: type[ProjectedBlock] | type[Bottleneck], inputs: int, width: int, stride: int, blocks: int
) -> nn.Sequential:
    rest = (block(width * block.expansion, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(block(inputs, width, stride), *rest)
