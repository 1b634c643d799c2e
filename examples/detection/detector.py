"""A small detector of one stage: digits of varied size on clutter, from training to the simulated engine.

    python examples/detection/detector.py                    # the trained network that is kept: a minute
    python examples/detection/detector.py FOLDER EPOCHS      # trains one, minutes; 12 epochs were taken

The network gives a box and a score of each digit for every cell of 8 x 8 pixels; boxes are decoded, and the
surest of those that overlap are kept, on the host. FOLDER/found.html shows what the simulated engine found. A
training that was interrupted goes on. The command line takes the same functions by name:

    HERE=examples/detection/detector.py
    bitlathe simulate benchmarks/networks/digit-detector.blgc --dataset digit_boxes \
        --metric $HERE:mean_precision --images 4 --pictures found.html
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import bitlathe

KEPT = Path(__file__).parents[2] / "benchmarks" / "networks" / "digit-detector.blgc"
CLASSES, CELL, SIDE = 10, 8, 28.0  # pixels of a cell, and of a usual digit
LEAST_SCORE = 0.05  # of boxes that count; the surer ones weigh more
LIKELY = 0.4  # score of boxes that are drawn

Maps = tuple[torch.Tensor, torch.Tensor]  # (N, 4, H / 8, W / 8) and (N, CLASSES, H / 8, W / 8)


class Detector(nn.Module):
    """Convolutions down to an eighth of the sides, then a head for boxes and one for classes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(_step(1, 16, 2), _step(16, 32, 2), _step(32, 32, 1), _step(32, 64, 2)),
            *(_step(64, 64, 1), _step(64, 64, 1)),
        )
        self.boxes = nn.Conv2d(64, 4, 1)
        self.classes = nn.Sequential(_step(64, 64, 1), nn.Conv2d(64, CLASSES, 1))
        nn.init.constant_(self.classes[-1].bias, -4.0)  # few cells have a digit

    def forward(self, x: torch.Tensor) -> Maps:
        """Boxes as `cell_boxes` takes them, and the logits of classes."""
        x = self.features(x)
        return self.boxes(x), self.classes(x)


def _step(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def make_network() -> nn.Module:
    """The detector with weights drawn from one seed, so that a training that was interrupted goes on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Detector()


def detection_loss(outputs: Maps, labels: torch.Tensor) -> torch.Tensor:
    """Focal cross entropy of classes (Lin et al. 2017) and the distance of boxes, per digit.

    A digit belongs to the cell of its centre. The cells around it learn the same box, and no class: either
    answer is right there, since one box of several that overlap is kept.
    """
    boxes, logits = outputs
    around, centres, wanted, classes = _cells_of(labels, boxes)
    target = functional.one_hot(classes, CLASSES).permute(0, 3, 1, 2).to(logits) * centres[:, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    weight = (target - logits.sigmoid()).abs() ** 2
    counts = (~around | centres)[:, None]
    classified = (entropy * weight * counts).sum()
    placed = ((boxes - wanted).abs() * around[:, None]).sum()
    digits = centres.sum().clamp(min=1)
    return classified / digits + placed / around.sum().clamp(min=1)


def _cells_of(
    labels: torch.Tensor, boxes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cells (N, H, W) near a digit and at its centre, boxes (N, 4, H, W) wanted there, classes (N, H, W)."""
    count, _, height, width = boxes.shape
    rows = torch.arange(height).view(1, -1, 1)
    columns = torch.arange(width).view(1, 1, -1)
    around = torch.zeros(count, height, width, dtype=torch.bool)
    centres, wanted = around.clone(), torch.zeros_like(boxes)
    classes = torch.zeros(count, height, width, dtype=torch.long)
    for digit in labels.unbind(1):
        kind, left, top, right, bottom = (each.view(-1, 1, 1) for each in digit.unbind(1))
        x, y = (left + right) / (2 * CELL), (top + bottom) / (2 * CELL)  # in cells
        there = (kind >= 0).expand(count, height, width)
        centre = there & (rows == y.floor()) & (columns == x.floor())
        near = there & ((rows - y.floor()).abs() <= 1) & ((columns - x.floor()).abs() <= 1)
        sides = (torch.log((side.clamp(min=1)) / SIDE) for side in (right - left, bottom - top))
        box = [x - columns - 0.5, y - rows - 0.5, *sides]
        box = torch.stack([each.expand(count, height, width) for each in box], dim=1)
        free = centre | (near & ~around)  # of two digits' cells the centre's digit counts
        wanted = torch.where(free[:, None], box, wanted)
        classes = torch.where(free, kind.long().expand_as(classes), classes)
        around, centres = around | near, centres | centre
    return around, centres, wanted, classes


def found(outputs: tuple[np.ndarray, ...], least_score: float = LEAST_SCORE) -> list[bitlathe.Detections]:
    """The digits of each picture."""
    boxes = bitlathe.cell_boxes(outputs[0], CELL, SIDE)
    scores = bitlathe.logistic(outputs[1]).reshape(len(boxes), CLASSES, -1).transpose(0, 2, 1)
    return [
        bitlathe.detections(mine, sure, least_score=least_score)
        for mine, sure in zip(boxes, scores, strict=True)
    ]


def mean_precision(outputs: tuple[np.ndarray, ...], labels: np.ndarray) -> float:
    """Mean average precision at an overlap of a half."""
    return bitlathe.mean_average_precision(found(outputs), labels)


def drawn(images: np.ndarray, outputs: tuple[np.ndarray, ...], labels: np.ndarray) -> list[str]:
    """The boxes of each picture that are likely, over it; broken those that are there."""
    likely = found(outputs, LIKELY)
    return [bitlathe.draw_boxes(*each) for each in zip(images, likely, labels, strict=True)]


mean_precision.draw = drawn


def main(folder: str = "build/detection", epochs: int | None = None) -> None:
    """Simulate the network that is kept, or one that is trained first."""
    if epochs is None:
        network = bitlathe.load_quantized(KEPT, "digit_boxes", metric=mean_precision)
    else:
        network = bitlathe.compress(
            bitlathe.load_network(make_network(), "digit_boxes", loss=detection_loss, metric=mean_precision),
            f"train:epochs={epochs}",
            f"{folder}/trained",
            lr=0.05,
            batch_size=32,
            held_out=200,
            resume=True,
        ).integer_network
    print(f"{network}: mean average precision {100 * network.score:.1f} %")
    result = bitlathe.simulate(network, images=8)
    print(result)
    result.check()
    result.pictures.save(f"{folder}/found.html")


if __name__ == "__main__":
    main(*sys.argv[1:2], *(int(epochs) for epochs in sys.argv[2:3]))
