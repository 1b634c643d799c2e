"""The images that methods train on, calibrate with and are judged by, and the loss that they train by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from bitlathe.model.compress.randomness import order_generator, step_generator
from bitlathe.model.data import Dataset, Images, Labels, to_input, to_target
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.files.settings import SEEDS, is_seed
from bitlathe.model.train.batches import Batch, pad_border, part_of, random_views, steps_of
from bitlathe.model.train.losses import CROSS_ENTROPY, TaskLoss
from bitlathe.model.train.teacher import Teacher


@dataclass(frozen=True, kw_only=True, eq=False)
class MethodData:
    """Training images and held-out images; never the test split.

    Raises DataError for epochs without an image.
    """

    train_images: Images
    train_labels: Labels
    held_images: Images  # judge candidates; never trained on
    held_labels: Labels
    batch_size: int
    augment: bool  # shifted crops and left-right flips
    epoch_images: int | None = None  # random training images per epoch; None: all
    loss: TaskLoss = CROSS_ENTROPY
    teacher: Teacher | None = None  # whose answers are learned beside the labels

    def __post_init__(self) -> None:
        if self.epoch_images is not None and self.epoch_images < 1:
            raise DataError(f"{self.epoch_images} images an epoch; give 1 or more, or leave it out for all")

    @classmethod
    def split(
        cls,
        dataset: Dataset,
        *,
        held_out: int,
        batch_size: int,
        augment: bool,
        seed: int = 0,
        epoch_images: int | None = None,
        loss: TaskLoss = CROSS_ENTROPY,
        teacher: Teacher | None = None,
    ) -> MethodData:
        """Hold out `held_out` random training images.

        Raises DataError if that leaves no image on either side, for a seed outside 0..2**63-1, and where
        targets would not follow their augmented images.
        """
        _check_split(dataset, held_out, seed)
        _check_augment(dataset, augment)
        order = np.random.default_rng(seed).permutation(len(dataset.train_labels))
        held, kept = np.sort(order[:held_out]), np.sort(order[held_out:])
        return cls(
            train_images=dataset.train_images[kept],
            train_labels=dataset.train_labels[kept],
            held_images=dataset.train_images[held],
            held_labels=dataset.train_labels[held],
            batch_size=batch_size,
            augment=augment,
            epoch_images=epoch_images,
            loss=loss,
            teacher=teacher,
        )

    @classmethod
    def whole(
        cls,
        dataset: Dataset,
        *,
        batch_size: int,
        augment: bool,
        epoch_images: int | None = None,
        loss: TaskLoss = CROSS_ENTROPY,
        teacher: Teacher | None = None,
    ) -> MethodData:
        """All training images, none held out: for runs that do not choose between methods.

        Raises DataError where targets would not follow their augmented images.
        """
        _check_augment(dataset, augment)
        return cls(
            train_images=dataset.train_images,
            train_labels=dataset.train_labels,
            held_images=dataset.train_images[:0],
            held_labels=dataset.train_labels[:0],
            batch_size=batch_size,
            augment=augment,
            epoch_images=epoch_images,
            loss=loss,
            teacher=teacher,
        )

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return steps_of(self._epoch_images, self.batch_size)

    @cached_property
    def guess(self) -> float | None:
        """Loss of outputs that ignore the image; None where it is not known, as beside a teacher."""
        if self.loss.guess is None or self.teacher is not None:
            return None
        return self.loss.guess(self.train_labels)

    def batch(self, seed: int, epoch: int, step: int) -> Batch:
        """Batch `step` of an epoch: images (N, C, H, W) float32 and labels (N, ...) as a loss takes them."""
        order = torch.randperm(len(self.train_labels), generator=order_generator(seed, epoch))
        chosen = order[part_of(self._epoch_images, self.batch_size, step)]
        images = self._views(chosen, step_generator(seed, epoch, step))
        return to_input(images), to_target(self._labels[chosen])

    @property
    def _epoch_images(self) -> int:
        return min(len(self.train_labels), self.epoch_images or len(self.train_labels))

    def _views(self, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if not self.augment:
            return self._images[chosen]
        return random_views(self._padded, chosen, generator)

    @cached_property
    def _images(self) -> torch.Tensor:
        return torch.from_numpy(self.train_images)

    @cached_property
    def _labels(self) -> torch.Tensor:
        return torch.from_numpy(self.train_labels)

    @cached_property
    def _padded(self) -> torch.Tensor:
        return pad_border(self._images)


def _check_split(dataset: Dataset, held_out: int, seed: int) -> None:
    count = len(dataset.train_labels)
    if not 0 < held_out < count:
        raise DataError(
            f"{dataset.name}: cannot hold out {held_out} of {count} training images; give a `held_out` of "
            f"1 to {count - 1}"
        )
    if not is_seed(seed):
        raise DataError(f"{dataset.name}: the seed is {seed}; make it in {SEEDS}")


def _check_augment(dataset: Dataset, augment: bool) -> None:
    if augment and not dataset.classifies:
        raise DataError(
            f"{dataset.name}: augment is true, which shifts and mirrors images but not their "
            f"{dataset.label_kind}; leave it out"
        )
