"""SqueezeNet 1.1: 1x1 convolutions squeeze the channels before 1x1 and 3x3 ones widen them.

Source: Iandola et al. 2016, arXiv:1602.07360, and its release 1.1. Names of tensors are those of torchvision.
"""

from __future__ import annotations

import torch
from torch import nn

from bitlathe.model.zoo.layers import Normalize, initialize

_STEM = 64
# squeezed and widened channels (of each of two convolutions) of the fires; a pool is before each row
_FIRES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
_LAST = 512


class Fire(nn.Module):
    """A 1x1 convolution, and a 1x1 and a 3x3 one of what it makes, joined."""

    def __init__(self, in_channels: int, squeezed: int, widened: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeezed, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeezed, widened, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeezed, widened, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, in, H, W) to (N, 2 * widened, H, W)."""
        x = self.squeeze_activation(self.squeeze(x))
        ones = self.expand1x1_activation(self.expand1x1(x))
        return torch.cat([ones, self.expand3x3_activation(self.expand3x3(x))], dim=1)


class SqueezeNet(nn.Module):
    """Stem, eight fires with three pools between them, a 1x1 convolution to the classes, average pool.

    The stem has a stride of 2, for 32x32 images of 1.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int, halves_first: bool, normalize: Normalize | None = None
    ) -> None:
        super().__init__()
        self.normalize = normalize if normalize is not None else nn.Identity()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, _STEM, 3, 1 + halves_first), nn.ReLU()]
        inputs = _STEM
        for row in _FIRES:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            for squeezed, widened in row:
                layers.append(Fire(inputs, squeezed, widened))
                inputs = 2 * widened
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(_LAST, num_classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        self.flatten = nn.Flatten()
        self.apply(initialize)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (N, num_classes), none negative, of images (N, in_channels, H, W)."""
        scores: torch.Tensor = self.flatten(self.classifier(self.features(self.normalize(x))))
        return scores
