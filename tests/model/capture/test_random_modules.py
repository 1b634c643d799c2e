"""Random chains of operators are captured as what they compute, unless one of them is what no node does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from captured_modules import captured_alike
from exact_modules import Forward
from torch import Tensor, nn
from torch.nn import functional as F

from bitlathe.model.graph.errors import UnsupportedLayer

Step = Callable[[Tensor], Tensor]

STEPS: Sequence[Step] = (
    lambda x: F.pad(x, (1, 0, 0, 2)),
    lambda x: F.pad(x, (-1, 1, 0, 0)),
    lambda x: x[:, 1:] if x.shape[1] > 1 else x,
    lambda x: x[:, :, ::2],
    lambda x: x[:, :, :, 1:],
    lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    lambda x: torch.cat([x, x.flip(1)], 1),
    lambda x: F.channel_shuffle(x, 2) if x.shape[1] % 2 == 0 else x,
    lambda x: F.interpolate(x, scale_factor=2),
    lambda x: F.pixel_unshuffle(x, 2) if x.shape[2] % 2 == x.shape[3] % 2 == 0 else x,
    lambda x: F.pixel_shuffle(x, 2) if x.shape[1] % 4 == 0 else x,
    lambda x: F.max_pool2d(x, 2, ceil_mode=True),
    lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    lambda x: F.adaptive_max_pool2d(x, (2, 5)),
    lambda x: F.relu(x),
    lambda x: torch.tanh(2 * x + 0.5),
    lambda x: x * torch.sigmoid(x),
    lambda x: x - 0.3 * F.max_pool2d(x, 3, 1, 1),
    lambda x: torch.maximum(x, x.mean((2, 3), keepdim=True)),
    lambda x: x * torch.sigmoid(x.amax((2, 3), keepdim=True)),
    lambda x: x.permute(0, 2, 3, 1).relu().permute(0, 3, 1, 2),
    lambda x: x.flatten(2).view(x.shape),
)


def stirred(x: Tensor) -> Tensor:
    """Rows and channels mixed, which no node does."""
    return x.transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("number", range(24))
def test_a_random_chain_computes_what_the_module_does(number: int, rng: np.random.Generator) -> None:
    captured_alike(chain([STEPS[index] for index in rng.integers(0, len(STEPS), 4)], number), (4, 6, 8))


@pytest.mark.parametrize("number", range(4))
def test_a_chain_with_what_no_node_does_is_refused_by_its_name(number: int, rng: np.random.Generator) -> None:
    chosen = [STEPS[index] for index in rng.integers(0, len(STEPS), 3)]
    module = chain([*chosen[:2], stirred, F.hardswish, F.hardtanh, chosen[2]], 1)
    with pytest.raises(UnsupportedLayer, match=r"transpose.int arranges .* which no node here"):
        captured_alike(module, (4, 6, 8))


def chain(chosen: Sequence[Step], number: int) -> Forward:
    """A module of a convolution, some steps, and a reader that differs from number to number."""

    def moved(x: Tensor) -> Tensor:
        for step in chosen:
            x = step(x)
        return x

    size = moved(torch.zeros(2, 4, 6, 8)).shape
    reader: nn.Module = nn.Conv2d(size[1], 3, 1 + number % 2, padding=number % 2)
    if number % 3 == 0:
        reader = nn.Sequential(nn.Flatten(), nn.Linear(size[1:].numel(), 3))
    return Forward(lambda m, x: m.b(moved(m.a(x))), a=nn.Conv2d(4, 4, 1), b=reader)
