"""The image input contract, in its float and its integer form, and labels as PyTorch's losses take them.

A byte image enters as q = pixel - 128, an int8 with frac 7; its value is q / 128.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bitlathe.model.data.dataset import Labels
from bitlathe.model.graph.arrays import Images

INPUT_FRAC = 7  # binary point of an input code
PIXEL_ZERO = 128  # the byte whose code is 0


def to_input(images: Images | torch.Tensor) -> torch.Tensor:
    """Network input of byte images: (N, H, W, C) uint8 -> (N, C, H, W) float32 in [-1, 1).

    The result is contiguous in that order, as networks that flatten by `.view` expect.
    """
    # not .contiguous(), which leaves a single channel with the strides of channels_last
    pixels = torch.as_tensor(images).permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
    return (pixels.float() - PIXEL_ZERO) * 2.0**-INPUT_FRAC


def to_codes(images: Images) -> NDArray[np.int8]:
    """Integer twin of `to_input`: (N, H, W, C) uint8 -> (N, C, H, W) int8, value = code / 128."""
    codes = (images.astype(np.int16) - PIXEL_ZERO).astype(np.int8)
    return np.ascontiguousarray(codes.transpose(0, 3, 1, 2))


def to_target(labels: Labels | torch.Tensor) -> torch.Tensor:
    """Labels (N, ...) for a loss: int64 where they are integers, else float32."""
    target = torch.as_tensor(labels)
    return target.float() if target.is_floating_point() else target.long()
