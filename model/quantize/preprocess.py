"""From byte images to input codes: a table look-up that holds any normalisation of a pixel. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.arrays import Images, Int8s
from bitlathe.model.graph.errors import FormatError, ShapeError
from bitlathe.model.graph.files.npy import array_from_npy, npy_from_array
from bitlathe.model.graph.files.storage import write_whole
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import ImageCodes

PixelCodes = npt.NDArray[np.int8] | npt.NDArray[np.uint8]  # (256, C); uint8 of an unsigned input

OFFSET_FORMAT = FixedPoint(bits=8, frac=7)  # of code = pixel - 128, for networks without a normalisation
PIXEL_FORMAT = FixedPoint(bits=8, frac=8, signed=False)  # of code = pixel, where 0 must be the pixel 0

_PIXELS = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preprocess:
    """Input code of each pixel value in each channel."""

    table: PixelCodes

    def __post_init__(self) -> None:
        if self.table.dtype not in (np.int8, np.uint8) or self.table.ndim != 2 or len(self.table) != _PIXELS:
            raise FormatError(
                f"preprocess: the table is {self.table.dtype} {self.table.shape}, needed int8 or uint8 "
                "(256, channels)"
            )

    @classmethod
    def offset(cls, channels: int) -> Preprocess:
        """code = pixel - 128: the input contract, without any arithmetic."""
        column = np.arange(-_PIXELS // 2, _PIXELS // 2).astype(np.int8)
        return cls(table=np.repeat(column[:, np.newaxis], channels, axis=1))

    @classmethod
    def pixel(cls, channels: int) -> Preprocess:
        """code = pixel, of an unsigned input."""
        return cls(table=np.repeat(np.arange(_PIXELS, dtype=np.uint8)[:, np.newaxis], channels, axis=1))

    @property
    def signed(self) -> bool:
        """Whether codes are signed."""
        return self.table.dtype == np.int8

    @property
    def signed_bytes(self) -> Int8s:
        """The table as a bundle holds it: an unsigned code as its byte, read as a signed one."""
        return self.table.view(np.int8)

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.table.shape[1])

    @property
    def kind(self) -> ImageCodes:
        """How a pixel becomes a code."""
        if self.is_offset:
            return ImageCodes.OFFSET
        return ImageCodes.PIXEL if self.is_pixel else ImageCodes.TABLE

    @property
    def is_offset(self) -> bool:
        """Whether code = pixel - 128, so that flipping a byte's top bit is enough."""
        return self.signed and np.array_equal(self.table, Preprocess.offset(self.channels).table)

    @property
    def is_pixel(self) -> bool:
        """Whether code = pixel, so that nothing has to be done."""
        return not self.signed and np.array_equal(self.table, Preprocess.pixel(self.channels).table)

    def codes(self, images: Images) -> IntArray:
        """Input codes (N, C, H, W), int8 or of an unsigned input int16, of byte images (N, H, W, C)."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != self.channels:
            raise ShapeError(
                f"preprocess: images are {images.dtype} {images.shape}; give uint8 (N, H, W, {self.channels})"
            )
        shape = len(images), self.channels, *images.shape[1:3]
        codes: IntArray = np.empty(shape, np.int8 if self.signed else np.int16)
        for channel in range(self.channels):
            coded = images[..., channel].tobytes().translate(self.table[:, channel].tobytes())
            codes[:, channel] = np.frombuffer(coded, self.table.dtype).reshape(images.shape[:3])
        return codes

    def encode(self) -> bytes:
        """The table as .npy."""
        return npy_from_array(self.table)

    def save(self, path: Path) -> None:
        """Write the table as `write_whole` does; DataError if it cannot be written."""
        write_whole(path, self.encode())

    @classmethod
    def load(cls, path: Path) -> Preprocess:
        """Read what `save` wrote; FormatError says what is wrong with any other file."""
        try:
            table: npt.NDArray[Any] = array_from_npy(path.read_bytes(), "the file")
        except (OSError, FormatError) as error:
            raise FormatError(
                f"{path}: not a readable table of input codes ({error}); write it again"
            ) from error
        return cls(table=table)
