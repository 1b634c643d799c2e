"""A network and pictures of your own, from a plain PyTorch loop to a folder for a board.

    python examples/own_network.py [FOLDER]

`make_network` is also what `--network examples/own_network.py:make_network --dataset digits` names. Plain
torch.nn modules are all that is needed; what has no exact integer form is refused by name.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn

import bitlathe


class SmallResidual(nn.Module):
    """Two convolutions, one of them around a shortcut, and a dense layer."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classify = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of images (N, channels, H, W)."""
        x = self.first(x)
        x = self.relu(self.second(x) + x)
        logits: torch.Tensor = self.classify(self.flatten(self.pool(x)))
        return logits


def make_network(channels: int = 1, classes: int = 10) -> nn.Module:
    """The network with random weights; `--weights` loads a state dict."""
    return SmallResidual(channels, classes)


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bytes (count, 12, 16, 3) of noise with a line across, one down, or both, and which it is."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 100, (count, 12, 16, 3), dtype=np.uint8)
    labels = rng.integers(0, 3, count)
    for image, label in zip(images, labels, strict=True):
        if label != 1:
            image[rng.integers(1, 11)] = 200
        if label != 0:
            image[:, rng.integers(1, 15)] = 200
    return images, labels


def trained(images: np.ndarray, labels: np.ndarray) -> nn.Module:
    """The network after a few seconds of training on pixel / 255."""
    torch.manual_seed(0)
    model = make_network(channels=3, classes=3)
    x, y = torch.from_numpy(images).permute(0, 3, 1, 2) / 255, torch.from_numpy(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(6):
        for part in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
    return model


def main(folder: str = "build/own_network") -> None:
    """Train, compress, simulate, and fill a folder that runs on the simulated board."""
    train, test = pictures(800, seed=1), pictures(200, seed=2)
    network = bitlathe.load_network(trained(*train), (*train, *test), normalization="range=0..1")
    print(bitlathe.quantize(network).accuracy)

    smaller = bitlathe.compress(network, ["prune:share=0.25,scope=all", "quantize:weights=4"], held_out=100)
    print(smaller)

    program = bitlathe.compile(smaller.integer_network, target="pynq-z2")
    result = bitlathe.simulate(program, images=10)
    print(result)
    result.check()

    deployment = bitlathe.deploy(
        program, folder, overlay="simulated"
    )  # of a real board: the overlay's folder
    print(*deployment.commands("xilinx@BOARD"), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
