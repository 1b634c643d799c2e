"""Learned thresholds: log2 of the range of each group of activations and of each layer's weights.

The binary point follows from the threshold t and the width: codes end at 2**ceil(log2 t). If a threshold
asks for an illegal binary point, `legalize` moves the binary point, not the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.quantize.calibrate import Formats
from bitlathe.model.quantize.groups import Group
from bitlathe.model.quantize.rounding import Fracs
from bitlathe.model.quantize.weight_formats import WeightFormat, WeightFormats

Saved = Mapping[str, Tensor]  # thresholds by key: kind, width and name, such as weight4.conv1

_MIDDLE = (
    0.5  # below the power of two where a format's range ends: a threshold starts far from either neighbour
)


class Thresholds(nn.Module):
    """Trainable thresholds that start at given formats.

    `groups` are the groups of activations to learn, `weights` the layers; `formats` are those of all tensors.
    Each weight threshold is (C,), or (1,) if all channels have one binary point.
    """

    def __init__(
        self, groups: tuple[Group, ...], formats: Formats, weights: WeightFormats, one_a_layer: frozenset[str]
    ) -> None:
        super().__init__()
        self.groups, self.formats, self.weight_formats = groups, dict(formats), dict(weights)
        leaders = [group.tensors[0] for group in groups]
        self.activation = _parameters({name: _start(formats[name]) for name in leaders})
        self.weight = _parameters(
            {name: _weight_start(form, name in one_a_layer) for name, form in weights.items()}
        )

        self._leaders = {name: group.tensors[0] for group in groups for name in group.tensors}

    def of_tensor(self, name: str) -> Tensor:
        """The scalar threshold of a tensor's group; an arbitrary scalar for a tensor with a fixed format."""
        return _get(self.activation, self._leaders[name]) if name in self._leaders else torch.zeros(())

    def of_layer(self, name: str) -> Tensor:
        """The threshold of a layer's weights, (C,) or (1,); an arbitrary scalar if their format is fixed."""
        return _get(self.weight, name) if name in self.weight_formats else torch.zeros(1)

    def activation_formats(self) -> Formats:
        """Format that each tensor's threshold asks for; without a threshold, the given format."""
        asked = {name: form for group in self.groups for name, form in self._group_formats(group)}
        return {**self.formats, **asked}

    def _group_formats(self, group: Group) -> list[tuple[str, FixedPoint]]:
        frac = -int(_ceiling(self.of_tensor(group.tensors[0])))
        forms = [(name, self.formats[name]) for name in group.tensors]
        return [(name, replace(form, frac=frac + form.bits - form.signed)) for name, form in forms]

    def layer_formats(self) -> WeightFormats:
        """Format that each layer's thresholds ask for."""
        return {name: self._layer_format(name, form) for name, form in self.weight_formats.items()}

    def _layer_format(self, name: str, form: WeightFormat) -> WeightFormat:
        fracs = form.bits - 1 - _ceiling(self.of_layer(name))
        return replace(form, fracs=_fracs(np.broadcast_to(fracs, len(form.fracs))))

    def saved(self) -> dict[str, Tensor]:
        """Every threshold by kind, width and name; a group's is listed under each of its tensors."""
        activations = {
            _key("activation", self.formats[name].bits, name): self.of_tensor(name)
            for group in self.groups
            for name in group.tensors
        }
        weights = {
            _key("weight", form.bits, name): self.of_layer(name) for name, form in self.weight_formats.items()
        }
        return {key: value.detach().clone() for key, value in {**activations, **weights}.items()}

    @torch.no_grad()
    def load(self, saved: Saved) -> None:
        """Take over thresholds of the same name and width.

        Those of other widths, of layers with another number of channels and of unknown layers are ignored.
        """
        for group in self.groups:
            for name in reversed(group.tensors):
                _take(self.of_tensor(name), saved.get(_key("activation", self.formats[name].bits, name)))
        for name, form in self.weight_formats.items():
            _take(self.of_layer(name), saved.get(_key("weight", form.bits, name)))


def _parameters(starts: Mapping[str, Tensor]) -> nn.ParameterDict:
    return nn.ParameterDict({_safe(name): nn.Parameter(value) for name, value in starts.items()})


def _safe(name: str) -> str:
    """A key that is not a method of ParameterDict."""
    return f"log2_{name}"


def _get(parameters: nn.ParameterDict, name: str) -> nn.Parameter:
    parameter = parameters[_safe(name)]
    assert isinstance(parameter, nn.Parameter)
    return parameter


def _start(form: FixedPoint) -> Tensor:
    return torch.tensor(form.bits - form.signed - form.frac - _MIDDLE)


def _weight_start(form: WeightFormat, one_a_layer: bool) -> Tensor:
    fracs = form.fracs[:1] if one_a_layer else form.fracs
    return torch.tensor(form.bits - 1 - np.array(fracs) - _MIDDLE, dtype=torch.float32)


def _ceiling(threshold: Tensor) -> np.ndarray[Any, np.dtype[np.int64]]:
    values: np.ndarray[Any, np.dtype[np.int64]] = threshold.detach().ceil().long().cpu().numpy()
    return values


def _fracs(values: np.ndarray[Any, Any]) -> Fracs:
    return tuple(int(value) for value in values)


def _key(kind: str, bits: int, name: str) -> str:
    return f"{kind}{bits}.{name}"


def _take(parameter: Tensor, value: Tensor | None) -> None:
    if value is not None and value.shape == parameter.shape:
        parameter.copy_(value)
