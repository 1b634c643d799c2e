"""Tasks that are not classification: a map of classes of each picture, by a loss and a metric of your own.

    python examples/other_tasks.py [FOLDER]

The command line takes the same functions by name:

    HERE=examples/other_tasks.py
    bitlathe train --network $HERE:make_network --dataset $HERE:pictures --loss $HERE:balanced \
        --epochs 8 --lr 0.1 --batch-size 32 --out build/shapes
    bitlathe simulate --network $HERE:make_network --dataset $HERE:pictures \
        --weights build/shapes/weights.pt --metric $HERE:missed
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn

import bitlathe

KINDS = 3  # background, and what is bright in the second and in the third channel


def make_network() -> nn.Module:
    """Maps (N, 3, H, W) of images (N, 3, H, W): logits of each pixel."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, KINDS, 1),
    )


def pictures() -> tuple[np.ndarray, ...]:
    """Bytes (N, 10, 12, 3) of noise with two bright squares, and maps (N, 10, 12) of what each pixel is.

    The borders of the maps are 255: they count neither in training nor in a score.
    """
    rng = np.random.default_rng(1)
    images = rng.integers(0, 100, (400, 10, 12, 3), dtype=np.uint8)
    maps = np.zeros(images.shape[:3], np.uint8)
    for image, kinds in zip(images, maps, strict=True):
        for kind in range(1, KINDS):
            row, column = rng.integers(0, 7), rng.integers(0, 9)
            image[row : row + 3, column : column + 3, kind] = 220
            kinds[row : row + 3, column : column + 3] = kind
    maps[:, [0, -1]] = maps[:, :, [0, -1]] = 255
    return images[:320], maps[:320], images[320:], maps[320:]


def balanced(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy in which the rare squares weigh more than the background."""
    weight = torch.tensor([0.5, 1.0, 1.0])
    return nn.functional.cross_entropy(outputs, labels, weight, ignore_index=255)


def missed(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Share of the squares' pixels that are taken for something else."""
    squares = (labels > 0) & (labels != 255)
    return float((outputs.argmax(axis=1) != labels)[squares].mean())


missed.lower_is_better = True  # type: ignore[attr-defined]  # else greater is better


def main(folder: str = "build/other_tasks") -> None:
    """Train, compress, search, and simulate."""
    data = bitlathe.load_dataset(pictures(), name="shapes")
    network = bitlathe.load_network(make_network(), data, loss=balanced, metric=missed)
    settings = {"held_out": 64, "batch_size": 32, "lr": 0.1}
    trained = bitlathe.compress(network, "train:epochs=4", f"{folder}/trained", **settings)
    print(trained)

    smaller = bitlathe.search(
        network,
        f"{folder}/search",
        methods=[bitlathe.PruneParameters(channels=4, share=0.3), bitlathe.QuantizeParameters(bits=(4, 8))],
        epochs=4,
        rule="feasible",
        rule_parameters={"floor": 0.1, "cost": "cycles"},  # misses at most a tenth
        rungs=["cycle-model"],
        **settings,
    )
    print(smaller)

    again = bitlathe.load_quantized(smaller.network, data, metric="miou")
    result = bitlathe.simulate(bitlathe.compile(again, target="pynq-z2"), images=3)
    print(result)
    result.check()


if __name__ == "__main__":
    main(*sys.argv[1:])
