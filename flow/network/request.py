"""A user's request, as typed values; nothing here loads PyTorch, so the command line starts at once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bitlathe.flow.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from bitlathe.model.data import Dataset

CALIBRATION_IMAGES = 512
_MOST_DIGITS = 6  # of a height or width

ImageSize: TypeAlias = tuple[int, int]  # height and width in pixels


class Normalization(Enum):
    """The normalization of images that a network was trained with."""

    AUTO = "auto"  # as docs/command_line.md says; see `subject`
    NONE = "none"  # (pixel - 128) / 128
    UNIT = "unit"  # pixel / 255, as torchvision's ToTensor makes it
    IMAGENET = "imagenet"  # (pixel / 255 - mean) / std with ImageNet's constants


@dataclass(frozen=True, slots=True)
class MeanStd:
    """Images normalised by the user's constants: (pixel / 255 - mean) / std, one of each per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def value(self) -> str:
        """Text of it, as a `Normalization` has."""
        return f"mean {', '.join(map(str, self.mean))}, std {', '.join(map(str, self.std))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """A network to quantize, or a graph that is quantized already; None leaves it to the zoo's table."""

    network: str | nn.Module | None = None  # name in the zoo, FILE.py:FUNCTION, FILE.onnx, or a module
    graph: Path | None = None
    dataset: str | Dataset | None = None  # name, folder of pictures, FILE.npz, FILE.py:FUNCTION, or images
    weights: Path | None = None
    data: Path | None = None  # folder of the data sets that have names
    image_size: ImageSize | None = None  # that pictures of a folder are resized to
    normalization: Normalization | MeanStd = Normalization.AUTO
    seed: int = 0  # of random weights
    weight_bits: int = 8
    activation_bits: int = 8
    per_channel: bool = True
    calibration_images: int = CALIBRATION_IMAGES
    rounding: str = "half_up"  # of a requantization, a `RoundingMode`
    layers: tuple[str, ...] = ()  # NAME=WEIGHT_BITS[,ACTIVATION_BITS]


def image_size_of(text: str | None) -> ImageSize | None:
    """Height and width of HxW, or of a square's side; UsageError for other texts.

    >>> image_size_of("48x64"), image_size_of("32")
    ((48, 64), (32, 32))
    """
    if text is None:
        return None
    numbers = text.lower().split("x")
    if len(numbers) > 2 or not all(map(_is_extent, numbers)):
        raise UsageError(f"`image_size={text}`: give HxW in pixels, such as 48x64")
    return int(numbers[0]), int(numbers[-1])


def _is_extent(word: str) -> bool:
    return word.isdecimal() and len(word) <= _MOST_DIGITS and int(word) > 0
