"""A small detector of one stage: digits of varied size on clutter, from training to the simulated engine.

    python examples/detection/detector.py [FOLDER] [EPOCHS]

The network gives a box and a score of each digit for every cell of 8 x 8 pixels; boxes are decoded, and the
surest of those that overlap are kept, on the host. What is in FOLDER already is not done again. The command
line takes the same functions by name:

    HERE=examples/detection/detector.py
    bitlathe simulate --network $HERE:make_network --dataset digit_boxes --metric $HERE:mean_precision \
        --weights FOLDER/trained/weights.pt --images 4
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import bitlathe
from bitlathe.board.average_precision import mean_average_precision
from bitlathe.board.boxes import Detections, cell_boxes, detections, logistic

CLASSES, CELL, SIDE = 10, 8, 28.0  # pixels of a cell, and of a usual digit
LEAST_SCORE = 0.05  # of boxes that count; the surer ones weigh more

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


def found(outputs: tuple[np.ndarray, ...]) -> list[Detections]:
    """The digits of each picture."""
    boxes = cell_boxes(outputs[0], CELL, SIDE)
    scores = logistic(outputs[1]).reshape(len(boxes), CLASSES, -1).transpose(0, 2, 1)
    return [detections(mine, sure, least_score=LEAST_SCORE) for mine, sure in zip(boxes, scores, strict=True)]


def mean_precision(outputs: tuple[np.ndarray, ...], labels: np.ndarray) -> float:
    """Mean average precision at an overlap of a half."""
    return mean_average_precision(found(outputs), labels)


def main(folder: str = "build/detection", epochs: int = 12) -> None:
    """Train, quantize, and simulate."""
    network = bitlathe.load_network(make_network(), "digit_boxes", loss=detection_loss, metric=mean_precision)
    trained = bitlathe.compress(
        network,
        f"train:epochs={epochs}",
        f"{folder}/trained",
        lr=0.05,
        batch_size=32,
        held_out=200,
        resume=True,
    )
    print(trained)
    result = bitlathe.simulate(trained.integer_network, images=2)
    print(result)
    result.check()


if __name__ == "__main__":
    main(*sys.argv[1:2], *(int(epochs) for epochs in sys.argv[2:3]))
