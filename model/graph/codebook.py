"""Codebook: a layer's weights as shared codewords (product quantization)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.errors import FormatError, ShapeError

Codewords = npt.NDArray[np.int8]
Indices = npt.NDArray[np.unsignedinteger[Any]]

MAX_LENGTH = 256  # entries of a codeword
MAX_CODEWORDS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Codebook:
    """Codewords of `length` weights along the input channels at one kernel position.

    Codes are at the weight frac of the output channel that uses them. Entries past a layer's last input
    channel are ignored. Raises FormatError if the arrays are not a codebook. Source: Jegou et al. 2011,
    doi 10.1109/TPAMI.2010.57 (the code); Stock et al. 2020, arXiv:1907.05686 (of weights).
    """

    values: Codewords  # (codewords, length)
    indices: Indices  # Conv2d: (out_channels, kernel_h, kernel_w, vectors); Dense: (out_features, vectors)

    def __post_init__(self) -> None:
        if self.values.dtype != np.int8 or self.values.ndim != 2 or self.indices.ndim not in (2, 4):
            raise FormatError(
                f"codebook: values {self.values.dtype} {self.values.shape} and indices {self.indices.shape}; "
                "they are int8 of 2 axes, and of 4 axes for a convolution, 2 for a dense layer"
            )
        if not (1 <= self.codewords <= MAX_CODEWORDS and 1 <= self.length <= MAX_LENGTH):
            raise FormatError(
                f"codebook: {self.codewords} codewords of {self.length} weights; there are 1 to "
                f"{MAX_CODEWORDS} of 1 to {MAX_LENGTH}"
            )
        if self.indices.dtype != index_type(self.codewords):
            raise FormatError(
                f"codebook: indices of {self.codewords} codewords are {self.indices.dtype}; "
                f"make them {index_type(self.codewords).__name__}"
            )
        if self.indices.size and self.indices.max() >= self.codewords:
            raise FormatError(
                f"codebook: index {self.indices.max()} leaves its {self.codewords} codewords; count from 0"
            )

    @property
    def codewords(self) -> int:
        """Number of codewords."""
        return int(self.values.shape[0])

    @property
    def length(self) -> int:
        """Weights of a codeword."""
        return int(self.values.shape[1])

    @property
    def index_bits(self) -> int:
        """Bits of an index in a file."""
        return index_bits(self.codewords)

    def decode(self, channels: int) -> Codewords:
        """Weights (out_channels, `channels`, kernel_h, kernel_w), or (out_features, `channels`), `channels`
        being the input channels of a group, or the input features.

        >>> book = Codebook(values=np.array([[0, 0], [1, 2]], np.int8), indices=np.array([[1, 0]], np.uint8))
        >>> book.decode(3)
        array([[1, 2, 0]], dtype=int8)
        """
        vectors = self.values[self.indices]
        rows = vectors.reshape(*self.indices.shape[:-1], -1)[..., :channels]
        return np.ascontiguousarray(np.moveaxis(rows, -1, 1))

    def on_pixels(self) -> "Codebook":
        """The codebook of a dense layer as that of a 1x1 convolution."""
        return Codebook(values=self.values, indices=self.indices[:, None, None, :])


def index_bits(codewords: int) -> int:
    """Bits needed to number `codewords`, at least 1.

    >>> index_bits(256), index_bits(257), index_bits(1)
    (8, 9, 1)
    """
    return max(1, (codewords - 1).bit_length())


def index_type(codewords: int) -> type[np.unsignedinteger[Any]]:
    """Type of indices in memory."""
    return np.uint8 if codewords <= 256 else np.uint16


def index_shape(weight: tuple[int, ...], length: int) -> tuple[int, ...]:
    """Shape of the indices for weights (out, in, ...): input channels move to the end, `length` per index.

    >>> index_shape((50, 20, 5, 5), 8)
    (50, 5, 5, 3)
    """
    return (weight[0], *weight[2:], -(-weight[1] // length))


def packed(codebook: Codebook) -> npt.NDArray[np.uint8]:
    """The indices in C order, `index_bits` each, highest bit first, the last byte filled with zeros."""
    places = np.arange(codebook.index_bits - 1, -1, -1)
    bits = codebook.indices.reshape(-1, 1) >> places.astype(codebook.indices.dtype) & 1
    return np.packbits(bits.astype(np.uint8))


def unpacked(data: npt.NDArray[np.uint8], codewords: int, shape: tuple[int, ...]) -> Indices:
    """Indices of `shape` from the bytes that `packed` makes; ShapeError if the bytes do not fit."""
    width, count = index_bits(codewords), 1
    for axis in shape:
        count *= axis
    if data.shape != (-(-count * width // 8),):
        raise ShapeError(f"{data.shape} bytes do not hold {count} indices of {width} bits")
    bits = np.unpackbits(data, count=count * width).reshape(-1, width).astype(np.uint32)
    indices = bits @ (1 << np.arange(width - 1, -1, -1, dtype=np.uint32))
    return indices.astype(index_type(codewords)).reshape(shape)
