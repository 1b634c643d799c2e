"""Batches hold every image once; an augmented image is a shifted, perhaps mirrored one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.model.data import Images
from bitlathe.model.train.batches import CROP_BORDER, Batches, pad_border, random_views


def numbered_images(count: int, size: int = 8) -> Images:
    """Images whose every pixel differs from all others of the image."""
    image = np.arange(size * size, dtype=np.uint8).reshape(size, size, 1)
    return np.stack([image] * count)


def batches(count: int, batch_size: int, *, augment: bool = False) -> Batches:
    return Batches(
        numbered_images(count),
        np.arange(count),
        batch_size=batch_size,
        augment=augment,
        generator=torch.Generator().manual_seed(5),
    )


@given(st.integers(1, 30), st.integers(1, 12), st.booleans())
def test_an_epoch_holds_every_image_once(count: int, batch_size: int, augment: bool) -> None:
    split = batches(count, batch_size, augment=augment)
    parts = [labels for _, labels in split.epoch()]
    assert len(parts) == len(split)
    assert sorted(torch.cat(parts).tolist()) == list(range(count))


@given(st.integers(2, 30), st.integers(2, 12))
def test_no_batch_of_two_or_more_images_leaves_one_over(count: int, batch_size: int) -> None:
    parts = [len(labels) for _, labels in batches(count, batch_size).epoch()]
    assert min(parts) > 1 and max(parts) <= batch_size + 1
    assert all(size == batch_size for size in parts[:-1])


def test_epochs_come_in_different_orders() -> None:
    split = batches(50, 50)
    (_, first), (_, second) = next(split.epoch()), next(split.epoch())
    assert not torch.equal(first, second)


def test_the_border_is_input_value_zero() -> None:
    padded = pad_border(torch.zeros(1, 8, 8, 1, dtype=torch.uint8))
    assert padded.shape == (1, 16, 16, 1)
    assert torch.unique(padded[:, :CROP_BORDER]).tolist() == [128]


def possible_views(image: torch.Tensor) -> set[bytes]:
    """Every crop of one padded image, straight and mirrored."""
    size = image.shape[0] - 2 * CROP_BORDER
    shifts = range(2 * CROP_BORDER + 1)
    crops = [image[r : r + size, c : c + size] for r in shifts for c in shifts]
    return {view.numpy().tobytes() for crop in crops for view in (crop, crop.flip(1))}


@pytest.mark.parametrize("seed", [0, 1])
def test_every_view_is_a_shifted_or_mirrored_crop_and_all_occur(seed: int) -> None:
    padded = pad_border(torch.from_numpy(numbered_images(1)))
    generator = torch.Generator().manual_seed(seed)
    views = random_views(padded, torch.zeros(4000, dtype=torch.int64), generator)
    assert {view.numpy().tobytes() for view in views} == possible_views(padded[0])
