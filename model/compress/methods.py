"""The methods that change no weight: train on, quantize."""

from __future__ import annotations

from dataclasses import dataclass, field

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import Kind
from bitlathe.model.compress.state import Quantization, State
from bitlathe.model.quantize.config import QuantizeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """T: train on, change nothing."""

    name: str = "T"
    kind: Kind = Kind.TRAIN
    lasting: bool = True

    def applicable(self, state: State) -> bool:
        """In float; under a quantizer the Q that is on trains on."""
        return state.quantization is None

    def owed(self, state: State) -> int:
        """It has no target."""
        return 0

    def apply(self, state: State, data: MethodData) -> State:
        """The state itself."""
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantize:
    """Q(m, n): m-bit weights, n-bit activations, powers of two as scales.

    A lasting one stays on: the epochs after it train under it, whatever they choose. One that does not last
    quantizes its own epoch alone, leaves rounded kernels behind, and must have the last epoch.
    """

    config: QuantizeConfig = field(default_factory=QuantizeConfig)
    label: str | None = None  # instead of Q(m,n), where layers have bits of their own
    lasting: bool = True
    threshold_lr: float = 0.0  # highest rate at which thresholds are learned; 0 holds the calibrated ones
    kind: Kind = Kind.QUANTIZE

    @property
    def name(self) -> str:
        """Q(m,n), or the label."""
        return self.label or f"Q({self.config.weight_bits},{self.config.activation_bits})"

    def applicable(self, state: State) -> bool:
        """Always: where it is on already, it trains on."""
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
