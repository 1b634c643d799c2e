"""What a user asks for, as typed values; nothing here loads PyTorch, so the command line starts at once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

CALIBRATION_IMAGES = 512


class Normalization(Enum):
    """What a network was trained to see."""

    AUTO = "auto"  # `imagenet` for a plain state dict of a CIFAR ResNet (the published ones), else `none`
    NONE = "none"  # (pixel - 128) / 128
    IMAGENET = "imagenet"  # (pixel / 255 - mean) / std with ImageNet's constants


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """A network to quantize, or a graph that is quantized already; None leaves it to the zoo's table."""

    network: str | None = None  # name in the zoo, FILE.py:FUNCTION or FILE.onnx
    graph: Path | None = None
    dataset: str | None = None
    weights: Path | None = None
    data: Path | None = None  # folder of the data sets
    normalization: Normalization = Normalization.AUTO
    seed: int = 0  # of random weights
    weight_bits: int = 8
    activation_bits: int = 8
    per_channel: bool = True
    calibration_images: int = CALIBRATION_IMAGES
    layers: tuple[str, ...] = ()  # NAME=WEIGHT_BITS[,ACTIVATION_BITS]
