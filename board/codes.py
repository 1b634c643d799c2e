"""Images to the bytes that the engine reads, its bytes to output codes: look-ups that the bundle carries."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.bundle import INPUT_INDEX, OUTPUT_INDEX, PREPROCESS, Bundle
from bitlathe.board.errors import BundleError
from bitlathe.board.manifest import OutputEntry

_PIXELS = 256


def input_codes(
    table: NDArray[np.int8], images: NDArray[np.uint8], signed: bool
) -> NDArray[np.signedinteger[Any]]:
    """Input codes (N, C, H, W) of images (N, H, W, C).

    `table` (256, C) holds the code of each pixel value; of an unsigned code, its byte read as a signed one.
    """
    codes: NDArray[np.int8] = table[images, np.arange(table.shape[1])].transpose(0, 3, 1, 2)
    return codes if signed else codes.view(np.uint8).astype(np.int16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputPlaces:
    """Where an output's codes are: `index[c]` says which byte of an image's outputs is code c."""

    index: NDArray[np.int64]  # (codes,)
    entry: OutputEntry

    def codes(self, data: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Codes (N, C, H, W) of bytes (N, output bytes)."""
        taken = np.ascontiguousarray(data[:, self.index])
        codes = taken.view(np.int8 if self.entry.signed else np.uint8).astype(np.int32)
        return codes.reshape(len(data), *self.entry.shape)

    def fits(self, output_stride: int) -> bool:
        """Whether the codes fill the output's shape and are within the outputs' bytes."""
        return _fits(self.index, 0, output_stride) and len(self.index) == prod(self.entry.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BundleLayout:
    """The layouts of a bundle's ends.

    `input_index[b]` says which code of a flattened (C, H, W) input is byte b, -1 for a zero.
    """

    table: NDArray[np.int8]  # (256, C): input code of each pixel value
    input_index: NDArray[np.int64]  # (input bytes,)
    input_shape: tuple[int, ...]  # (C, H, W)
    outputs: tuple[OutputPlaces, ...]

    @classmethod
    def of(cls, bundle: Bundle) -> BundleLayout:
        """Layouts of a bundle; BundleError where they do not fit its shapes."""
        manifest = bundle.manifest
        codes = cls(
            table=bundle.array(PREPROCESS),
            input_index=bundle.array(INPUT_INDEX).astype(np.int64),
            input_shape=manifest.input_shape,
            outputs=tuple(
                OutputPlaces(index=index.astype(np.int64), entry=entry)
                for index, entry in zip(bundle.arrays(OUTPUT_INDEX), manifest.outputs, strict=True)
            ),
        )
        codes._check(manifest.input_stride, manifest.output_stride)
        return codes

    def pack(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bytes (N, input bytes) of images (N, H, W, C); BundleError on another shape."""
        channels, height, width = self.input_shape
        if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels):
            raise BundleError(
                f"images are {images.dtype} {images.shape}; give uint8 (N, {height}, {width}, {channels})"
            )
        looked_up = input_codes(self.table, images, signed=True).reshape(len(images), -1)
        with_zero = np.concatenate([looked_up, np.zeros((len(images), 1), np.int8)], axis=1)
        return np.ascontiguousarray(with_zero[:, self.input_index]).view(np.uint8)

    def unpack(self, data: NDArray[np.uint8]) -> tuple[NDArray[np.int32], ...]:
        """Codes (N, C, H, W) of every output of bytes (N, output bytes)."""
        return tuple(places.codes(data) for places in self.outputs)

    def _check(self, input_stride: int, output_stride: int) -> None:
        sound = (
            self.table.dtype == np.int8
            and self.table.shape == (_PIXELS, self.input_shape[0])
            and _fits(self.input_index, -1, prod(self.input_shape))
            and len(self.input_index) <= input_stride
            and all(places.fits(output_stride) for places in self.outputs)
        )
        if not sound:
            raise BundleError("the bundle's layouts do not fit its shapes; make it again")


def _fits(index: NDArray[Any], low: int, end: int) -> bool:
    return index.ndim == 1 and index.size > 0 and low <= int(index.min()) and int(index.max()) < end
