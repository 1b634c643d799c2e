"""Networks that reduce channels, stack branches, join maps side by side, interpolate by any whole factor."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import bitlathe


class Attentive(nn.Module):
    """Attention to places, branches averaged, maps side by side, a dilated transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.places = nn.Conv2d(2, 1, 3, padding=1)
        self.rise = nn.ConvTranspose2d(8, 4, 2, 2, dilation=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.first(x))
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        y = F.relu(self.second(x * torch.sigmoid(self.places(seen))))
        z = torch.stack([x, y], 1).mean(1)
        return self.rise(torch.cat([y, z], 3)), F.interpolate(z, scale_factor=3, mode="bilinear")


def test_every_integer_of_the_simulated_hardware_is_the_references(rng: np.random.Generator) -> None:
    images = rng.integers(256, size=(24, 12, 10, 3), dtype=np.uint8)
    dataset = bitlathe.load_dataset((images, np.zeros((24, 1), np.float32)), name="noise")
    network = bitlathe.load_network(Attentive(), dataset)
    result = bitlathe.simulate(bitlathe.quantize(network), images=2)
    result.check()
    assert [output.shape for output in result.outputs] == [(4, 13, 21), (8, 18, 15)]
