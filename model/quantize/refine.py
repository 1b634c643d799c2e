"""Formats by what they do to the network's outputs.

A tensor's squared error says nothing of the layers behind it. From the formats with the least of that,
coordinate descent moves one group of activations or one layer's weights by one binary point, and keeps what
brings the integer network's outputs closer to the float network's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bitlathe.model.capture.float_forward import flat_outputs
from bitlathe.model.capture.float_network import FloatConv2d, FloatNetwork
from bitlathe.model.graph.arrays import Floats
from bitlathe.model.graph.errors import FormatError, OverflowRisk
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.native.evaluator import evaluator
from bitlathe.model.quantize.calibrate import BATCH, Formats
from bitlathe.model.quantize.groups import Group
from bitlathe.model.quantize.weight_formats import WeightedNode, WeightFormats

IMAGES = 128  # calibration images whose outputs are compared
PASSES = 2  # over all groups and layers, at most
WORTH = 0.01  # share of the error that a move must take away
FINER = 3  # binary points that logits are tried finer by, at most
TELLING = 0.2  # share of the error of probabilities that a finer step may leave, to be taken
_WIDE, _BELOW = 16, 7  # bits of logits before they are rounded, and how much finer those are


class Choice(NamedTuple):
    """Formats of tensors and of weights."""

    formats: Formats
    weights: WeightFormats


Lower = Callable[[Choice], Graph]  # raises FormatError or OverflowRisk where a choice has no graph
ChoiceMove = Callable[[Choice, int], Choice]  # one group or layer, by some binary points


class OutputError:
    """How far an integer network's outputs are from the float network's over some images."""

    def __init__(self, network: FloatNetwork, images: Tensor, codes: IntArray) -> None:
        """`images` (N, C, H, W), x = (pixel - 128) / 128, and the same as input codes."""
        self._codes = codes
        self._wanted = _outputs(network, images)

    def of(self, graph: Graph) -> float:
        """Mean squared error without each value's mean error, which bias correction takes away.

        Of several outputs each counts alike, whatever its scale.
        """
        total = 0.0
        for output, codes, wanted in zip(
            graph.outputs, evaluator(graph)(self._codes), self._wanted, strict=True
        ):
            values = np.ldexp(codes.astype(np.float64), -graph.format_of(output.tensor).frac)
            error = values.reshape(len(codes), -1) - wanted
            total += float(((error - error.mean(axis=0)) ** 2).mean() / (_spread(wanted) or 1.0))
        return total


@torch.no_grad()
def _outputs(network: FloatNetwork, images: Tensor) -> list[Floats]:
    """Values (N, K) float64 of each output, in order."""
    batches = [flat_outputs(network, batch) for batch in images.split(BATCH)]
    return [torch.cat(parts).double().numpy() for parts in zip(*batches, strict=True)]


def _spread(values: Floats) -> float:
    return float(((values - values.mean(axis=0)) ** 2).mean())


def refined(
    choice: Choice,
    network: FloatNetwork,
    groups: Sequence[Group],
    fixed: Formats,
    lower: Lower,
    error: OutputError,
) -> Choice:
    """The choice after moves that each take `WORTH` of the error away; `fixed` formats stay."""
    least = _error(choice, lower, error)
    moves = tuple(_moves(network, groups, fixed))
    for _ in range(PASSES):
        before = least
        for move in moves:
            for step in (1, -1):
                tried = move(choice, step)
                found = _error(tried, lower, error)
                if found < (1 - WORTH) * least:
                    choice, least = tried, found
                    break
        if least == before:
            break
    return choice


def with_telling_logits(
    choice: Choice, network: FloatNetwork, groups: Sequence[Group], lower: Lower, codes: IntArray
) -> Choice:
    """The choice with the step of its logits that tells classes apart best, over images as input codes.

    The squared error is that of the images with large logits, and a step for those leaves ties among the
    others'. So finer steps are tried by the error of the probabilities (softmax), beside those of the sums,
    and the best is taken where it leaves little of the error.
    """
    name = network.output
    group = next((each for each in groups if name in each.tensors), None)
    if group is None or len(group.tensors) > 1 or network.by_name[group.tensors[0]].shape[1:] != (1, 1):
        return choice
    form = choice.formats[group.tensors[0]]
    wide = replace(form, bits=_WIDE, frac=form.frac + _BELOW)
    graph = lower(choice._replace(formats={**choice.formats, group.tensors[0]: wide}))
    (made,) = evaluator(graph)(codes)
    sums = np.ldexp(made.reshape(len(made), -1).astype(np.float64), -graph.format_of(graph.only_output).frac)
    errors = [_probability_error(sums, form, form.frac + step) for step in range(FINER + 1)]
    best = int(np.argmin(errors))
    return _move_tensors(group, choice, best) if errors[best] <= TELLING * errors[0] else choice


def _probability_error(sums: Floats, form: FixedPoint, frac: int) -> float:
    rounded = np.clip(np.floor(np.ldexp(sums, frac) + 0.5), form.lo, form.hi)
    return float(((_softmax(np.ldexp(rounded, -frac)) - _softmax(sums)) ** 2).mean())


def _softmax(logits: Floats) -> Floats:
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    made: Floats = grown / grown.sum(axis=1, keepdims=True)
    return made


def _error(choice: Choice, lower: Lower, error: OutputError) -> float:
    try:
        return error.of(lower(choice))
    except (FormatError, OverflowRisk):
        return float("inf")


def _moves(network: FloatNetwork, groups: Sequence[Group], fixed: Formats) -> Iterator[ChoiceMove]:
    for group in groups:
        if not any(tensor in fixed for tensor in group.tensors):
            yield partial(_move_tensors, group)
    for node in network.nodes:
        if isinstance(node, WeightedNode) and not (isinstance(node, FloatConv2d) and node.is_selection):
            yield partial(_move_weights, node.name)


def _move_tensors(group: Group, choice: Choice, step: int) -> Choice:
    moved = {name: choice.formats[name] for name in group.tensors}
    moved = {name: replace(form, frac=form.frac + step) for name, form in moved.items()}
    return choice._replace(formats={**choice.formats, **moved})


def _move_weights(layer: str, choice: Choice, step: int) -> Choice:
    form = choice.weights[layer]
    moved = replace(form, fracs=tuple(frac + step for frac in form.fracs))
    return choice._replace(weights={**choice.weights, layer: moved})
