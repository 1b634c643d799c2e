"""LeNet-5 with ReLU and max pooling.

Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.
The feature extractor depends on the image: 32x32 as published, 28x28 with a border of 2, and
a variant for 8x8 whose convolutions keep the size.
"""

from __future__ import annotations

import torch
from torch import nn

from bitlathe.model.graph.errors import ShapeError
from bitlathe.model.zoo.layers import Normalize

# image size -> (kernel and padding of conv1, kernel and padding of conv2, side of the last map)
_GEOMETRY = {8: (5, 2, 3, 1, 2), 28: (5, 2, 5, 0, 5), 32: (5, 0, 5, 0, 5)}


class LeNet5(nn.Module):
    """Two convolutions with pooling and three dense layers.

    Raises ShapeError for an image size other than 8, 28 or 32.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int, input_size: int, normalize: Normalize | None = None
    ) -> None:
        super().__init__()
        if input_size not in _GEOMETRY:
            raise ShapeError(
                f"lenet5: image size {input_size} is not supported; scale images to one of {list(_GEOMETRY)}"
            )
        kernel1, padding1, kernel2, padding2, side = _GEOMETRY[input_size]
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.conv1 = nn.Conv2d(in_channels, 6, kernel1, padding=padding1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, kernel2, padding=padding2)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, size, size)."""
        x = self.pool1(self.relu1(self.conv1(self.normalize(x))))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.relu3(self.fc1(self.flatten(x)))
        logits: torch.Tensor = self.fc3(self.relu4(self.fc2(x)))
        return logits
