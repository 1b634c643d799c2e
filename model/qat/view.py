"""A live module as it computes once quantized: fake-quantized in training, as integers in evaluation.

The view owns thresholds and nothing else. Weights and biases are formulas of the module's parameters,
evaluated at each step, so that gradients reach the parameters, including batch norm's (with its running
statistics), and optimizers work as if there were no quantizer.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bitlathe.model.capture.capture import capture, live_tensors
from bitlathe.model.capture.float_network import FloatLookup, FloatNetwork, FloatNode
from bitlathe.model.capture.formula import Evaluation
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.graph import Graph, with_rounding
from bitlathe.model.qat.thresholds import Saved, Thresholds
from bitlathe.model.qat.training_forward import RealParts, TrainingForward
from bitlathe.model.quantize.calibrate import Formats, calibrated
from bitlathe.model.quantize.config import FLOAT_BITS, QuantizeConfig
from bitlathe.model.quantize.exact_network import Pixels
from bitlathe.model.quantize.front import FrontPlacement, place_front
from bitlathe.model.quantize.groups import Group, format_groups
from bitlathe.model.quantize.integer_forward import Forward, integer_forward
from bitlathe.model.quantize.joined import with_joined_ranges
from bitlathe.model.quantize.legalize import legal_activations, legal_weights
from bitlathe.model.quantize.lower import lower
from bitlathe.model.quantize.quantizer import QuantizedNetwork, image_shape, network_inputs, usable_images
from bitlathe.model.quantize.weight_formats import WeightedNode, WeightFormats, weight_formats

Viewed = TypeVar("Viewed", bound=FloatNode)


class QuantizedView(nn.Module):
    """A module from images (N, C, H, W), x = (pixel - 128) / 128, to the module's own outputs.

    Its only parameters are the thresholds; `requires_grad_(False)` freezes them. In training mode it computes
    in float32 with gradients; in evaluation mode it is the integer network of the present weights and
    thresholds, bit for bit, without gradients. If the settings leave weights or activations real, no integer
    network exists, and evaluation computes as training does. Dropout never acts.
    """

    def __init__(self, model: nn.Module, frame: Frame, thresholds: Thresholds) -> None:
        super().__init__()
        self._model = (model,)  # a tuple hides it: its parameters are not the view's
        self._frame, self.learned = frame, thresholds
        self._trained: tuple[Wanted, TrainingForward] | None = None
        self._exact: tuple[list[Tensor], QuantizedNetwork, Forward] | None = None
        placed = frame.placed
        self._pixels = Pixels(placed.preprocess, placed.format)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        images: Images,
        config: QuantizeConfig | None = None,
        thresholds: Saved | None = None,
    ) -> QuantizedView:
        """A view of `model`, calibrated on byte images (N, H, W, C) of the training split.

        `thresholds` of an earlier view replace calibrated ones where they still fit. Biases are not
        corrected; training does that. Errors: those of `quantizer.quantize`.
        """
        config = QuantizeConfig() if config is None else config
        images = usable_images(images, config)
        frame = Frame.of(capture(model, image_shape(images)), images, config)
        started = frame.thresholds(images)
        if thresholds is not None:
            started.load(thresholds)
        return cls(model, frame, started)

    def __deepcopy__(self, memo: dict[int, Any]) -> QuantizedView:
        """A view of the copied module with its own thresholds; copy both in one call."""
        copied = QuantizedView(deepcopy(self.model, memo), self._frame, deepcopy(self.learned, memo))
        memo[id(self)] = copied
        return copied.train(self.training)

    @property
    def model(self) -> nn.Module:
        """The live module."""
        return self._model[0]

    @property
    def frame(self) -> Frame:
        """What training never changes; other views can be made from it."""
        return self._frame

    def parameters_learned(self) -> list[nn.Parameter]:
        """The log2 thresholds: a scalar per group of activations, (C,) or (1,) per layer's weights."""
        return list(self.learned.parameters())

    def thresholds(self) -> dict[str, Tensor]:
        """Thresholds by name, to be saved or handed to another view."""
        return self.learned.saved()

    def forward(self, x: Tensor) -> Any:
        """Outputs of images (N, C, H, W), as the module returns them: (N, K) or (N, K, H, W)."""
        if self.training:
            return self._fake_quantized(x)
        with torch.no_grad():
            return self._fake_quantized(x) if self._frame.is_real else self._present()[1](x)

    def network(self) -> QuantizedNetwork:
        """The integer network of the present weights and thresholds.

        Raises FormatError if settings leave anything real; OverflowRisk if no binary point keeps an
        accumulator within int32.
        """
        self._frame.config.check_integer()
        return self._present()[0]

    def float_network(self) -> FloatNetwork:
        """The captured network with the present weights, batch norm folded."""
        at, network = self.evaluation(torch.float64), self._frame.placed.network
        if any(_has_parameters(node) for node in network.nodes):  # functions look at them later
            at = replace(at, state={name: tensor.detach().clone() for name, tensor in at.state.items()})
        with torch.no_grad():
            return replace(network, nodes=tuple(_refreshed(node, at) for node in network.nodes))

    def evaluation(self, dtype: torch.dtype) -> Evaluation:
        """The module's present tensors, to evaluate formulas at."""
        state = live_tensors(self.model)
        return Evaluation(state=state, dtype=dtype, device=next(iter(state.values())).device)

    def _fake_quantized(self, x: Tensor) -> Any:
        if not all(bool(threshold.isfinite().all()) for threshold in self.parameters_learned()):
            return self._nowhere(x)
        at, wanted = self.evaluation(torch.float32), self._frame.wanted(self.learned)
        if self._trained is None or self._trained[0] != wanted:
            self._trained = wanted, self._training_forward(wanted, at)
        return self._trained[1](self._pixels.to(x.device)(x), at)

    def _nowhere(self, x: Tensor) -> Any:
        """NaN as outputs, as from any module with NaN parameters, so that a training loop stops."""
        network = self._frame.placed.network
        shapes = [network.by_name[output.tensor].shape for output in network.outputs]
        return network.form.returned(
            [x.new_full((len(x), *shape), torch.nan).requires_grad_() for shape in shapes]
        )

    def _training_forward(self, wanted: Wanted, at: Evaluation) -> TrainingForward:
        frame, graph = self._frame, self._frame.lowered(self.float_network(), wanted)
        return TrainingForward(frame.placed.network, graph, self.learned, frame.unrounded, at)

    def _present(self) -> tuple[QuantizedNetwork, Forward]:
        """The network of the present weights and thresholds; kept until one of them changes."""
        tensors = [*live_tensors(self.model).values(), *self.parameters_learned()]
        if self._exact is None or not _all_equal(tensors, self._exact[0]):
            network, frame = self.float_network(), self._frame
            exact = QuantizedNetwork(
                graph=frame.lowered(network, frame.wanted(self.learned)),
                preprocess=frame.placed.preprocess,
                network=network,
                config=frame.config,
            )
            forward = integer_forward(exact, tensors[0].device)
            self._exact = [tensor.detach().clone() for tensor in tensors], exact, forward
        return self._exact[1:]


Wanted = tuple[Formats, WeightFormats]  # formats that thresholds ask for, legal or not


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """What training never changes in a view: the network's structure, groups of one format, settings."""

    placed: FrontPlacement
    config: QuantizeConfig
    groups: tuple[Group, ...]  # with integers in place of tensors that stay real
    unrounded: RealParts
    fixed_weights: WeightFormats  # of layers with weights that training never changes

    @classmethod
    def of(cls, network: FloatNetwork, images: Images, config: QuantizeConfig) -> Frame:
        """Frame of a captured network."""
        config.check_layers(network.by_name)
        placed = place_front(network, images, config.input_mode)
        joined = with_joined_ranges(placed.network, network_inputs(images), config, scales=False)
        placed = replace(placed, network=joined)
        asked, integers = format_groups(placed.network, config), config.with_integers()
        real = {name for group in asked if group.bits == FLOAT_BITS for name in group.tensors}
        layers = [node.name for node in placed.network.nodes if _is_trained(node)]
        unrounded = RealParts(
            weights=frozenset(name for name in layers if config.weight_bits_of(name) == FLOAT_BITS),
            activations=frozenset(real),
        )
        learned = frozenset(layers) - unrounded.weights
        weights = weight_formats(placed.network, integers)
        return cls(
            placed=placed,
            config=config,
            groups=format_groups(placed.network, integers),
            unrounded=unrounded,
            fixed_weights={name: form for name, form in weights.items() if name not in learned},
        )

    @property
    def is_real(self) -> bool:
        """Whether anything stays real, so that no integer network exists."""
        return bool(self.unrounded.weights or self.unrounded.activations)

    @property
    def fixed_formats(self) -> Formats:
        """The input's format, given by the preprocessing, for all tensors of its group."""
        name = self.placed.network.input.name
        (group,) = (group for group in self.groups if name in group.tensors)
        return dict.fromkeys(group.tensors, self.placed.format)

    def thresholds(self, images: Images) -> Thresholds:
        """Thresholds of the formats with the least squared error over images (N, H, W, C)."""
        network, config, fixed = self.placed.network, self.config.with_integers(), self.fixed_formats
        formats = calibrated(network, network_inputs(images), config, fixed).formats
        weights = weight_formats(network, config)
        held = self.unrounded.activations | set(fixed)
        return Thresholds(
            tuple(group for group in self.groups if group.tensors[0] not in held),
            formats,
            {name: form for name, form in weights.items() if name not in self.fixed_weights},
            frozenset(name for name in weights if not config.per_channel_of(name)),
        )

    def wanted(self, thresholds: Thresholds) -> Wanted:
        """Formats that thresholds ask for."""
        formats = {**thresholds.activation_formats(), **self.fixed_formats}
        return formats, {**self.fixed_weights, **thresholds.layer_formats()}

    def lowered(self, network: FloatNetwork, wanted: Wanted) -> Graph:
        """Integer graph of the nearest legal formats."""
        formats, weights = wanted
        legal = legal_activations(network, formats, weights, self.groups, self.fixed_formats, clip=True)
        graph = lower(network, legal, legal_weights(network, legal, weights))
        return with_rounding(graph, dict.fromkeys(network.by_name, self.config.rounding))


def _is_trained(node: FloatNode) -> bool:
    """Whether a layer's weights depend on the module's tensors."""
    return isinstance(node, WeightedNode) and not node.origin.is_constant


def _refreshed(node: Viewed, at: Evaluation) -> Viewed:
    """The node with the weights that its formulas give now."""
    if isinstance(node, FloatLookup):
        return replace(node, function=node.function.present(at))
    if not _is_trained(node):
        return node
    assert isinstance(node, WeightedNode)
    weight, bias = at(node.origin.weight), at(node.origin.bias)
    arrays = weight.float().cpu().numpy().copy(), bias.double().cpu().numpy().copy()
    return replace(node, weight=arrays[0], bias=arrays[1])


def _has_parameters(node: FloatNode) -> bool:
    """Whether a node is a function with parameters of its own."""
    return isinstance(node, FloatLookup) and node.function.live is not None


def _all_equal(tensors: list[Tensor], others: list[Tensor]) -> bool:
    return len(tensors) == len(others) and all(map(torch.equal, tensors, others))
