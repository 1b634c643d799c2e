"""Where a network's own normalisation goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_modules import Forward, make_exact, pixel_inputs
from torch import nn

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import logits
from bitlathe.model.capture.float_network import FloatNetwork
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.quantize.config import InputMode
from bitlathe.model.quantize.front import place_front
from bitlathe.model.zoo import Normalize

SHAPE = (3, 8, 8)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)


def exact_front() -> nn.Module:
    """A normalisation by powers of two, so that folding it rounds nothing."""
    front = Normalize((0.0,) * 3, (1.0,) * 3)
    front.scale.copy_(torch.tensor([2.0, 1.0, 0.5]))
    front.offset.copy_(torch.tensor([-0.5, 0.25, 1.0]))
    return front


def network_of(first: nn.Module, *rest: nn.Module) -> FloatNetwork:
    return capture(make_exact(nn.Sequential(exact_front(), first, *rest)), SHAPE)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 4, 3),),
        (nn.Conv2d(3, 3, 3, groups=3),),
        (nn.Flatten(), nn.Linear(192, 5)),
    ],
    ids=["convolution", "depthwise", "dense"],
)
def test_a_normalisation_folds_exactly_into_a_layer_without_padding(layers: tuple[nn.Module, ...]) -> None:
    network = network_of(*layers)
    placed = place_front(network, IMAGES, InputMode.AUTO)
    x = pixel_inputs(3, SHAPE)
    assert placed.network.front is None and placed.preprocess.is_offset
    assert torch.equal(logits(placed.network, x), logits(network, x))


def test_a_padded_layer_sends_the_normalisation_to_the_host() -> None:
    network = network_of(nn.Conv2d(3, 4, 3, padding=1))
    placed = place_front(network, IMAGES, InputMode.AUTO)
    # values reach 2 * 127/128 - 0.5, 127/128 + 0.25, 1 + 0.5 and down to -2.5: two integer bits, frac 5
    assert (placed.format.bits, placed.format.frac, placed.network) == (8, 5, network)
    pixels = np.arange(256)
    expected = np.floor(((pixels - 128) / 128 * 2 - 0.5) * 32 + 0.5)
    assert np.array_equal(placed.preprocess.table[:, 0], expected)


def test_folding_into_a_padded_layer_differs_at_the_border_only() -> None:
    network = network_of(nn.Conv2d(3, 4, 3, padding=1))
    folded = place_front(network, IMAGES, InputMode.FOLD).network
    x = pixel_inputs(2, SHAPE)
    before, after = (logits(net, x).reshape(2, 4, 8, 8) for net in (network, folded))
    assert torch.equal(before[..., 1:-1, 1:-1], after[..., 1:-1, 1:-1])
    assert not torch.equal(before, after)


def test_a_normalisation_read_by_a_pool_cannot_be_folded() -> None:
    network = capture(
        Forward(lambda m, x: nn.functional.max_pool2d(m.front(x), 2), front=exact_front()), SHAPE
    )
    assert not place_front(network, IMAGES, InputMode.AUTO).preprocess.is_offset
    with pytest.raises(UnsupportedLayer) as error:
        place_front(network, IMAGES, InputMode.FOLD)
    assert str(error.value) == (
        "max_pool2d: reads the normalised image without weights to fold the normalisation into; "
        "use input_mode table"
    )


def test_a_network_without_normalisation_takes_bytes_as_they_are() -> None:
    network = capture(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)), SHAPE)
    for mode in InputMode:
        placed = place_front(network, IMAGES, mode)
        assert placed.preprocess.is_offset and (placed.format.bits, placed.format.frac) == (8, 7)
