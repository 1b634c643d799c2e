"""Networks as people write them in files of their own, one a function: `file_of` puts them into one."""

from __future__ import annotations

from pathlib import Path

NETWORKS = '''
import torch
from torch import nn
from torch.nn import functional as F


class Tutorial(nn.Module):
    """As PyTorch's own tutorial flattens a map of several channels."""

    def __init__(self, channels=1, extent=2):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(8 * extent**2, 24), nn.Linear(24, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc2(F.relu(self.fc1(x)))


class Colour(Tutorial):
    def __init__(self):
        super().__init__(3, 4)


class Pixels(nn.Sequential):
    """Batch norm over maps of one pixel."""

    def __init__(self, outputs=10, channels=1):
        super().__init__(
            nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, outputs),
        )


class Returning(Pixels):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return self.shape(super().forward(x))


def tutorial(): return Tutorial()
def colour(): return Colour()
def colour_in_a_row(): return nn.Sequential(nn.Flatten(), nn.Linear(768, 10))
def pixels(): return Pixels()
def dictionary(): return Returning(lambda y: {"logits": y})
def tuple_of_one(): return Returning(lambda y: (y,))
def double(): return Pixels().double()
def half(): return Pixels().half()
def map_of_one_pixel(): return Returning(lambda y: y.view(-1, 10, 1, 1))
def squeezed(): return nn.Sequential(nn.Conv2d(1, 10, 8), Squeeze())
def one(): return Pixels(1)
def twelve(): return Pixels(12)
def a_map(): return nn.Conv2d(1, 10, 3, padding=1)
def nothing(): return nn.Flatten()
def no_weights(): return NoWeights()
def frozen(): return Pixels().requires_grad_(False)
def in_colour(): return Pixels(channels=3)
module = Pixels()


class Squeeze(nn.Module):
    def forward(self, x): return x.squeeze()


class NoWeights(nn.Module):
    def forward(self, x): return F.pad(x, (0, 0, 0, 0, 0, 9)).mean((2, 3))

'''


def file_of(folder: Path) -> Path:
    """The file of all networks, in a folder."""
    path = folder / "networks.py"
    path.write_text(NETWORKS)
    return path
