"""AlexNet for 32x32 images.

Sources: Krizhevsky, Sutskever, Hinton 2012, "ImageNet classification with deep convolutional neural
networks"; the CIFAR geometry (2x2 pools, one dense layer) is that of bearpaw/pytorch-classification,
models/cifar/alexnet.py.
"""

from __future__ import annotations

import torch
from torch import nn

from bitlathe.model.graph.errors import ShapeError
from bitlathe.model.zoo.layers import Normalize

_SHRINKING = 32  # the stem strides by 4, three pools halve


class AlexNet(nn.Module):
    """An 11x11 stem, four convolutions, three pools and a dense layer.

    Raises ShapeError for images other than 32x32.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int, input_size: int, normalize: Normalize | None = None
    ) -> None:
        super().__init__()
        if input_size != _SHRINKING:
            raise ShapeError(f"alexnet: image size {input_size} is not supported; scale images to 32")
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(256, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, 32, 32)."""
        logits: torch.Tensor = self.classifier(self.flatten(self.features(self.normalize(x))))
        return logits
