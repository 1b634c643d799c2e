"""PQ: weights as codewords that many places share, on top of a quantizer that is on."""

from __future__ import annotations

from dataclasses import dataclass

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import MethodContext, MethodKind
from bitlathe.model.compress.state import Sharing, State
from bitlathe.model.graph.files.settings import about, demand
from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareWeights:
    """PQ: ties the weights of a quantized state to codebooks, which the epochs from then on train."""

    length: int = 8  # weights a codeword of a convolution
    dense_length: int = 16
    codewords: int = 256
    name: str = "PQ"
    kind: MethodKind = MethodKind.PRODUCT
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductParameters:
    """PQ as a user writes it."""

    length: int = 8  # weights a codeword of a convolution
    dense_length: int = 16
    codewords: int = 256
    vectors_per_codeword: int = 4  # at least: a small layer has fewer codewords
    objective: Objective = Objective.WEIGHTS

    def __post_init__(self) -> None:
        for key, field in (("length", "length"), ("dense_length", "length"), ("codewords", "codewords")):
            with about(key):
                LayerCodes(**{field: getattr(self, key)})
        demand(self, "vectors_per_codeword", self.vectors_per_codeword >= 1, "1 or more")

    @property
    def config(self) -> ProductConfig:
        """The settings of the codebooks."""
        return ProductConfig(
            convolution=LayerCodes(length=self.length, codewords=self.codewords),
            dense=LayerCodes(length=self.dense_length, codewords=self.codewords),
            vectors_per_codeword=self.vectors_per_codeword,
            objective=self.objective,
        )

    def method(self, context: MethodContext) -> ShareWeights:
        """The method that does it."""
        return ShareWeights(length=self.length, dense_length=self.dense_length, codewords=self.codewords)
