"""The batches of an epoch: how many, of which images, seen through which random crops."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bitlathe.model.data import PIXEL_ZERO
from bitlathe.model.graph.errors import DataError

CROP_BORDER = 4  # pixels a crop may shift each way

Batch = tuple[torch.Tensor, torch.Tensor]  # (N, C, H, W) float32, labels (N, ...) int64 or float32


def steps_of(images: int, batch_size: int) -> int:
    """Number of batches in an epoch; a last single image joins the batch before it.

    Batch norm cannot train on one image: a 1x1 map of it has one value per channel.

    >>> steps_of(96, 32), steps_of(97, 32), steps_of(98, 32), steps_of(3, 1)
    (3, 3, 4, 3)
    """
    whole, rest = divmod(images, batch_size)
    return whole if rest == 0 or (rest == 1 and whole) else whole + 1


def part_of(images: int, batch_size: int, step: int) -> slice:
    """Positions of batch `step` in an epoch's order.

    >>> part_of(97, 32, 2), part_of(98, 32, 3)
    (slice(64, 97, None), slice(96, 98, None))
    """
    is_last = step == steps_of(images, batch_size) - 1
    return slice(step * batch_size, images if is_last else (step + 1) * batch_size)


def forward_in_training(model: nn.Module, images: torch.Tensor) -> Any:
    """What `model` returns of a batch (N, C, H, W) in training mode.

    Raises DataError if batch norm would take the variance of one value.
    """
    try:
        return model.train()(images)
    except ValueError as error:
        if len(images) > 1:
            raise
        raise DataError(
            "training: batch norm cannot take the variance of one image, whose channels have one value each; "
            "take batches, and epochs, of 2 images or more"
        ) from error


def pad_border(images: torch.Tensor) -> torch.Tensor:
    """Surround (N, H, W, C) bytes with CROP_BORDER pixels that stand for input value zero."""
    border = (0, 0) + (CROP_BORDER,) * 4
    return functional.pad(images, border, value=PIXEL_ZERO)


def random_views(padded: torch.Tensor, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Crops of `padded[chosen]`, randomly shifted and half of them mirrored, in one gather.

    `padded` is (M, H + 2 * CROP_BORDER, W + 2 * CROP_BORDER, C); the result (N, H, W, C).
    """
    rows = _window(padded.shape[1], len(chosen), generator)
    columns = _window(padded.shape[2], len(chosen), generator)
    mirrored = torch.rand(len(chosen), 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    return padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def _window(padded_size: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Consecutive positions of `count` random crops along one axis, (count, size)."""
    start = torch.randint(0, 2 * CROP_BORDER + 1, (count, 1), generator=generator)
    return start + torch.arange(padded_size - 2 * CROP_BORDER)
