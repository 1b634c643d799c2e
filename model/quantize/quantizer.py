"""Post-training quantization of a PyTorch module, with some images, to an integer network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_network import FloatNetwork
from bitlathe.model.data import to_input
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import DataError, ShapeError
from bitlathe.model.graph.graph import Graph
from bitlathe.model.quantize.calibrate import Formats, activation_formats
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.correct_bias import correct_bias
from bitlathe.model.quantize.exact_network import ExactNetwork
from bitlathe.model.quantize.front import place_front
from bitlathe.model.quantize.groups import format_groups
from bitlathe.model.quantize.legalize import legal_activations, legal_weights
from bitlathe.model.quantize.lower import lower
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.model.quantize.weight_formats import WeightFormats, weight_formats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantizedNetwork:
    """An integer network and what it came from."""

    graph: Graph
    preprocess: Preprocess  # from byte images to the graph's input codes
    network: FloatNetwork  # has the real weights behind the graph's
    config: QuantizeConfig

    def module(self) -> ExactNetwork:
        """The integers as a PyTorch module, a drop-in replacement for the float model in inference."""
        return ExactNetwork(self.graph, self.preprocess)


def quantize(
    model: nn.Module | FloatNetwork, calibration_images: Images, config: QuantizeConfig | None = None
) -> QuantizedNetwork:
    """Quantize a trained model with power-of-two scales; it is not trained further.

    `calibration_images` are byte images (N, H, W, C), of the training split. Errors: those of `capture`;
    FormatError for settings of an unknown layer; ShapeError and DataError for unfit images; OverflowRisk
    if no binary point keeps an accumulator within int32.
    """
    config = QuantizeConfig() if config is None else config
    config.check_integer()
    images = usable_images(calibration_images, config)
    network = model if isinstance(model, FloatNetwork) else capture(model, image_shape(images))
    if network.input.shape != image_shape(images):
        raise ShapeError(
            f"{network.name}: calibration images are {image_shape(images)}, the network takes "
            f"{network.input.shape}; give images of that size"
        )
    config.check_layers(network.by_name)
    return _quantize(network, images, config)


def _quantize(network: FloatNetwork, images: Images, config: QuantizeConfig) -> QuantizedNetwork:
    placed = place_front(network, images, config.input_mode)
    inputs = network_inputs(images)
    formats, weights = _formats(placed.network, inputs, config, {network.input.name: placed.format})
    graph, real = _lowered(placed.network, formats, weights), placed.network
    if config.correct_bias:
        real = correct_bias(real, ExactNetwork(graph, placed.preprocess), inputs)
        graph = _lowered(real, formats, weights)
    return QuantizedNetwork(graph=graph, preprocess=placed.preprocess, network=real, config=config)


def _lowered(network: FloatNetwork, formats: Formats, weights: WeightFormats) -> Graph:
    return lower(network, formats, legal_weights(network, formats, weights))


def _formats(
    network: FloatNetwork, inputs: Tensor, config: QuantizeConfig, fixed: Formats
) -> tuple[Formats, WeightFormats]:
    weights = weight_formats(network, config)
    groups = format_groups(network, config)
    wanted = activation_formats(network, inputs, config, fixed)
    return legal_activations(network, wanted, weights, groups, fixed), weights


def network_inputs(images: Images) -> Tensor:
    """Byte images (N, H, W, C) as the float model takes them: (N, C, H, W), x = (pixel - 128) / 128."""
    return to_input(images)


def usable_images(images: Images, config: QuantizeConfig) -> Images:
    """The first calibration images, checked; ShapeError and DataError for unfit ones."""
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ShapeError(
            f"quantize: calibration images are {images.dtype} {images.shape}; give uint8 (N, H, W, C)"
        )
    if not len(images):
        raise DataError("quantize: no calibration image; give a few hundred of the training split")
    return images[: config.calibration_images]


def image_shape(images: Images) -> tuple[int, int, int]:
    """(C, H, W) of byte images (N, H, W, C)."""
    _, height, width, channels = images.shape
    return channels, height, width
