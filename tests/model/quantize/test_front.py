"""Where a network's own normalisation goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_modules import Forward, make_exact, pixel_inputs
from torch import nn

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import logits, normalized
from bitlathe.model.capture.float_network import FloatNetwork
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import ImageCodes
from bitlathe.model.graph.normalization import Normalization
from bitlathe.model.graph.reference import evaluate_all
from bitlathe.model.quantize.config import InputMode
from bitlathe.model.quantize.exact_network import Pixels
from bitlathe.model.quantize.front import place_front
from bitlathe.model.quantize.quantizer import quantize
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


def scaled_front(scale: float, offset: float) -> nn.Module:
    front = Normalize((0.0,) * 3, (1.0,) * 3)
    front.scale.fill_(scale)
    front.offset.fill_(offset)
    return front


def network_seeing(normalization: str, *layers: nn.Module) -> FloatNetwork:
    seen = Normalization.parse(normalization)
    return capture(make_exact(nn.Sequential(Normalize(seen.mean, seen.std), *layers)), SHAPE)


def all_pixels() -> torch.Tensor:
    """Every pixel value in every channel, as the float model takes them."""
    pixels = torch.arange(256.0).view(4, 1, 8, 8).expand(4, 3, 8, 8)
    return (pixels - 128) / 128


def rounds_nothing(network: FloatNetwork) -> bool:
    """Whether the codes that enter a placed network have exactly the values that its first layers expect."""
    placed = place_front(network, IMAGES, InputMode.AUTO)
    entered = Pixels(placed.preprocess, placed.format)(all_pixels())
    values = placed.network.front and normalized(placed.network.front, all_pixels())
    return torch.equal(entered, all_pixels() if values is None else values)


PADDED = (nn.Conv2d(3, 4, 3, padding=1),)
PADDED_BEHIND_A_POOL = (nn.MaxPool2d(3, 1, 1), nn.Conv2d(3, 4, 3, padding=1))
PADDED_BY_ITSELF = (nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(3, 4, 3))
PADDED_BEHIND_AN_AVERAGE = (nn.AvgPool2d(3, 1, 1), nn.Flatten(), nn.Linear(192, 5))


@pytest.mark.parametrize("layers", [PADDED, PADDED_BY_ITSELF, PADDED_BEHIND_A_POOL, PADDED_BEHIND_AN_AVERAGE])
@pytest.mark.parametrize(("normalization", "frac"), [("raw", 0), ("range=0..1", 8), ("mean=0,std=2", 8)])
def test_pixels_enter_as_they_are_where_zero_padding_stands_for_pixel_0(
    normalization: str, frac: int, layers: tuple[nn.Module, ...]
) -> None:
    network = network_seeing(normalization, *layers)
    placed = place_front(network, IMAGES, InputMode.AUTO)
    assert placed.format == FixedPoint(bits=8, frac=frac, signed=False)
    assert placed.preprocess.is_pixel and placed.preprocess.table.dtype == np.uint8
    assert rounds_nothing(network)
    expected = logits(network, all_pixels())
    scale = expected.abs().max().item()
    assert torch.allclose(logits(placed.network, all_pixels()), expected, rtol=0, atol=1e-6 * scale)


def test_a_normalisation_about_pixel_128_folds_into_a_padded_layer() -> None:
    network = capture(make_exact(nn.Sequential(scaled_front(3.0, 0.0), *PADDED)), SHAPE)
    placed = place_front(network, IMAGES, InputMode.AUTO)
    assert placed.preprocess.is_offset and rounds_nothing(network)
    assert torch.equal(logits(placed.network, all_pixels()), logits(network, all_pixels()))


@pytest.mark.parametrize("normalization", ["-1..1", "imagenet", "mean=0.5,std=0.25"])
def test_padding_that_is_no_pixels_value_needs_a_signed_table(normalization: str) -> None:
    placed = place_front(network_seeing(normalization, *PADDED), IMAGES, InputMode.AUTO)
    assert placed.format.signed and not (placed.preprocess.is_offset or placed.preprocess.is_pixel)


def test_a_table_without_negative_values_has_no_sign_bit_to_waste() -> None:
    network = network_seeing("range=1..0", *PADDED)
    placed = place_front(network, IMAGES, InputMode.AUTO)
    assert placed.format == FixedPoint(bits=8, frac=8, signed=False)
    assert len(np.unique(placed.preprocess.table)) >= 255  # 256 of 256 rounds to 255
    assert place_front(network_of(*PADDED), IMAGES, InputMode.TABLE).format.signed


def test_a_falling_normalisation_is_not_folded_through_a_maximum() -> None:
    network = network_seeing("range=1..0", nn.MaxPool2d(2), nn.Conv2d(3, 4, 3))
    placed = place_front(network, IMAGES, InputMode.AUTO)
    assert torch.equal(logits(placed.network, all_pixels()), logits(network, all_pixels()))
    assert not placed.preprocess.is_offset


class Joined(nn.Module):
    """Features, which a ReLU keeps from being negative, beside the image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.pool, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.AvgPool2d(2), nn.Conv2d(6, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raw = (x + 1) * 128
        return self.last(torch.cat([self.pool(raw), torch.relu(self.first(raw))[:, :, ::2, ::2]], 1))


class JoinedWhole(Joined):
    """The same without the pool."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raw = (x + 1) * 128
        return self.last(torch.cat([raw, torch.relu(self.first(raw))], 1))


@pytest.mark.parametrize("kind", [Joined, JoinedWhole])
def test_what_is_made_of_unsigned_pixels_alone_is_unsigned(kind: type[nn.Module]) -> None:
    made = quantize(kind().eval(), IMAGES)
    signed = {node.name for node in made.graph.nodes if node.format.signed}
    assert made.preprocess.is_pixel and signed == {"last"}


class Shown(nn.Module):
    """Classes, and the normalised image itself, halved."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.last = nn.AvgPool2d(2), nn.Conv2d(3, 2, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        half = self.pool((x + 1) * 96)
        return self.last(half), half


def test_a_normalised_image_that_is_an_output_is_not_folded_away() -> None:
    network = capture(Shown().eval(), SHAPE)
    placed = place_front(network, IMAGES, InputMode.AUTO)
    assert placed.preprocess.kind is ImageCodes.TABLE
    made = quantize(Shown().eval(), IMAGES)
    form = made.graph.by_name["pool"].format
    codes = evaluate_all(made.graph, made.preprocess.codes(IMAGES))["pool"]
    pooled = nn.functional.avg_pool2d(torch.from_numpy(IMAGES).permute(0, 3, 1, 2) * 0.75, 2).numpy()
    assert np.abs(codes * form.scale - pooled).max() <= 2 * form.scale
