"""Convolutions by Winograd's products give the reference's integers, and are chosen only where they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from compiled_kernels import mismatches
from small_graphs import conv2d, graph_of

from bitlathe.model.graph.bounds import CodeRange
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.resampling import ConvTranspose2d
from bitlathe.model.native import winograd

BYTE_CODES = CodeRange(lo=-128, hi=127)
UNSIGNED = FixedPoint(bits=8, frac=7, signed=False)
WIDE = FixedPoint(bits=16, frac=-2)

# rows of the transforms of codes and weights, as Lavin and Gray give them, by their signs alone
CODE_SIGNS = (
    (1, 1, -1, 1, 1, 1),
    (1, -1, -1, 1, 1, 1),
    (1, 1, -1, -1, 1, 1),
    (1, -1, -1, 1, 1, 1),
    (1, 1, -1, -1, 1, 1),
    (1, 1, 1, -1, 1, 1),
)
WEIGHT_SIGNS = ((1, 1, 1), (1, -1, 1))


def wide_conv(weight: np.ndarray, **changes: Any) -> Conv2d:
    """A convolution of 3x3 whose 16-bit outputs show what its sums are."""
    return conv2d(weight, **{"padding": (1, 1), "format": WIDE, "lo": -(1 << 15), "hi": 32767, **changes})


def graph_by_winograd(conv: Conv2d, shape: Sequence[int], image: FixedPoint) -> Graph:
    """A graph of the convolution alone, which is one that the products are chosen for."""
    graph = graph_of(conv, shape=shape, image=image)
    assert winograd.pays(conv, graph.shapes[conv.name][1:])
    assert winograd.is_exact(conv, CodeRange(lo=image.lo, hi=image.hi))
    return graph


@pytest.mark.parametrize("channels", [(12, 1), (13, 16), (16, 17), (33, 5), (48, 32)])
@pytest.mark.parametrize("size", [(4, 4), (5, 9), (8, 6), (11, 7)])
@pytest.mark.parametrize("padding", [(1, 1), (0, 2)])
def test_maps_of_any_size_channels_and_padding_give_the_references_integers(
    rng: np.random.Generator, channels: tuple[int, int], size: tuple[int, int], padding: tuple[int, int]
) -> None:
    inside, outside = channels
    conv = wide_conv(rng.integers(-127, 128, (outside, inside, 3, 3)).astype(np.int8), padding=padding)
    height, width = (side + 2 - 2 * zeros for side, zeros in zip(size, padding, strict=True))
    graph = graph_by_winograd(conv, (inside, height, width), UNSIGNED)
    assert graph.shapes[conv.name][1:] == size
    codes = np.concatenate([random_inputs(rng, graph, 4), corner_inputs(graph)])
    assert mismatches(graph, codes) == 0


@pytest.mark.parametrize("image", [FixedPoint(bits=8, frac=7), UNSIGNED])
@pytest.mark.parametrize("weights", [(a, b) for a in WEIGHT_SIGNS for b in WEIGHT_SIGNS])
@pytest.mark.parametrize("sign", [-1, 1])
def test_codes_and_weights_whose_signs_meet_those_of_the_transforms_are_exact(
    image: FixedPoint, weights: tuple[tuple[int, ...], tuple[int, ...]], sign: int
) -> None:
    weight = np.broadcast_to(sign * 127 * np.outer(*weights), (16, 16, 3, 3)).astype(np.int8)
    graph = graph_by_winograd(wide_conv(weight, padding=(0, 0)), (16, 6, 6), image)
    signs = np.array([np.outer(down, across) for down in CODE_SIGNS for across in CODE_SIGNS])
    codes = np.where(np.concatenate([signs, -signs]) > 0, image.hi, image.lo)
    assert mismatches(graph, np.repeat(codes[:, None], 16, axis=1)) == 0


@pytest.mark.parametrize("rounding", list(RoundingMode))
def test_residuals_and_halves_are_those_of_any_convolution(
    rng: np.random.Generator, rounding: RoundingMode
) -> None:
    weight = rng.choice(np.array([-64, 0, 64], np.int8), (16, 16, 3, 3))
    bias = rng.integers(-999, 999, 16).astype(np.int32)
    conv = wide_conv(weight, bias=bias, residual="image", rounding=rounding, weight_frac=tuple(range(4, 20)))
    graph = graph_by_winograd(conv, (16, 7, 5), FixedPoint(bits=8, frac=2))
    codes = np.concatenate([random_inputs(rng, graph, 6), corner_inputs(graph)])
    assert mismatches(graph, codes) == 0


@pytest.mark.parametrize("channels", [(16, 17), (29, 3)])
@pytest.mark.parametrize("size", [(5, 4), (6, 9)])
def test_the_phases_of_a_transposed_convolution_fill_their_own_pixels(
    rng: np.random.Generator, channels: tuple[int, int], size: tuple[int, int]
) -> None:
    inside, outside = channels
    transposed = ConvTranspose2d(
        name="y",
        format=WIDE,
        source="image",
        weight=rng.integers(-127, 128, (outside, inside, 6, 9)).astype(np.int8),
        bias=rng.integers(-999, 999, outside).astype(np.int32),
        weight_bits=8,
        weight_frac=(7,) * outside,
        stride=(2, 3),
        padding=(2, 4),
        lo=WIDE.lo,
        hi=WIDE.hi,
    )
    graph = graph_of(transposed, shape=(inside, *size), image=UNSIGNED)
    assert all(winograd.pays(part.node, size) for part in graph.parts(transposed))
    codes = np.concatenate([random_inputs(rng, graph, 4), corner_inputs(graph)])
    assert mismatches(graph, codes) == 0


def sums_of(channels: int, weight: int) -> Conv2d:
    """A convolution whose every weight is one and the same."""
    return wide_conv(np.full((2, channels, 3, 3), weight, np.int8), format=FixedPoint(bits=16, frac=-6))


@pytest.mark.parametrize(("channels", "is_exact"), [(229, True), (230, False)])
def test_the_largest_sums_that_int32_holds_shifted_are_exact_and_larger_ones_go_another_way(
    rng: np.random.Generator, channels: int, is_exact: bool
) -> None:
    """9 * 229 * 128 * 127 < 2**31 / 64 <= 9 * 230 * 128 * 127."""
    conv = sums_of(channels, 127)
    assert winograd.is_exact(conv, BYTE_CODES) is is_exact
    graph = graph_of(conv, shape=(channels, 4, 5))
    assert mismatches(graph, np.concatenate([random_inputs(rng, graph, 2), corner_inputs(graph)])) == 0


@pytest.mark.parametrize(
    ("bits", "signed", "is_exact"), [(9, True, True), (9, False, False), (16, True, False)]
)
def test_codes_that_outgrow_int16_when_transformed_go_another_way(
    rng: np.random.Generator, bits: int, signed: bool, is_exact: bool
) -> None:
    image, conv = FixedPoint(bits=bits, frac=7, signed=signed), sums_of(16, 9)
    assert winograd.is_exact(conv, CodeRange(lo=image.lo, hi=image.hi)) is is_exact
    graph = graph_of(conv, shape=(16, 6, 6), image=image)
    assert mismatches(graph, np.concatenate([random_inputs(rng, graph, 2), corner_inputs(graph)])) == 0


@pytest.mark.parametrize(("weight", "is_exact"), [(668, True), (669, False)])
def test_weights_that_outgrow_int16_when_transformed_go_another_way(
    rng: np.random.Generator, weight: int, is_exact: bool
) -> None:
    """49 * 668 < 2**15 <= 49 * 669."""
    full = np.full((3, 16, 3, 3), weight, np.int16)
    conv = wide_conv(full, weight_bits=16, format=FixedPoint(bits=16, frac=-9))
    assert winograd.is_exact(conv, BYTE_CODES) is is_exact
    graph = graph_of(conv, shape=(16, 6, 6))
    assert mismatches(graph, np.concatenate([random_inputs(rng, graph, 2), corner_inputs(graph)])) == 0


def test_other_windows_go_another_way(rng: np.random.Generator) -> None:
    weight = rng.integers(-127, 128, (16, 16, 3, 3)).astype(np.int8)
    assert winograd.pays(wide_conv(weight), (8, 8))
    others = [
        wide_conv(weight, stride=(2, 1)),
        wide_conv(weight, dilation=(1, 2)),
        wide_conv(weight[:, :12], groups=2),
        wide_conv(weight[:, :1], groups=16),
        wide_conv(weight[:, :, :1]),
        wide_conv(weight[:, :8]),
    ]
    assert not any(winograd.pays(conv, (8, 8)) for conv in others)
    assert not winograd.pays(wide_conv(weight), (8, 3))
