"""Networks of the zoo as integer graphs, without training and without a data set."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from bitlathe.model.capture.capture import capture
from bitlathe.model.data import Images, to_input
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import QuantizedNetwork, quantize
from bitlathe.model.zoo import build, network_spec

CALIBRATION_PIXELS = 16 * 32 * 32  # of all images together; large images need fewer of them


def zoo_graph(name: str, input_size: int | None = None) -> tuple[Graph, IntArray]:
    """A network of seeded weights as an integer graph, and the input codes of two images."""
    spec = network_spec(name)
    size = spec.input_size if input_size is None else input_size
    made, images = _quantized(name, size)
    return made.graph, made.preprocess.codes(images[-2:])


@lru_cache(maxsize=1)
def _quantized(name: str, size: int) -> tuple[QuantizedNetwork, Images]:
    spec = network_spec(name)
    count = max(4, CALIBRATION_PIXELS // size**2)
    images = blotches(np.random.default_rng(0), count, size, spec.in_channels)
    model = settled(build(name, input_size=size), images)
    network = capture(model, (spec.in_channels, size, size), name=name)
    return quantize(network, images, QuantizeConfig(calibration_images=count)), images


def settled(model: nn.Module, images: Images) -> nn.Module:
    """The network in evaluation mode, with batch norm statistics of `images` as if it had been trained."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # one batch decides
    with torch.no_grad():
        model.train()(to_input(torch.from_numpy(images)))
    return model.eval()


def blotches(rng: np.random.Generator, count: int, size: int, channels: int) -> Images:
    """Byte images (count, size, size, channels) with structure of several sizes."""
    total = np.zeros((count, size, size, channels))
    for cells in (2, 4, size):
        repeat = -(-size // cells)
        octave = rng.standard_normal((count, cells, cells, channels)) / np.sqrt(cells)
        total += octave.repeat(repeat, axis=1).repeat(repeat, axis=2)[:, :size, :size]
    return np.clip(128 + 80 * total, 0, 255).astype(np.uint8)
