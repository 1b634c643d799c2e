"""Settings of quantization."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any

from bitlathe.model.capture.names import identifier
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.fixed_point import MAX_BITS, MIN_BITS, RoundingMode

FLOAT_BITS = 32  # for weights or activations that stay real in training; no integer network has them
_STAND_IN_BITS = 8  # of the integer formats in place of real tensors


class InputMode(Enum):
    """Where a network's own normalisation of the image is computed."""

    AUTO = "auto"  # FOLD if that is exact, else TABLE
    FOLD = "fold"  # in the first layer's weights; differs at the image's border if that layer pads
    TABLE = "table"  # on the host: a table from pixels to input codes


class Ranges(Enum):
    """How a binary point is chosen before thresholds are learned."""

    SQUARED_ERROR = "squared-error"  # the least error, among some that clip
    RISTRETTO = "ristretto"  # the finest with a range up to the power of two that holds all values


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBits:
    """Deviations of one layer from the network's settings; None means no deviation."""

    weight_bits: int | None = None
    activation_bits: int | None = None  # of the layer's output
    per_channel: bool | None = None  # one binary point for each output channel's weights

    def __post_init__(self) -> None:
        for bits in (self.weight_bits, self.activation_bits):
            _check_bits("layer", bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeConfig:
    """Settings of quantization, before training or in it."""

    weight_bits: int = 8
    activation_bits: int = 8
    per_channel: bool = True  # one binary point for each output channel's weights, else one per layer
    calibration_images: int = 512  # at most; the first ones are used
    clipping_steps: int = 2  # binary points to try beyond the finest one that clips nothing (squared error)
    ranges: Ranges = Ranges.SQUARED_ERROR
    search_formats: bool = False  # then move binary points by the error of the network's outputs
    correct_bias: bool = True  # subtract each channel's mean error over the calibration images
    input_mode: InputMode = InputMode.AUTO
    rounding: RoundingMode = RoundingMode.HALF_UP  # of every requantization
    layers: Mapping[str, LayerBits] = field(default_factory=dict)  # by module path or node name

    def __post_init__(self) -> None:
        for bits in (self.weight_bits, self.activation_bits):
            _check_bits("network", bits)
        if self.calibration_images < 1 or self.clipping_steps < 0:
            raise FormatError(
                f"quantize: {self.calibration_images} calibration images and "
                f"{self.clipping_steps} clipping steps; give at least 1 and 0"
            )
        by_name = {identifier(path): bits for path, bits in self.layers.items()}
        object.__setattr__(self, "layers", MappingProxyType(by_name))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by its constructor, as a read-only mapping supports neither."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return partial(QuantizeConfig, **(values | {"layers": dict(self.layers)})), ()

    @property
    def keeps_integers(self) -> bool:
        """Whether a network that is quantized already keeps its integers: no other ones are asked for."""
        usual = QuantizeConfig()
        asked = (self.weight_bits, self.activation_bits, self.per_channel, self.ranges, self.rounding)
        plain = (usual.weight_bits, usual.activation_bits, usual.per_channel, usual.ranges, usual.rounding)
        return asked == plain and not self.layers and not self.search_formats

    def layer(self, name: str) -> LayerBits:
        """Deviations of a layer, none by default."""
        return self.layers.get(name, LayerBits())

    def weight_bits_of(self, name: str) -> int:
        """Width of a layer's weights."""
        own = self.layer(name).weight_bits
        return self.weight_bits if own is None else own

    def per_channel_of(self, name: str) -> bool:
        """Whether each output channel of a layer has its own binary point."""
        own = self.layer(name).per_channel
        return self.per_channel if own is None else own

    def with_integers(self) -> QuantizeConfig:
        """The settings with integers in place of real numbers."""
        layers = {
            name: replace(
                bits,
                weight_bits=_integer(bits.weight_bits),
                activation_bits=_integer(bits.activation_bits),
            )
            for name, bits in self.layers.items()
        }
        return replace(
            self,
            weight_bits=_integer(self.weight_bits) or _STAND_IN_BITS,
            activation_bits=_integer(self.activation_bits) or _STAND_IN_BITS,
            layers=layers,
        )

    def check_integer(self) -> None:
        """Raise FormatError if anything is to stay real."""
        if self != self.with_integers():
            raise FormatError(
                f"quantize: {FLOAT_BITS} bits are real numbers, which an integer network does not hold; "
                f"choose {MIN_BITS} to {MAX_BITS}"
            )

    def check_layers(self, names: Iterable[str]) -> None:
        """Raise FormatError for settings of a layer that is not among `names`, with the nearest names."""
        known = list(names)
        for name in self.layers:
            if name not in known:
                near = get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
                raise FormatError(f"quantize: no layer is called {name}; did you mean {', '.join(near)}?")


def _integer(bits: int | None) -> int | None:
    return _STAND_IN_BITS if bits == FLOAT_BITS else bits


def _check_bits(where: str, bits: int | None) -> None:
    if bits not in (None, FLOAT_BITS, *range(MIN_BITS, MAX_BITS + 1)):
        raise FormatError(
            f"quantize: {bits} bits for a {where} are not supported; choose {MIN_BITS} to {MAX_BITS}"
        )
