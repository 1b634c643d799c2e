"""Calibration: choose the binary point of each tensor with the least error over some images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, ldexp

import torch
from torch import Tensor

from bitlathe.model.capture.float_forward import forward
from bitlathe.model.capture.float_network import FloatNetwork
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.quantize.config import QuantizeConfig, Ranges
from bitlathe.model.quantize.groups import Group, format_groups
from bitlathe.model.quantize.rounding import finest_frac, ristretto_frac

Formats = dict[str, FixedPoint]  # of each tensor

BATCH = 64  # images per batch; a few hundred MB for a ResNet
_MATTERS = 0.1  # of the least squared error: what a worse binary point must add for the choice to matter
_SURE = 1.0  # standard errors by which the mean of that must exceed 0: five of six sets of images then agree
_FEWEST = 16  # images, below which there is no telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Formats chosen over some images, and where these were too few."""

    formats: Formats  # of every tensor
    unsettled: Mapping[str, int]  # first tensor of a group: about how many images would settle its format


def calibrated(network: FloatNetwork, images: Tensor, config: QuantizeConfig, fixed: Formats) -> Calibration:
    """Format of every tensor of `network`, chosen over `images` (N, C, H, W), x = (pixel - 128) / 128.

    For each group of tensors that share a format, the finest binary point that clips nothing and
    `config.clipping_steps` finer ones compete; the least squared error of the tensors wins. With
    `Ranges.RISTRETTO` the largest magnitude alone decides. `fixed` prescribes some formats. A choice is
    unsettled if the second best adds an error that matters, but so unevenly that other images may well have
    chosen otherwise. Raises DataError if an activation is NaN or infinite.
    """
    states = [_Candidates.of(group, fixed) for group in format_groups(network, config)]
    by_tensor = {name: state for state in states for name in state.group.tensors}
    for _, name, values in _activations(network, images):
        by_tensor[name].see_magnitude(name, values)
    for state in states:
        state.open(config, len(images))
    for first, name, values in _activations(network, images):
        by_tensor[name].add_errors(first, values)
    needed = {state.group.tensors[0]: state.images_needed() for state in states}
    return Calibration(
        formats={name: by_tensor[name].best() for name in network.by_name},
        unsettled={name: count for name, count in needed.items() if count > len(images)},
    )


@torch.no_grad()
def _activations(network: FloatNetwork, images: Tensor) -> Iterator[tuple[int, str, Tensor]]:
    """First image of a batch, and a tensor of it."""
    for first in range(0, len(images), BATCH):
        for node, values in forward(network, images[first : first + BATCH]):
            yield first, node.name, values


@dataclass(kw_only=True)
class _Candidates:
    """Formats that compete for one group, and their squared errors so far, image by image."""

    group: Group
    signed: bool
    prescribed: int | None = None
    largest: float = 0.0
    errors: dict[int, Tensor] = field(default_factory=dict)  # (images,) float64, by frac

    @classmethod
    def of(cls, group: Group, fixed: Formats) -> _Candidates:
        prescribed = next((fixed[name] for name in group.tensors if name in fixed), None)
        if prescribed is None:
            return cls(group=group, signed=group.signed)
        return cls(group=group, signed=prescribed.signed, prescribed=prescribed.frac)

    def format(self, frac: int) -> FixedPoint:
        return FixedPoint(bits=self.group.bits, frac=frac, signed=self.signed)

    def see_magnitude(self, name: str, values: Tensor) -> None:
        largest = float(values.abs().max())
        if largest != largest or largest == float("inf"):
            raise DataError(
                f"{name}: activations become NaN or infinite on calibration images; check the weights"
            )
        self.largest = max(self.largest, largest)

    def open(self, config: QuantizeConfig, images: int) -> None:
        """Add the candidates once the range is known."""
        finest, steps = finest_frac(self.largest, self.format(0).hi), config.clipping_steps
        if config.ranges is Ranges.RISTRETTO:
            finest, steps = ristretto_frac(self.largest, self.group.bits - self.signed), 0
        if self.prescribed is not None:
            candidates = range(self.prescribed, self.prescribed + 1)
        elif finest is None:
            candidates = range(self.group.bits, self.group.bits + 1)
        else:
            candidates = range(finest, finest + steps + 1)
        self.errors = {frac: torch.zeros(images, dtype=torch.float64) for frac in candidates}

    def add_errors(self, first: int, values: Tensor) -> None:
        if len(self.errors) > 1:
            for frac, errors in self.errors.items():
                errors[first : first + len(values)] += _squared_errors(values, self.format(frac))

    def best(self) -> FixedPoint:
        return self.format(self._ranked()[0])

    def images_needed(self) -> int:
        """About how many images would settle the choice; 0 where it does not matter.

        That the mean of what the second best adds exceeds `_SURE` of its standard errors.
        """
        if len(self.errors) < 2:
            return 0
        best, second = (self.errors[frac] for frac in self._ranked()[:2])
        added = second - best
        if float(added.sum()) <= _MATTERS * float(best.sum()):
            return 0
        if len(added) < _FEWEST:
            return _FEWEST
        return ceil(float((_SURE * added.std() / added.mean()) ** 2))

    def _ranked(self) -> list[int]:
        return sorted(self.errors, key=lambda frac: float(self.errors[frac].sum()))


def _squared_errors(values: Tensor, form: FixedPoint) -> Tensor:
    """Squared error of each image (N,) float64."""
    codes = (values * ldexp(1.0, form.frac)).add_(0.5).floor_().clamp_(form.lo, form.hi)
    return codes.mul_(form.scale).sub_(values).square_().flatten(1).sum(1, dtype=torch.float64)
