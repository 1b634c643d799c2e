"""Batches hold every image once; an augmented image is a shifted, perhaps mirrored one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.model.data import Images
from bitlathe.model.train.batches import CROP_BORDER, pad_border, part_of, random_views, steps_of


def numbered_images(count: int, size: int = 8) -> Images:
    """Images whose every pixel differs from all others of the image."""
    image = np.arange(size * size, dtype=np.uint8).reshape(size, size, 1)
    return np.stack([image] * count)


@given(st.integers(1, 30), st.integers(1, 12))
def test_the_parts_of_an_epoch_are_all_of_its_images(count: int, batch_size: int) -> None:
    order = np.arange(count)
    parts = [order[part_of(count, batch_size, step)] for step in range(steps_of(count, batch_size))]
    assert np.array_equal(np.concatenate(parts), order)
    assert all(len(part) == batch_size for part in parts[:-1])
    if min(count, batch_size) > 1:
        assert min(map(len, parts)) > 1 and max(map(len, parts)) <= batch_size + 1


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
