"""Formats by the outputs' error bring the outputs closer, on the calibration images, and repeat."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bitlathe.model.data import to_input
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.files.archive import graph_digest
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import QuantizedNetwork, quantize


def network(seed: int) -> nn.Module:
    """Its first layer's largest channel is one that nothing reads: its tensor's error is not the outputs'."""
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU()
    with torch.no_grad():
        layers[0].weight[0] *= 8
        layers[2].weight[:, 0] = 0
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 9, 5)).eval()


def error(model: nn.Module, made: QuantizedNetwork, images: Images) -> float:
    """Mean squared error of the outputs without its mean."""
    with torch.no_grad():
        difference = made.module()(to_input(images)).double() - model(to_input(images)).double()
    return float((difference - difference.mean(0)).square().mean())


@pytest.fixture
def images(rng: np.random.Generator) -> Images:
    return rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def test_formats_by_the_outputs_error_bring_the_outputs_closer(images: Images) -> None:
    shares = []
    for seed in range(3):
        model = network(seed)
        configs = [QuantizeConfig(weight_bits=4, activation_bits=4, search_formats=s) for s in (False, True)]
        plain, searched = (error(model, quantize(model, images, config), images) for config in configs)
        shares.append(searched / plain)
    assert max(shares) < 0.8


def test_equal_images_give_equal_formats_and_the_images_keep_theirs(images: Images) -> None:
    config = QuantizeConfig(weight_bits=4, activation_bits=4, search_formats=True)
    first, again = (quantize(network(0), images, config) for _ in range(2))
    assert graph_digest(first.graph) == graph_digest(again.graph)
    assert first.graph.input.format == quantize(network(0), images).graph.input.format


def test_where_nothing_is_lost_nothing_moves(images: Images) -> None:
    # weights and images that codes hold exactly, and room for every sum
    model = network(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.sign(parameter) / 4)
    made = [
        quantize(model, images, QuantizeConfig(activation_bits=16, search_formats=s)) for s in (False, True)
    ]
    assert graph_digest(made[0].graph) == graph_digest(made[1].graph)


class Twins(nn.Module):
    """The same network's outputs twice, once a thousand times as large."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = network(0), network(1)
        with torch.no_grad():
            self.other[-1].weight *= 1000
            self.other[-1].bias *= 1000

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.one(x), self.other(x)


def test_several_outputs_come_closer_each_whatever_its_scale(images: Images) -> None:
    model = Twins().eval()
    errors = []
    for search in (False, True):
        config = QuantizeConfig(weight_bits=4, activation_bits=4, search_formats=search)
        made = quantize(model, images, config).module()(to_input(images))
        with torch.no_grad():
            differences = [ours - wanted for ours, wanted in zip(made, model(to_input(images)), strict=True)]
        errors.append([float((each - each.mean(0)).square().mean()) for each in differences])
    assert all(searched < 0.8 * plain for plain, searched in zip(*errors, strict=True))


def test_logits_of_a_classifier_get_the_step_that_tells_classes_apart(rng: np.random.Generator) -> None:
    # a bright image has logits that the others are far below, and the least squared error is for it
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 6)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.from_numpy(rng.integers(-40, 41, (6, 16)).astype(np.float32)))
        model[1].bias.zero_()
    images = rng.integers(120, 136, (200, 4, 4, 1), dtype=np.uint8)
    images[:20] = rng.integers(0, 256, (20, 4, 4, 1))
    with torch.no_grad():
        wanted = model(to_input(images)).argmax(1)
    same = {}
    for classifies in (False, True):
        made = quantize(model, images, classifies=classifies)
        with torch.no_grad():
            same[classifies] = float((made.module()(to_input(images)).argmax(1) == wanted).float().mean())
    assert same[True] > same[False] + 0.02


def test_maps_keep_the_format_of_their_error(images: Images) -> None:
    maps = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    first, again = (quantize(maps, images, classifies=classifies) for classifies in (False, True))
    assert graph_digest(first.graph) == graph_digest(again.graph)
