"""A small network of several outputs, as a module and as what it is quantized to."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10


class TwoHeads(nn.Module):
    """Classes, a map, and the features that both read, for images of `channels` channels."""

    def __init__(self, channels: int = 1, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.body = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.mask = nn.Conv2d(2 * width, 3, 1)
        self.fc = nn.Linear(2 * width, CLASSES)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classes (N, 10), a map (N, 3, H / 2, W / 2), features (N, 2 * width, H / 2, W / 2)."""
        x = functional.relu(self.norm(self.stem(x)))
        features = functional.relu(self.body(x))
        return self.fc(features.mean((2, 3))), self.mask(features), features

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        classes, mask, features = self.heads(x)
        return {"classes": classes, "mask": mask, "features": features}


def two_heads(channels: int = 1, width: int = 8) -> TwoHeads:
    """The network with seeded weights, the batch norm's included."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TwoHeads(channels, width)
        nn.init.uniform_(model.norm.weight, 0.5, 1.5)
        nn.init.uniform_(model.norm.bias, -0.2, 0.2)
        model.norm.running_var.uniform_(0.5, 2)
    return model.eval()
