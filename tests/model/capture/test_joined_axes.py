"""Tensors joined along new axes, rows and columns, and channels that are reduced, as PyTorch does it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captured_modules import captured_alike, kinds
from exact_modules import Forward
from torch import Tensor, nn
from torch.nn import functional as F

SHAPE = (4, 8, 6)
JOINED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a new axis before channels": lambda a, b: torch.stack([a, b], 1).flatten(1, 2),
    "channels in turn": lambda a, b: torch.stack([a, b], 2).flatten(1, 2),
    "branches averaged": lambda a, b: torch.stack([a, b, a], 1).mean(1),
    "the largest of branches": lambda a, b: torch.stack([a, b], 2).amax(2),
    "one tensor twice": lambda a, b: torch.stack([a, a.flip(1)], 1).sum(1) + b,
    "vectors": lambda a, b: torch.stack([a.mean((2, 3)), b.amax((2, 3))], -1).flatten(1),
    "rows": lambda a, b: torch.cat([a, b[:, :, :3]], 2),
    "columns of three maps": lambda a, b: torch.cat([a, b, a], 3),
    "a map and itself": lambda a, b: torch.cat([a, a], 3) + torch.cat([b, b], 3),
    "sequences": lambda a, b: torch.cat([a.mean(2), b.amax(2)], 2),
}
REDUCED: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda x: x.mean(1, keepdim=True),
    "mean without its axis": lambda x: x.mean(1).unsqueeze(1) * 2,
    "sum as a gate": lambda x: x * torch.sigmoid(x.sum(1, keepdim=True)),
    "largest": lambda x: x.amax(1, keepdim=True),
    "largest of seven": lambda x: torch.max(torch.cat([x, x[:, 1:]], 1), 1, keepdim=True)[0],
    "largest of each group": lambda x: x.unflatten(1, (2, 2)).amax(2),
    "largest across groups": lambda x: x.unflatten(1, (2, 2)).amax(1),
    "features": lambda x: x.mean((2, 3)).mean(1, keepdim=True),
    "sequence": lambda x: x.mean(2).amax(1, keepdim=True),
}


@pytest.mark.parametrize("case", JOINED)
def test_joined_tensors_are_those_of_pytorch(case: str) -> None:
    module = Forward(lambda m, x: JOINED[case](m.a(x), m.b(x)), a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 4, 1))
    captured_alike(module, SHAPE)


@pytest.mark.parametrize("case", REDUCED)
def test_reduced_channels_are_those_of_pytorch(case: str) -> None:
    captured_alike(nn.Sequential(nn.Conv2d(4, 4, 1), Forward(lambda m, x: REDUCED[case](x))), SHAPE)


@pytest.mark.parametrize("size", [(4, 3), (2, 6), (2, 2), (1, 18), (24, 3)])
def test_maps_are_interpolated_up_and_down_by_whole_factors(size: tuple[int, int]) -> None:
    captured_alike(
        Forward(lambda m, x: F.interpolate(m.a(x), size, mode="bilinear"), a=nn.Conv2d(4, 4, 1)), SHAPE
    )


def test_a_stack_that_is_seen_as_channels_is_a_concatenation() -> None:
    join = JOINED["a new axis before channels"]
    module = Forward(lambda m, x: join(m.a(x), m.b(x)), a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 4, 1))
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Conv2d", "Concat"]
