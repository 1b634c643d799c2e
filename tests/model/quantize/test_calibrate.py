"""Formats are chosen by squared error, and it is told where the images do not settle the choice."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from bitlathe.model.capture.capture import capture
from bitlathe.model.quantize.calibrate import Calibration, calibrated
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.front import OFFSET_FORMAT

CONFIG = QuantizeConfig(activation_bits=4)


def copied(images: np.ndarray) -> Calibration:
    """Calibration of a network that rectifies its images (N, 1, H, W)."""
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU())
    nn.init.ones_(model[0].weight)
    network = capture(model.eval(), images.shape[1:])
    return calibrated(network, torch.from_numpy(images), CONFIG, {network.input.name: OFFSET_FORMAT})


def noise(rng: np.random.Generator, images: int) -> np.ndarray:
    return rng.uniform(0, 0.2, (images, 1, 8, 8)).astype(np.float32)


def test_a_rare_large_value_leaves_clipping_unsettled_until_it_is_seen_often(
    rng: np.random.Generator,
) -> None:
    images = noise(rng, 64)
    images[0, 0, 0, 0] = 0.75  # clipping it costs about what rounding all other images more coarsely would
    few = copied(images)
    ((tensor, needed),) = few.unsettled.items()
    assert tensor == "n0" and 64 < needed < 10_000
    many = copied(np.concatenate([images] * (needed // 64 + 1)))
    assert many.unsettled == {}
    assert many.formats == few.formats


def test_images_alike_settle_the_clipping(rng: np.random.Generator) -> None:
    assert copied(noise(rng, 64)).unsettled == {}


def test_hardly_any_images_settle_nothing_that_matters(rng: np.random.Generator) -> None:
    assert set(copied(noise(rng, 4)).unsettled.values()) == {16}


def test_a_choice_that_makes_no_difference_is_settled(rng: np.random.Generator) -> None:
    assert copied(np.zeros((4, 1, 8, 8), np.float32)).unsettled == {}
