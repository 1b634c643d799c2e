"""PQ: weights as codewords that many places share, on top of a quantizer that is on."""

from __future__ import annotations

from dataclasses import dataclass

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import Kind
from bitlathe.model.compress.state import Sharing, State


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareWeights:
    """PQ: ties the weights of a quantized state to codebooks, which the epochs from then on train."""

    length: int = 8  # weights a codeword of a convolution
    dense_length: int = 16
    codewords: int = 256
    name: str = "PQ"
    kind: Kind = Kind.PRODUCT
    lasting: bool = True

    def applicable(self, state: State) -> bool:
        """Once a quantizer is on, which codewords are the codes of."""
        return state.quantization is not None and state.sharing is None

    def owed(self, state: State) -> int:
        """None: it is never forced."""
        return 0

    def apply(self, state: State, data: MethodData) -> State:
        """The state with its sharing on; vectors find their codewords when the epoch begins."""
        state.sharing = Sharing(length=self.length, dense_length=self.dense_length, codewords=self.codewords)
        return state
