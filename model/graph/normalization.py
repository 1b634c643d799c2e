"""What a network was trained to see of a pixel 0..255, as a value with one grammar for all who write it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from bitlathe.model.graph.errors import FormatError

GRAMMAR = "none, imagenet, raw, range=A..B (as 0..1 or -1..1), or mean=M,..,std=S,.. of pixel / 255"
_LARGEST = 1e9  # of constants: what float32 holds with room to spare
_RANGE = re.compile(r"(?:range=)?(?P<low>[^.]+(?:\.\d+)?)\.\.(?P<high>.+)")
_MEAN_STD = re.compile(r"mean=(?P<mean>.+?)[,; ]+std=(?P<std>.+)")


@dataclass(frozen=True, slots=True)
class Normalization:
    """(pixel / 255 - mean) / std, of one constant for all channels or one each."""

    name: str  # as it is written
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        fits = all(abs(mean) <= _LARGEST for mean in self.mean)  # not a number fits nowhere
        if not fits or not all(1 / _LARGEST <= abs(std) <= _LARGEST for std in self.std):
            raise FormatError(
                f"is (pixel / 255 - mean) / std with mean {_joined(self.mean)} and std {_joined(self.std)}; "
                f"give numbers up to {_LARGEST:g}"
            )

    def __str__(self) -> str:
        return self.name

    def equals(self, other: Normalization) -> bool:
        """Whether it is the same function, however both are written."""
        return (self.mean, self.std) == (other.mean, other.std)

    @classmethod
    def of_range(cls, low: float, high: float) -> Normalization:
        """Pixels 0 to 255 evenly from `low` to `high`, which may be the smaller one.

        >>> print(Normalization.of_range(0, 1), Normalization.of_range(0, 255), Normalization.of_range(-1, 1))
        range=0..1 raw range=-1..1
        """
        if not isfinite(high - low) or low == high:
            raise FormatError(f"goes from {low:g} to {high:g}; give two numbers that differ")
        name = "raw" if (low, high) == (0, 255) else f"range={_short(low)}..{_short(high)}"
        return cls(name, (0.0 - low / (high - low),), (1 / (high - low),))

    @classmethod
    def of_constants(cls, mean: Sequence[float], std: Sequence[float]) -> Normalization:
        """Means and standard deviations of pixel / 255, channel by channel."""
        if any(not value > 0 for value in std):
            raise FormatError(f"standard deviations are {_joined(std)}; give numbers above 0")
        if any(value > 1 for value in mean):
            raise FormatError(f"means are {_joined(mean)}, and pixel / 255 ends at 1; divide both by 255")
        return cls(
            f"mean={_joined(mean)},std={_joined(std)}", tuple(map(float, mean)), tuple(map(float, std))
        )

    @classmethod
    def parse(cls, text: str) -> Normalization:
        """A normalization as a user writes it; FormatError says what to write.

        >>> Normalization.parse("unit") == Normalization.parse("0..1") == Normalization.of_range(0, 1)
        True
        >>> Normalization.parse("mean=0.5, 0.25, 0, std=1").mean
        (0.5, 0.25, 0.0)
        """
        word = text.strip()
        if word in KNOWN:
            return KNOWN[word]
        if found := _RANGE.fullmatch(word):
            return cls.of_range(_number(found["low"]), _number(found["high"]))
        if found := _MEAN_STD.fullmatch(word):
            return cls.of_constants(_numbers(found["mean"]), _numbers(found["std"]))
        raise FormatError(f"is not a normalization; give {GRAMMAR}")

    def check_channels(self, channels: int, whose: str) -> None:
        """Raise FormatError unless there is one constant for all channels, or one for each."""
        for what, values in (("means", self.mean), ("standard deviations", self.std)):
            if len(values) not in (1, channels):
                raise FormatError(
                    f"has {len(values)} {what}, {whose} {channels} channel{'s' * (channels > 1)}; "
                    f"give 1{f' or {channels}' * (channels > 1)}"
                )


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(_number(word) for word in re.split(r"[,; ]+", text.strip()))


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise FormatError(f"{word!r} in it is not a number; give {GRAMMAR}") from None


def _joined(values: Sequence[float]) -> str:
    return ",".join(map(_short, values))


def _short(value: float) -> str:
    return f"{value:.10g}"


NONE = Normalization("none", (128 / 255,), (128 / 255,))  # (pixel - 128) / 128, what a network sees as it is
UNIT = Normalization.of_range(0, 1)  # as torchvision's ToTensor makes it
RAW = Normalization.of_range(0, 255)
IMAGENET = Normalization("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KNOWN = {"none": NONE, "unit": UNIT, "raw": RAW, "imagenet": IMAGENET}
