"""PQ: codewords shared by many weights, on top of a quantizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from bitlathe.model.compress.data import MethodData
from bitlathe.model.compress.method import MethodContext, MethodKind
from bitlathe.model.compress.state import Quantization, Sharing, State
from bitlathe.model.graph.files.settings import about, demand
from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig
from bitlathe.model.quantize.config import QuantizeConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareWeights:
    """PQ: ties weights to codebooks, which all later epochs train, whatever method they choose."""

    config: ProductConfig = field(default_factory=ProductConfig)
    quantizer: QuantizeConfig | None = None  # the quantizer to use if none is on; None: wait for one

    name: ClassVar[str] = "PQ"
    kind: ClassVar[MethodKind] = MethodKind.PRODUCT
    lasting: ClassVar[bool] = True

    def applicable(self, state: State) -> bool:
        """Only under a quantizer, whose codes the codewords hold, and only once."""
        if state.quantization is None and self.quantizer is None:
            return False
        return state.sharing is None or state.sharing.config != self.config

    def owed(self, state: State) -> int:
        """Always 0: it has no target."""
        return 0

    def apply(self, state: State, data: MethodData) -> State:
        """The state with sharing on; vectors find their codewords when the epoch begins."""
        if state.quantization is None:
            assert self.quantizer is not None
            state.quantization = Quantization(config=self.quantizer)
        state.sharing = Sharing(config=self.config)
        return state


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductParameters:
    """PQ as a user writes it."""

    length: int = 8  # weights per codeword of a convolution
    dense_length: int = 16
    codewords: int = 256
    vectors_per_codeword: int = 4  # at least; a small layer gets fewer codewords
    objective: Objective = Objective.WEIGHTS

    def __post_init__(self) -> None:
        for key, size in (("length", "length"), ("dense_length", "length"), ("codewords", "codewords")):
            with about(key):
                LayerCodes(**{size: getattr(self, key)})
        demand(self, "vectors_per_codeword", self.vectors_per_codeword >= 1, "1 or more")

    @property
    def config(self) -> ProductConfig:
        """The settings of the codebooks."""
        return ProductConfig.of(
            self.length,
            self.dense_length,
            self.codewords,
            vectors_per_codeword=self.vectors_per_codeword,
            objective=self.objective,
        )

    def method(self, context: MethodContext) -> ShareWeights:
        """The method with these parameters."""
        return ShareWeights(config=self.config, quantizer=context.quantization)
