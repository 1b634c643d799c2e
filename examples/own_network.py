"""A network of your own, for `--network examples/own_network.py:make_network --dataset digits`.

Plain torch.nn modules are all that is needed; what has no exact integer form is refused by name.
"""

from __future__ import annotations

import torch
from torch import nn


class SmallResidual(nn.Module):
    """Two convolutions, one of them around a shortcut, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classify = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10) of images (N, 1, H, W), x = (pixel - 128) / 128."""
        x = self.first(x)
        x = self.relu(self.second(x) + x)
        logits: torch.Tensor = self.classify(self.flatten(self.pool(x)))
        return logits


def make_network() -> nn.Module:
    """The network with random weights; `--weights` loads a state dict."""
    return SmallResidual()
