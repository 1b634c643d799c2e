"""Caffe's LeNet-5, which the literature on compressing networks measures.

Source: BVLC Caffe, examples/mnist/lenet.prototxt (431,080 parameters on 1x28x28). That file has no ReLU
after its convolutions; here each has one, so that every layer's output is unsigned.
"""

from __future__ import annotations

import torch
from torch import nn

from bitlathe.model.graph.errors import ShapeError
from bitlathe.model.zoo.layers import Normalize

_MIN_SIZE = 16  # 5x5, halved, 5x5, halved: leaves one pixel


class CaffeLeNet5(nn.Module):
    """Two 5x5 convolutions of 20 and 50 channels with pooling, dense layers of 500 and `num_classes`.

    Raises ShapeError for images below 16x16.
    """

    def __init__(
        self, *, num_classes: int, in_channels: int, input_size: int, normalize: Normalize | None = None
    ) -> None:
        super().__init__()
        if input_size < _MIN_SIZE:
            raise ShapeError(
                f"lenet5-caffe: image size {input_size} is too small; use {_MIN_SIZE} or more, or lenet5"
            )
        side = ((input_size - 4) // 2 - 4) // 2
        self.normalize = normalize if normalize is not None else nn.Identity()
        self.conv1 = nn.Conv2d(in_channels, 20, 5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(50 * side * side, 500)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(500, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes) of images (N, in_channels, size, size)."""
        x = self.pool1(self.relu1(self.conv1(self.normalize(x))))
        x = self.pool2(self.relu2(self.conv2(x)))
        logits: torch.Tensor = self.fc2(self.relu3(self.fc1(self.flatten(x))))
        return logits
