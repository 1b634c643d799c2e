"""A small U-Net: which digit each pixel belongs to, on clutter, from training to the simulated engine.

    python examples/segmentation/segmenter.py [FOLDER] [EPOCHS]

Maps are halved three times, doubled again by transposed convolutions, and joined on the way.
FOLDER/found.html shows what the simulated engine found. A training that was interrupted goes on. `unet` of
the zoo is larger and takes the same pictures:

    bitlathe train --network unet --out build/unet
"""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.nn import functional

import bitlathe
from bitlathe.model.zoo.unet import UNet

CLASSES = 11  # background, and ten digits


def make_network() -> nn.Module:
    """A U-Net of four sizes of map, with weights from one seed: an interrupted training goes on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet(num_classes=CLASSES, in_channels=1, widths=(8, 16, 32, 64))


def balanced(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy in which the background, of which there is most, weighs less."""
    weight = torch.ones(CLASSES)
    weight[0] = 0.2
    return functional.cross_entropy(outputs, labels, weight)


def main(folder: str = "build/segmentation", epochs: int = 12) -> None:
    """Train, quantize, simulate, and draw what was found."""
    trained = bitlathe.compress(
        bitlathe.load_network(make_network(), "digit_masks", loss=balanced, metric="miou"),
        f"train:epochs={epochs}",
        f"{folder}/trained",
        lr=0.05,
        batch_size=32,
        held_out=200,
        resume=True,
    )
    print(trained)
    result = bitlathe.simulate(trained.integer_network, images=4)
    print(result)
    result.check()
    result.pictures.save(f"{folder}/found.html")


if __name__ == "__main__":
    main(*sys.argv[1:2], *(int(epochs) for epochs in sys.argv[2:3]))
