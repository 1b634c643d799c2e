"""The small modules do what their formulas say."""

from __future__ import annotations

import pytest
import torch
from tolerances import sum_tolerance

from bitlathe.model.zoo import Normalize, PadShortcut


def test_normalize_equals_the_published_formula_on_every_byte() -> None:
    pixels = torch.arange(256.0).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    normalize = Normalize.imagenet()
    mean = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
    std = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    found, expected = normalize((pixels - 128) / 128), (pixels / 255 - mean) / std
    # (pixel / 255 - mean) / std adds two numbers of at most 1 / 0.224, in three operations
    assert torch.allclose(found, expected, rtol=0, atol=sum_tolerance(3, 2 / 0.224))


def test_normalize_leaves_the_state_dict_alone() -> None:
    assert Normalize.imagenet().state_dict() == {}


@pytest.mark.parametrize(("inputs", "outputs", "front"), [(16, 32, 8), (13, 32, 9), (16, 29, 6), (5, 5, 0)])
def test_pad_shortcut_puts_zero_channels_in_front_and_behind(inputs: int, outputs: int, front: int) -> None:
    x = torch.randn(2, inputs, 7, 7, generator=torch.Generator().manual_seed(0))
    y = PadShortcut(inputs, outputs, 2)(x)
    assert y.shape == (2, outputs, 4, 4)
    assert torch.equal(y[:, front : front + inputs], x[:, :, ::2, ::2])
    assert torch.count_nonzero(y) == torch.count_nonzero(x[:, :, ::2, ::2])
