"""VGG-16 with batch norm for 32x32 images.

Sources: Simonyan and Zisserman 2014, arXiv:1409.1556, configuration D; Li et al. 2016,
arXiv:1608.08710, section 4.1, for CIFAR-10: batch norm, and one hidden dense layer of 512.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from bitlathe.model.graph.errors import ShapeError
from bitlathe.model.zoo.layers import ConvNormReLU, Normalize, initialize

_STAGES = (2 * (64,), 2 * (128,), 3 * (256,), 3 * (512,), 3 * (512,))  # a pool after each halves the map
_HIDDEN = 512
_SHRINKING = 2 ** len(_STAGES)


class Vgg16(nn.Module):
    """Thirteen 3x3 convolutions with batch norm in five stages, and two dense layers.

    Raises ShapeError for images that five pools cannot halve.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int, input_size: int, normalize: Normalize | None = None
    ) -> None:
        super().__init__()
        if input_size % _SHRINKING or input_size == 0:
            raise ShapeError(f"vgg16: image size {input_size} is not a multiple of {_SHRINKING}")
        side = input_size // _SHRINKING
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.features = nn.Sequential(*_features(in_channels))
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(_STAGES[-1][-1] * side * side, _HIDDEN)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(_HIDDEN, num_classes)
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, size, size)."""
        x = self.flatten(self.features(self.normalize(x)))
        logits: torch.Tensor = self.fc2(self.relu(self.fc1(x)))
        return logits


def _features(inputs: int) -> Iterator[nn.Module]:
    for stage in _STAGES:
        for outputs in stage:
            yield ConvNormReLU(inputs, outputs, 3)
            inputs = outputs
        yield nn.MaxPool2d(2)
