"""T and Q: train on, in float or as integers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import ClassVar

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import Method, MethodContext, MethodKind
from bitlathe.model.compress.state import Quantization, State
from bitlathe.model.graph.files.settings import about, demand
from bitlathe.model.prune.channels.group_lasso import GroupLasso
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig

BitPair = tuple[int, int]  # of weights, of activations

_FULL = LayerBits(weight_bits=8, activation_bits=8)
_USUAL = QuantizeConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """T: train on, change nothing."""

    group_lasso: float | None = None  # strength of a penalty that pulls whole filters towards zero

    name: ClassVar[str] = "T"
    kind: ClassVar[MethodKind] = MethodKind.TRAIN
    lasting: ClassVar[bool] = True

    def __post_init__(self) -> None:
        with about("group_lasso"):
            self.penalty  # noqa: B018  # checks the strength

    @property
    def penalty(self) -> GroupLasso | None:
        """What its epochs add to the loss."""
        return None if self.group_lasso is None else GroupLasso(strength=self.group_lasso)

    def method(self, context: MethodContext) -> Train:
        """Itself."""
        return self

    def applicable(self, state: State) -> bool:
        """Only in float; under a quantizer, Q itself trains on."""
        return state.quantization is None

    def owed(self, state: State) -> int:
        """Always 0: it has no target."""
        return 0

    def apply(self, state: State, data: MethodData) -> State:
        """The state, unchanged."""
        return state


def penalty_of(method: Method | None) -> GroupLasso | None:
    """What the epochs of a method add to the loss: T's penalty, nothing for any other method."""
    return method.penalty if isinstance(method, Train) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantize:
    """Q(m, n): m-bit weights, n-bit activations, powers of two as scales.

    A lasting quantizer stays on: all later epochs train under it, whatever they choose. One that does not
    last quantizes its own epoch only, leaves rounded kernels behind, and must be chosen in the last epoch.
    """

    config: QuantizeConfig = field(default_factory=QuantizeConfig)
    lasting: bool = True
    threshold_lr: float = 0.0  # highest learning rate of the thresholds; 0 keeps the calibrated ones

    kind: ClassVar[MethodKind] = MethodKind.QUANTIZE

    @property
    def name(self) -> str:
        """Q(m,n)."""
        return f"Q({self.config.weight_bits},{self.config.activation_bits})"

    def applicable(self, state: State) -> bool:
        """Always: if it is on already, it trains on."""
        return True

    def owed(self, state: State) -> int:
        """One epoch, unless some lasting quantizer is on."""
        return int(state.quantization is None or not self.lasting)

    def apply(self, state: State, data: MethodData) -> State:
        """The state under this quantizer; thresholds learned under equal settings are kept."""
        if state.quantization is None or state.quantization.config != self.config:
            state.quantization = Quantization(
                config=self.config, lasting=self.lasting, threshold_lr=self.threshold_lr
            )
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeParameters:
    """Q as a user writes it."""

    bits: BitPair = (8, 8)
    full: tuple[str, ...] = ()  # layers that stay at 8 bits
    threshold_lr: float = 0.0
    per_channel: bool = True
    calibration_images: int = 512

    def __post_init__(self) -> None:
        check_bits("bits", self.bits)
        demand(self, "threshold_lr", 0 <= self.threshold_lr < inf, "0 or more")
        demand(self, "calibration_images", self.calibration_images >= 1, "1 or more")

    def config(self, usual: QuantizeConfig = _USUAL) -> QuantizeConfig:
        """The quantizer's settings; `usual` gives what these parameters leave open."""
        return replace(
            usual,
            weight_bits=self.bits[0],
            activation_bits=self.bits[1],
            per_channel=self.per_channel,
            calibration_images=self.calibration_images,
            layers={**usual.layers, **dict.fromkeys(self.full, _FULL)},
        )

    def method(self, context: MethodContext) -> Quantize:
        """The method with these parameters."""
        config = self.config(context.quantization or _USUAL)
        return Quantize(config=config, lasting=context.lasting, threshold_lr=self.threshold_lr)


def check_bits(key: str, bits: BitPair) -> None:
    """Raise WrongValue for a number of bits that no integer network has."""
    with about(key):
        QuantizeConfig(weight_bits=bits[0], activation_bits=bits[1]).check_integer()
