"""Settings of product quantization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from bitlathe.model.capture.names import identifier
from bitlathe.model.graph.codebook import MAX_CODEWORDS, MAX_LENGTH
from bitlathe.model.graph.errors import FormatError


class Objective(Enum):
    """The error that clustering minimizes."""

    CODES = "codes"  # of integer weights: all output channels count equally, whatever their scale
    WEIGHTS = "weights"  # of real weights
    OUTPUTS = "outputs"  # of the layer's sums: real weights times the mean square of their inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCodes:
    """Codebook of one layer: `codewords` vectors of `length` weights."""

    length: int = 8
    codewords: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_LENGTH or not 2 <= self.codewords <= MAX_CODEWORDS:
            raise FormatError(
                f"product quantization: {self.codewords} codewords of {self.length} weights; choose 2 to "
                f"{MAX_CODEWORDS} of 1 to {MAX_LENGTH}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductConfig:
    """Which codebooks the layers take.

    A layer that `layers` does not name takes the codes of its kind, or fewer
    codewords if fewer than `vectors_per_codeword` vectors would share each; it is left alone if it is the
    first, of several groups, smaller than `smallest` weights, wider than 8 bits or would not shrink.
    """

    convolution: LayerCodes = LayerCodes()  # a codeword is a row of the engine's weight line
    dense: LayerCodes = LayerCodes(length=16)
    layers: Mapping[str, LayerCodes | None] = field(default_factory=dict)  # by path or node; None: left alone
    vectors_per_codeword: int = 4
    smallest: int = 1024
    zero: bool | None = None  # whether codeword 0 is zero; None: if a tenth of the vectors are
    objective: Objective = Objective.WEIGHTS
    iterations: int = 50  # of k-means, at most
    seed: int = 0

    def __post_init__(self) -> None:
        if self.vectors_per_codeword < 1 or self.smallest < 1 or self.iterations < 1:
            raise FormatError(
                f"product quantization: {self.vectors_per_codeword} vectors per codeword, smallest layer "
                f"{self.smallest}, {self.iterations} iterations; each is at least 1"
            )
        by_name = {identifier(path): codes for path, codes in self.layers.items()}
        object.__setattr__(self, "layers", MappingProxyType(by_name))

    @classmethod
    def of(cls, length: int, dense_length: int, codewords: int, **settings: object) -> ProductConfig:
        """Codebooks of one size for all convolutions, and for all dense layers.

        Codewords of length 1 are shared values as in Han et al. 2016, arXiv:1510.00149.
        """
        convolution, dense = (LayerCodes(length=n, codewords=codewords) for n in (length, dense_length))
        return cls(convolution=convolution, dense=dense, **settings)  # type: ignore[arg-type]
