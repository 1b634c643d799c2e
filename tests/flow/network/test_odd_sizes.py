"""Networks that bring maps of odd sizes together run as the reference says, integer for integer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captured_modules import captured_alike
from compiled_networks import ROOMY, are_equal, compiled_for, computed_outputs
from exact_modules import Forward
from torch import Tensor, nn
from torch.nn import functional as F

from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize

SHAPE = (3, 13, 15)


class Unet(nn.Module):
    """One level, whose two maps differ by a row and a column."""

    def __init__(self, way: str, up: str) -> None:
        super().__init__()
        self.way = way
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.MaxPool2d(2, ceil_mode=way == "crop the deeper")
        self.deep = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.up = (
            nn.ConvTranspose2d(4, 4, 2, 2) if up == "transposed" else nn.Upsample(scale_factor=2, mode=up)
        )
        self.joined = nn.Conv2d(4 if way == "add" else 8, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.first(x)
        deeper = self.up(self.deep(self.pool(skip)))
        down, right = (skip.shape[axis] - deeper.shape[axis] for axis in (2, 3))
        if self.way == "crop the deeper":
            deeper = deeper[:, :, : skip.shape[2], : skip.shape[3]]
        elif self.way == "pad the deeper":
            deeper = F.pad(deeper, [right // 2, right - right // 2, down // 2, down - down // 2])
        else:
            skip = skip[:, :, down:, right:]
        return self.joined(F.relu(skip + deeper) if self.way == "add" else torch.cat([skip, deeper], 1))


def check_bit_exact(module: nn.Module, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    network = captured_alike(module, shape)
    images = rng.integers(0, 256, (4, *shape[1:], shape[0]), dtype=np.uint8)
    graph = quantize(network, images, QuantizeConfig(calibration_images=4)).graph
    codes = np.concatenate([random_inputs(rng, graph, 1), corner_inputs(graph)])
    compiled = compiled_for(graph, ROOMY[0])
    assert are_equal(computed_outputs(compiled, codes), evaluate_outputs(graph, codes))


@pytest.mark.parametrize("up", ["nearest", "bilinear", "transposed"])
@pytest.mark.parametrize("way", ["crop the deeper", "pad the deeper", "crop the skip", "add"])
def test_a_unet_of_odd_sizes_runs_bit_exactly(way: str, up: str, rng: np.random.Generator) -> None:
    check_bit_exact(Unet(way, up), SHAPE, rng)


def test_chains_of_moves_run_bit_exactly_before_a_layer_and_as_the_output(rng: np.random.Generator) -> None:
    for move in (
        lambda x: F.pixel_shuffle(x, 2)[:, :, 1:, :-1],
        lambda x: F.interpolate(F.pixel_unshuffle(x, 2), scale_factor=2),
        lambda x: torch.cat([F.pad(x[:, :2, 1:], (0, 0, 0, 1)), F.pad(x[:, 2:, :-1], (0, 0, 1, 0))], 1),
    ):
        channels = move(torch.zeros(2, 4, 6, 8)).shape[1]
        layers = {"a": nn.Conv2d(4, 4, 3, padding=1), "b": nn.Conv2d(channels, 3, 3)}
        read = Forward(lambda m, x, move=move: m.b(move(F.relu(m.a(x)))), **layers)
        check_bit_exact(read, (4, 6, 8), rng)
        check_bit_exact(Forward(lambda m, x, move=move: move(F.relu(m.a(x))), **layers), (4, 6, 8), rng)
