"""A user's request, as typed values; nothing here loads PyTorch, so the command line starts at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bitlathe.flow.errors import UsageError, refuse_idle
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.normalization import GRAMMAR, Normalization

if TYPE_CHECKING:
    from torch import nn

    from bitlathe.flow.network.task import FunctionSource
    from bitlathe.model.data import Dataset

CALIBRATION_IMAGES = 512
SOME_IMAGES = 16  # of the test split, for a run that nobody says a number for
_MOST_DIGITS = 6  # of a height or width
AUTO = "auto"  # in place of a normalization: the one that network, weights and images are known for

ImageSize: TypeAlias = tuple[int, int]  # height and width in pixels
# Means and standard deviations of pixel / 255, one for all channels or one each.
ChannelConstants: TypeAlias = "tuple[float | Sequence[float], float | Sequence[float]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """A network to quantize, or a graph that is quantized already; None leaves it to the zoo's table."""

    network: str | nn.Module | None = None  # name in the zoo, FILE.py:FUNCTION, FILE.onnx, or a module
    graph: Path | None = None
    dataset: str | Dataset | None = None  # name, folder of pictures, FILE.npz, FILE.py:FUNCTION, or images
    weights: Path | None = None
    data: Path | None = None  # folder of the data sets that have names
    image_size: ImageSize | None = None  # that pictures of a folder are resized to
    normalization: Normalization | None = None  # None: as docs/command_line.md says; see `subject`
    seed: int = 0  # of random weights
    weight_bits: int = 8
    activation_bits: int = 8
    per_channel: bool = True
    calibration_images: int = CALIBRATION_IMAGES
    rounding: str = "half_up"  # of a requantization, a `RoundingMode`
    search_formats: bool = False  # move binary points by the error of the network's outputs
    layers: tuple[str, ...] = ()  # NAME=WEIGHT_BITS[,ACTIVATION_BITS]
    metric: FunctionSource | None = None  # what judges it; None: what suits labels and outputs
    loss: FunctionSource | None = None  # what trains it; None: the same


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRequest:
    """A trained network whose answers another learns."""

    network: str  # name in the zoo, FILE.py:FUNCTION or FILE.onnx
    weights: Path | None = None
    share: float = 0.5  # of the loss
    temperature: float = 4.0

    @property
    def words(self) -> tuple[str, ...]:
        """The options of the command line that say it."""
        weights = () if self.weights is None else ("--teacher-weights", str(self.weights))
        how = ("--teacher-share", f"{self.share:g}", "--teacher-temperature", f"{self.temperature:g}")
        return "--teacher", self.network, *weights, *how


def teacher_request(
    network: str | None, weights: Path | None, share: float | None, temperature: float | None
) -> TeacherRequest | None:
    """The teacher asked for, with its usual share and temperature where they are not given; None for none."""
    if network is None:
        refuse_idle(
            "teacher", False, teacher_weights=weights, teacher_share=share, teacher_temperature=temperature
        )
        return None
    given = {"share": share, "temperature": temperature}
    return TeacherRequest(
        network=network, weights=weights, **{key: value for key, value in given.items() if value is not None}
    )


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


def read_normalization(written: str | ChannelConstants) -> Normalization | None:
    """The normalization that a user wrote, None for `auto`; UsageError says what to write."""
    try:
        if isinstance(written, str):
            return None if written == AUTO else Normalization.parse(written)
        mean, std = (_constants(values) for values in written)
        return Normalization.of_constants(mean, std)
    except FormatError as error:
        raise UsageError(f"`normalization={written}`: {error}") from error
    except (TypeError, ValueError) as error:  # of anything else than two numbers or two rows of them
        raise UsageError(
            f"`normalization={written}`: is neither a text nor means and standard deviations; "
            f"give {AUTO}, {GRAMMAR}"
        ) from error


def _constants(values: float | Sequence[float]) -> tuple[float, ...]:
    """One number for all channels, or several.

    >>> _constants(0.5), _constants([0.5, 1])
    ((0.5,), (0.5, 1.0))
    """
    return tuple(map(float, values)) if isinstance(values, Iterable) else (float(values),)
