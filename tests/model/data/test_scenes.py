"""Pictures drawn of digits: the same for the same seed, with boxes around what the masks show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitlathe.model.data import load_dataset
from bitlathe.model.data.load import image_shape_of
from bitlathe.model.data.scenes import MOST_DIGITS, NO_DIGIT, SIDE, Scenes, scenes


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_dataset("digits")
    return data.train_images[..., 0].repeat(3, axis=1).repeat(3, axis=2), data.train_labels


@pytest.fixture(scope="module")
def drawn(digits: tuple[np.ndarray, np.ndarray]) -> Scenes:
    return scenes(*digits, count=40, seed=3)


def test_equal_seeds_draw_equal_pictures(digits: tuple[np.ndarray, np.ndarray], drawn: Scenes) -> None:
    same, other = scenes(*digits, count=40, seed=3), scenes(*digits, count=40, seed=4)
    for name in ("images", "boxes", "masks"):
        assert np.array_equal(getattr(same, name), getattr(drawn, name))
        assert not np.array_equal(getattr(other, name), getattr(drawn, name))


def test_every_picture_has_one_to_five_digits(drawn: Scenes) -> None:
    counts = (drawn.boxes[..., 0] != NO_DIGIT).sum(axis=1)
    assert (counts.min(), counts.max()) == (1, MOST_DIGITS)
    assert drawn.images.shape == (40, SIDE, SIDE, 1) and drawn.images.dtype == np.uint8


def test_a_box_is_the_frame_of_its_digit_in_the_mask(drawn: Scenes) -> None:
    for rows, mask in zip(drawn.boxes, drawn.masks, strict=True):
        covered = np.zeros_like(mask)
        for digit, left, top, right, bottom in rows[rows[:, 0] != NO_DIGIT].astype(int):
            part = mask[top:bottom, left:right]
            assert set(np.unique(part)) <= {0, digit + 1}
            assert part.any(axis=1)[[0, -1]].all() and part.any(axis=0)[[0, -1]].all()
            covered[top:bottom, left:right] = 1
        assert not mask[covered == 0].any()


def test_digits_are_of_varied_size_and_brighter_than_what_is_around(drawn: Scenes) -> None:
    boxes = drawn.boxes[drawn.boxes[..., 0] != NO_DIGIT]
    heights = boxes[:, 4] - boxes[:, 2]
    assert heights.min() < 22 and heights.max() > 40
    images = drawn.images[..., 0]
    assert images[drawn.masks > 0].mean() > images[drawn.masks == 0].mean() + 60
    assert (images[drawn.masks == 0] > 100).mean() > 0.005  # clutter


def test_boxes_and_masks_are_of_the_same_pictures(data_root: Path) -> None:
    boxes, masks = load_dataset("digit_boxes", data_root), load_dataset("digit_masks", data_root)
    assert np.array_equal(boxes.test_images, masks.test_images)
    assert boxes.image_shape == image_shape_of("digit_boxes") == (1, SIDE, SIDE)
    assert (boxes.label_kind, masks.label_kind) == (
        "targets of 5x5 float32",
        "targets of 96x96 uint8",
    )
