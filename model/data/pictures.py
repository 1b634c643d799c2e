"""Pictures in files of their own, read by Pillow: what their headers say, and their pixels."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from bitlathe.model.data.npz import DAMAGED
from bitlathe.model.graph.arrays import Bytes, Images
from bitlathe.model.graph.errors import DataError, first_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm")
HeightWidth = tuple[int, int]  # in pixels

_FORMATS = ("PNG", "JPEG", "BMP", "PPM")
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_STEPS = 20  # in which progress is told

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHeader:
    """What a picture's file says before its pixels."""

    size: HeightWidth
    channels: int  # 1 of a grey picture, else 3
    has_alpha: bool


def headers(paths: Sequence[Path]) -> list[PictureHeader]:
    """The header of each file; DataError names those that are no pictures, or of more than 8 bits."""
    return list(_each(lambda place: _header(paths[place]), paths))


def read_pictures(
    paths: Sequence[Path], size: HeightWidth, channels: int, advance: Callable[[int, int], None]
) -> Images:
    """Pixels (N, H, W, C) of files, resized to one size by antialiased bilinear interpolation.

    One picture a processor is decoded at a time. Grey pictures are repeated in 3 channels, alpha is left out,
    orientation is as stored. DataError names the files that are damaged.
    """
    images = np.empty((len(paths), *size, channels), np.uint8)

    def read(place: int) -> None:
        images[place] = _pixels(paths[place], size, channels)

    step = max(1, len(paths) // _STEPS)
    for done, _ in enumerate(_each(read, paths), 1):
        if done % step == 0 or done == len(paths):
            advance(done, len(paths))
    return images


def _each(read: Callable[[int], Read], paths: Sequence[Path]) -> Iterator[Read]:
    """What is read of each place among files, in order, by threads; DataError, at the end, for the failed."""

    def attempt(place: int) -> Read | DataError:
        try:
            return read(place)
        except DataError as error:
            return error

    refused: list[tuple[Path, DataError]] = []
    with _only_bombs_matter(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, result in zip(paths, pool.map(attempt, range(len(paths))), strict=True):
            if isinstance(result, DataError):
                refused.append((path, result))
            else:
                yield result
    if refused:
        others = f"; likewise {first_of([path for path, _ in refused[1:]])}" if refused[1:] else ""
        raise DataError(f"{refused[0][1]}{others}") from refused[0][1]


@contextmanager
def _only_bombs_matter() -> Iterator[None]:
    """Turn Pillow's warning of a picture that is too large into an error, and show no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture's file; DataError for whatever is wrong with it."""
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            yield picture
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: is not a picture (PNG, JPEG, BMP, PPM); replace or remove it") from error
    except _BOMBS as error:
        most = f"{Image.MAX_IMAGE_PIXELS:,} pixels" if Image.MAX_IMAGE_PIXELS else "all"
        raise DataError(f"{path}: has more than {most}; shrink or remove it") from error
    except DAMAGED as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path}: cannot be read ({what}); replace or remove it") from error


def _header(path: Path) -> PictureHeader:
    with _opened(path) as picture:
        raw = " ".join(str(tile.args) for tile in getattr(picture, "tile", ()))
        if picture.mode in ("I", "F") or ";16" in picture.mode or ";16" in raw:
            raise DataError(f"{path}: has more than 8 bits a channel; convert it to 8 bits")
        return PictureHeader(
            size=(picture.height, picture.width),
            channels=1 if _is_grey(picture) else 3,
            has_alpha=picture.has_transparency_data,
        )


def _is_grey(picture: Image.Image) -> bool:
    if picture.mode != "P":
        return picture.mode in ("1", "L", "LA", "La")
    palette = np.array(picture.getpalette() or [], np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _pixels(path: Path, size: HeightWidth, channels: int) -> Bytes:
    """Pixels (H, W, C)."""
    with _opened(path) as picture:
        plain = picture.convert("RGBA") if picture.has_transparency_data or picture.mode == "P" else picture
        plain = plain.convert("L" if channels == 1 else "RGB")
        if (plain.height, plain.width) != size:
            plain = plain.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(plain).reshape(*size, channels)
