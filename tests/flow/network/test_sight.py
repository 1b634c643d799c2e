"""A trained network that recognises no more than a guess is told what it was probably trained to see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import bitlathe
from bitlathe.flow.compress.sensitivity import SensitivityOptions, measure_sensitivity
from bitlathe.model.data import Dataset

AS_A_GUESS = "recognises 34 % of 256 training images before quantization, a guess 34 %"


class Brightness(nn.Module):
    """Three classes by the mean of a picture, whose values are `scale` times a pixel of 0..255."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.levels = nn.Linear(1, 3)
        self.levels.weight.data = torch.tensor([[0.0], [1.0], [2.0]]) * 50 / (85 * scale)
        self.levels.bias.data = torch.tensor([0.0, -50.0, -150.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.levels(x.mean((2, 3)))


@pytest.fixture
def pictures(rng: np.random.Generator) -> Dataset:
    """Dark, grey and bright pictures, sorted by class as a folder's are."""
    labels = np.repeat(np.arange(3), 128)
    images = 85 * labels[:, None, None, None] + rng.integers(10, 75, (384, 8, 8, 1))
    return bitlathe.load_dataset((images.astype(np.uint8), labels) * 2, name="levels")


class BrightMaps(nn.Module):
    """The same, by four channels of which a pruner may take some."""

    def __init__(self) -> None:
        super().__init__()
        self.copies, self.levels = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 3, 1)
        self.copies.weight.data = torch.full((4, 1, 1, 1), 5.0)  # more than PyTorch ever draws
        self.copies.bias.data = torch.zeros(4)
        self.levels.weight.data = (
            torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1, 1).repeat(1, 4, 1, 1) * 50 / 1700
        )
        self.levels.bias.data = torch.tensor([0.0, -50.0, -150.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.levels(self.copies(x)).mean((2, 3))


def told(model: nn.Module, data: Dataset, normalization: str = "none") -> list[str]:
    events: list[str] = []
    network = bitlathe.load_network(model, data, normalization=normalization)
    bitlathe.quantize(network, progress=lambda event: events.append(str(event)))
    return [line for line in events if "a guess" in line]


@pytest.mark.parametrize(
    ("scale", "given", "fitting"), [(1.0, "none", "raw"), (1 / 255, "raw", "range=0..1")]
)
def test_the_normalization_that_gives_most_is_named(
    scale: float, given: str, fitting: str, pictures: Dataset
) -> None:
    (line,) = told(Brightness(scale), pictures, given)
    share, _, mend = line.partition(" before quantization, a guess 34 %: ")
    assert share in (f"Brightness on levels: recognises {n} % of 256 training images" for n in (33, 34))
    assert mend == (
        f"its weights were probably trained with another normalization; `normalization={fitting}` gives 100 %"
    )
    assert told(Brightness(scale), pictures, fitting) == []


def test_where_no_usual_normalization_gives_more_they_are_listed(pictures: Dataset) -> None:
    broken = Brightness(1.0)
    broken.levels.weight.data *= 0
    broken.levels.bias.data = torch.tensor([30.0, 0.0, 0.0])
    broken.levels.weight.data[1] = -2.0  # more than PyTorch ever draws: it was trained, on something else
    (line,) = told(broken, pictures)
    assert line.startswith(f"Brightness on levels: {AS_A_GUESS}: its weights were probably trained with")
    assert "give `normalization`, though none of range=0..1, range=-1..1, raw, mean=0." in line


@pytest.mark.parametrize(("given", "notes"), [("none", 1), ("raw", 0)])
def test_what_layers_are_worth_is_told_with_the_same_doubt(given: str, notes: int, pictures: Dataset) -> None:
    events: list[str] = []
    network = bitlathe.load_network(BrightMaps(), pictures, normalization=given)
    options = SensitivityOptions(shares=(0.5,), images=96)
    measure_sensitivity(network, options, lambda event: events.append(str(event)))
    assert sum("`normalization=raw` gives 100 %" in line for line in events) == notes


def test_of_random_weights_nothing_is_told(pictures: Dataset) -> None:
    torch.manual_seed(0)
    assert told(nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Linear(3, 3)), pictures) == []
    assert not any("guess" in line for line in told_of_the_zoo(pictures))


def told_of_the_zoo(pictures: Dataset) -> list[str]:
    """The notes about seeded random weights."""
    events: list[str] = []
    network = bitlathe.load_network("lenet5", pictures, progress=lambda event: events.append(str(event)))
    bitlathe.quantize(network, progress=lambda event: events.append(str(event)))
    return events
