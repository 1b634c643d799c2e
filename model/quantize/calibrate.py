"""Calibration: choose the binary point of each tensor with the least error over some images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ldexp

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


def activation_formats(
    network: FloatNetwork, images: Tensor, config: QuantizeConfig, fixed: Formats
) -> Formats:
    """Format of every tensor of `network`, chosen over `images` (N, C, H, W), x = (pixel - 128) / 128.

    For each group of tensors that share a format, the finest binary point that clips nothing and
    `config.clipping_steps` finer ones compete; the least squared error of the tensors wins. With
    `Ranges.RISTRETTO` the largest magnitude alone decides. `fixed` prescribes some formats. Raises DataError
    if an activation is NaN or infinite.
    """
    states = [_Candidates.of(group, fixed) for group in format_groups(network, config)]
    by_tensor = {name: state for state in states for name in state.group.tensors}
    for name, values in _activations(network, images):
        by_tensor[name].see_magnitude(name, values)
    for state in states:
        state.open(config)
    for name, values in _activations(network, images):
        by_tensor[name].add_errors(values)
    return {name: by_tensor[name].best() for name in network.by_name}


@torch.no_grad()
def _activations(network: FloatNetwork, images: Tensor) -> Iterator[tuple[str, Tensor]]:
    for batch in images.split(BATCH):
        for node, values in forward(network, batch):
            yield node.name, values


@dataclass(kw_only=True)
class _Candidates:
    """Formats that compete for one group, and their squared errors so far."""

    group: Group
    signed: bool
    prescribed: int | None = None
    largest: float = 0.0
    errors: dict[int, float] = field(default_factory=dict)  # by frac

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

    def open(self, config: QuantizeConfig) -> None:
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
        self.errors = dict.fromkeys(candidates, 0.0)

    def add_errors(self, values: Tensor) -> None:
        if len(self.errors) > 1:
            for frac in self.errors:
                self.errors[frac] += _squared_error(values, self.format(frac))

    def best(self) -> FixedPoint:
        return self.format(min(self.errors, key=self.errors.__getitem__))


def _squared_error(values: Tensor, form: FixedPoint) -> float:
    codes = (values * ldexp(1.0, form.frac)).add_(0.5).floor_().clamp_(form.lo, form.hi)
    return float(codes.mul_(form.scale).sub_(values).square_().sum(dtype=torch.float64))
