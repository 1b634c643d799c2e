"""ResNeXt-29 for 32x32 images: bottlenecks whose 3x3 convolutions have groups.

Source: Xie et al. 2017, arXiv:1611.05431, section 5.2: a 3x3 stem of 64 channels, three stages of three
blocks with 256, 512 and 1024 output channels.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from bitlathe.model.zoo.deep_resnet import Bottleneck
from bitlathe.model.zoo.layers import Classifier, ConvNormReLU, Normalize

_STEM = 64
_OUTPUTS = (256, 512, 1024)
_BLOCKS = 3


def resnext29(
    *, groups: int, width: int, num_classes: int, in_channels: int, normalize: Normalize | None = None
) -> Classifier:
    """ResNeXt-29 of `groups` x `width`d: 8 x 64 is the published one, 32 x 4 a small one."""
    inputs, stages = _STEM, OrderedDict[str, nn.Module](stem=ConvNormReLU(in_channels, _STEM, 3))
    for stage, outputs in enumerate(_OUTPUTS):
        blocks = []
        for block in range(_BLOCKS):
            stride = 2 if stage and block == 0 else 1
            blocks.append(Bottleneck(inputs, groups * width * 2**stage, stride, groups, outputs))
            inputs = outputs
        stages[f"layer{stage + 1}"] = nn.Sequential(*blocks)
    return Classifier(nn.Sequential(stages), nn.Linear(inputs, num_classes), normalize)
