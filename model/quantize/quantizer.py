"""Post-training quantization of a PyTorch module, with some images, to an integer network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor, nn

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_network import FloatNetwork
from bitlathe.model.data import to_input
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import DataError, FormatError, OverflowRisk, ShapeError
from bitlathe.model.graph.fixed_point import RoundingMode
from bitlathe.model.graph.graph import Graph, with_rounding
from bitlathe.model.quantize.calibrate import calibrated
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.correct_bias import correct_bias
from bitlathe.model.quantize.exact_network import ExactNetwork
from bitlathe.model.quantize.front import FrontPlacement, place_front
from bitlathe.model.quantize.groups import format_groups
from bitlathe.model.quantize.joined import with_joined_ranges
from bitlathe.model.quantize.kept import has_grids, keep_integers
from bitlathe.model.quantize.legalize import legal_activations, legal_weights
from bitlathe.model.quantize.lower import lower
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.model.quantize.refine import IMAGES as COMPARED
from bitlathe.model.quantize.refine import Choice, OutputError, refined, with_telling_logits
from bitlathe.model.quantize.weight_formats import weight_formats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantizedNetwork:
    """An integer network and what it came from."""

    graph: Graph
    preprocess: Preprocess  # from byte images to the graph's input codes
    network: FloatNetwork  # has the real weights behind the graph's
    config: QuantizeConfig
    is_kept: bool = False  # whether the integers are those of a network that was quantized already
    unkept: str | None = None  # why those of such a network were not kept
    unsettled: Mapping[str, int] = field(default_factory=dict)  # as `Calibration` says

    def module(self) -> ExactNetwork:
        """The integers as a PyTorch module, a drop-in replacement for the float model in inference."""
        return ExactNetwork(self.graph, self.preprocess, self.network.form)


def quantize(
    model: nn.Module | FloatNetwork,
    calibration_images: Images,
    config: QuantizeConfig | None = None,
    *,
    name: str | None = None,
    classifies: bool = False,
) -> QuantizedNetwork:
    """Quantize a trained model with power-of-two scales; it is not trained further.

    A module that rounds its tensors itself, by fake quantization, keeps its integers if the engine can hold
    them and no others are asked for; else the network without that is calibrated. `name` replaces that of the
    module's class; of a network that `classifies`, logits get the step that tells classes apart best.
    `calibration_images` are byte images (N, H, W, C), of the training split. Errors: those of `capture`;
    FormatError for settings of an unknown layer; ShapeError and DataError for unfit images; OverflowRisk if
    no binary point keeps an accumulator within int32.
    """
    config = QuantizeConfig() if config is None else config
    config.check_integer()
    images = usable_images(calibration_images, config)
    shape = image_shape(images)
    network = model if isinstance(model, FloatNetwork) else capture(model, shape, name=name, keeps_grids=True)
    unkept = None
    if not isinstance(model, FloatNetwork) and has_grids(network):
        kept = _kept(network, images, config)
        if isinstance(kept, QuantizedNetwork):
            return kept
        network, unkept = capture(model, shape, name=name), kept
    if network.input.shape != image_shape(images):
        raise ShapeError(
            f"{network.name}: calibration images are {image_shape(images)}, the network takes "
            f"{network.input.shape}; give images of that size"
        )
    config.check_layers(network.by_name)
    return replace(_quantize(network, images, config, classifies), unkept=unkept)


def _kept(network: FloatNetwork, images: Images, config: QuantizeConfig) -> QuantizedNetwork | str:
    """A network with grids with its own integers, or why it has none here."""
    if not config.keeps_integers:
        return "other integers are asked for"
    try:
        kept = keep_integers(network, network_inputs(images), config)
    except (FormatError, OverflowRisk) as error:
        return str(error)
    return QuantizedNetwork(
        graph=kept.graph,
        preprocess=kept.preprocess,
        network=kept.network,
        config=config,
        is_kept=True,
    )


def _quantize(
    network: FloatNetwork, images: Images, config: QuantizeConfig, classifies: bool
) -> QuantizedNetwork:
    placed = place_front(network, images, config.input_mode)
    joined = with_joined_ranges(placed.network, network_inputs(images), config, scales=True)
    placed = replace(placed, network=joined)
    choices, unsettled = _choices(placed, images, config, classifies)
    made = [_made(placed, choice, images, config) for choice in choices]
    if len(made) > 1:  # biases were corrected since the choice
        error = _output_error(placed, images)
        made.sort(key=lambda network: error.of(network.graph))
    return replace(made[0], unsettled=unsettled)


def _made(placed: FrontPlacement, choice: Choice, images: Images, config: QuantizeConfig) -> QuantizedNetwork:
    graph, real = _lowered(placed.network, choice, config.rounding), placed.network
    if config.correct_bias:
        real = correct_bias(real, ExactNetwork(graph, placed.preprocess), network_inputs(images))
        graph = _lowered(real, choice, config.rounding)
    return QuantizedNetwork(graph=graph, preprocess=placed.preprocess, network=real, config=config)


def _lowered(network: FloatNetwork, choice: Choice, rounding: RoundingMode) -> Graph:
    graph = lower(network, choice.formats, legal_weights(network, *choice))
    return with_rounding(graph, dict.fromkeys(network.by_name, rounding))


def _choices(
    placed: FrontPlacement, images: Images, config: QuantizeConfig, classifies: bool
) -> tuple[list[Choice], Mapping[str, int]]:
    """Formats by the tensors' errors and, if asked for, by the outputs'; what the images leave unsettled."""
    network, fixed = placed.network, {placed.network.input.name: placed.format}
    weights, groups = weight_formats(network, config), format_groups(network, config)
    calibration = calibrated(network, network_inputs(images), config, fixed)

    def legal(choice: Choice) -> Choice:
        return choice._replace(formats=legal_activations(network, *choice, groups, fixed))

    def lowered(choice: Choice) -> Graph:
        return _lowered(network, legal(choice), config.rounding)

    choices = [legal(Choice(calibration.formats, weights))]
    if config.search_formats:
        error = _output_error(placed, images[:COMPARED])
        choices.append(legal(refined(choices[0], network, groups, fixed, lowered, error)))
    if classifies:
        codes = placed.preprocess.codes(images)
        choices = [legal(with_telling_logits(one, network, groups, lowered, codes)) for one in choices]
    return choices, calibration.unsettled


def _output_error(placed: FrontPlacement, images: Images) -> OutputError:
    return OutputError(placed.network, network_inputs(images), placed.preprocess.codes(images))


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
