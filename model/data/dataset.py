"""The data set that every reader returns, checked on construction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.nodes import Shape

Labels = NDArray[Any]  # (N,) int64 classes, 0..classes-1; or (N, ...) numbers, the targets of another task


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Dataset:
    """Labelled images in two splits; without `class_names` the labels are targets of a task of another kind.

    Raises DataError if an array's shape, type, count or range is wrong.
    """

    name: str
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    class_names: tuple[str, ...]  # () where labels are not classes
    gives_floats: bool = False  # whether its source delivers pixel / 255, as torchvision's ToTensor does
    is_known: bool = False  # by its name, which then says what is in it

    def __post_init__(self) -> None:
        self._check_split("train", self.train_images, self.train_labels)
        self._check_split("test", self.test_images, self.test_labels)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"{self.name}: train images are {self.train_images.shape[1:]}, "
                f"test images {self.test_images.shape[1:]}; both splits need one size"
            )
        train, test = self.train_labels, self.test_labels
        if (train.shape[1:], train.dtype.kind == "f") != (test.shape[1:], test.dtype.kind == "f"):
            raise DataError(
                f"{self.name}: train labels are {train.dtype} {train.shape[1:]} an image, "
                f"test labels {test.dtype} {test.shape[1:]}; both splits need one kind"
            )

    @property
    def classifies(self) -> bool:
        """Whether labels are classes; else they are targets (N, ...): numbers, vectors, maps, images."""
        return bool(self.class_names)

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 where labels are not classes."""
        return len(self.class_names)

    @property
    def label_kind(self) -> str:
        """What a label is, in words.

        >>> from bitlathe.model.data import load_dataset
        >>> load_dataset("digits").label_kind
        '10 classes'
        """
        if self.classifies:
            return f"{self.num_classes} classes"
        shape, number = self.train_labels.shape[1:], self.train_labels.dtype
        return f"targets of {'x'.join(map(str, shape))} {number}" if shape else f"{number} targets"

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return int(self.train_images.shape[3])

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of an image."""
        height, width, channels = self.train_images.shape[1:]
        return channels, height, width

    @property
    def input_size(self) -> int | tuple[int, int]:
        """Side of square images, else their height and width, in pixels."""
        _, height, width = self.image_shape
        return height if height == width else (height, width)

    @property
    def identity(self) -> str:
        """Text that tells it from others: the name of one that is known by it, else with a digest."""
        return self.name if self.is_known else f"{self.name}, sha256 {self.digest}"

    @property
    def digest(self) -> str:
        """Digest of images, labels and names of classes, 16 hexadecimal digits."""
        digest = hashlib.sha256(repr(self.class_names).encode(errors="backslashreplace"))
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def unlike_classes(self, *outputs: tuple[int, ...]) -> str | None:
        """How outputs of one image, (K,) or (K, H, W), differ from classes; None where they do not.

        Exactly one of them must have one value per class.

        >>> from bitlathe.model.data import load_dataset
        >>> digits = load_dataset("digits")
        >>> digits.unlike_classes((10, 1, 1))
        >>> digits.unlike_classes((10, 8, 8))
        'makes maps of 10x8x8, digits has 10 classes'
        >>> digits.unlike_classes((1,))
        'makes 1 output, digits has 10 classes'
        >>> digits.unlike_classes((4,), (3, 8, 8))
        'makes outputs of 4, 3x8x8, none of which fits the 10 classes of digits'
        """
        if self.classes_among(outputs) is not None:
            return None
        if len(outputs) > 1:
            sizes = ", ".join("x".join(map(str, output)) for output in outputs)
            fitting = sum(map(self._fits_classes, outputs)) or "none"
            return (
                f"makes outputs of {sizes}, {fitting} of which {'fits' if fitting == 'none' else 'fit'} the "
                f"{self.label_kind} of {self.name}"
            )
        count, extent = prod(outputs[0][:1]), prod(outputs[0][1:])
        maps = f"maps of {'x'.join(map(str, outputs[0]))}"
        made = f"{count} output{'s' * (count != 1)}" if extent == 1 else maps
        return f"makes {made}, {self.name} has {self.label_kind}"

    def classes_among(self, outputs: Sequence[tuple[int, ...]]) -> int | None:
        """Number of the only output, of one image, with one value per class; None where none or several have.

        >>> from bitlathe.model.data import load_dataset
        >>> load_dataset("digits").classes_among([(3, 8, 8), (10,)])
        1
        """
        fitting = [number for number, output in enumerate(outputs) if self._fits_classes(output)]
        return fitting[0] if len(fitting) == 1 else None

    def _fits_classes(self, output: tuple[int, ...]) -> bool:
        return self.classifies and (prod(output[:1]), prod(output[1:])) == (self.num_classes, 1)

    def __repr__(self) -> str:
        channels, height, width = self.image_shape
        return (
            f"{self.name}: {len(self.train_labels):,} training and {len(self.test_labels):,} test images of "
            f"{height}x{width}x{channels}, {self.label_kind}"
        )

    def _check_split(self, split: str, images: Images, labels: Labels) -> None:
        where = f"{self.name} {split}"
        if images.dtype != np.uint8 or images.ndim != 4:
            raise DataError(f"{where}: images are {images.dtype} {images.shape}, expected uint8 (N, H, W, C)")
        (self._check_classes if self.classifies else _check_targets)(where, labels, len(images))

    def _check_classes(self, where: str, labels: Labels, images: int) -> None:
        if labels.dtype != np.int64 or labels.shape != (images,):
            raise DataError(f"{where}: labels are {labels.dtype} {labels.shape}, expected int64 ({images},)")
        _check_any(where, images)
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise DataError(
                f"{where}: labels span {labels.min()}..{labels.max()}, "
                f"expected 0..{self.num_classes - 1}; the file belongs to another data set"
            )


def _check_targets(where: str, labels: Labels, images: int) -> None:
    if labels.dtype.kind not in "biuf" or labels.shape[:1] != (images,):
        raise DataError(
            f"{where}: labels are {labels.dtype} {labels.shape}, expected numbers ({images}, ...), one array "
            "an image"
        )
    _check_any(where, labels.size)
    if not np.isfinite(labels).all():
        raise DataError(f"{where}: labels hold NaN or infinity; give finite numbers")


def _check_any(where: str, count: int) -> None:
    if not count:
        raise DataError(f"{where}: no image in it; give at least one")
