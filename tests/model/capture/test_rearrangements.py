"""Whatever moves values is followed value by value, and becomes as few nodes as its reader needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captured_modules import captured_alike, kinds
from exact_modules import Forward
from torch import Tensor, nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_network import FloatConv2d, FloatDense
from bitlathe.model.graph.errors import UnsupportedLayer

SHAPE = (4, 6, 8)
Move = Callable[[Tensor], Tensor]


def shuffled(x: Tensor, groups: int = 2) -> Tensor:
    """As torchvision's ShuffleNet writes it."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)


def shuffled_halves(x: Tensor) -> Tensor:
    """As megvii's ShuffleNet writes it, with images and channels in one axis for a while."""
    n, c, h, w = x.shape
    x = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
    return torch.cat((x[1], x[0]), 1)


def focus(x: Tensor) -> Tensor:
    """Pixels of 2x2 blocks as channels, as YOLOv5 writes it."""
    return torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)


def doubled(x: Tensor) -> Tensor:
    """Nearest neighbour by expansion, as darknet's ports write it."""
    n, c, h, w = x.shape
    return x.view(n, c, h, 1, w, 1).expand(n, c, h, 2, w, 2).contiguous().view(n, c, 2 * h, 2 * w)


def windows(x: Tensor) -> Tensor:
    """Rearranged by hand as a pixel unshuffle."""
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def joined_below_zeros(x: Tensor) -> Tensor:
    return torch.cat([F.pad(part, (0, 0, 1, 0)) for part in x.chunk(2, 1)], 1)


def cut_and_swapped(x: Tensor) -> Tensor:
    x = F.channel_shuffle(F.interpolate(x[:, :, 1:], scale_factor=2), 2)[:, :, 1:]
    return torch.cat(x.chunk(2, 1)[::-1], 1)


MOVES: dict[str, tuple[Move, list[str]]] = {
    "a split in equal parts": (lambda x: x.split(2, 1)[1], ["Conv2d"]),
    "a split in unequal parts": (lambda x: torch.split(x, [1, 3], 1)[1], ["Conv2d"]),
    "chunks": (lambda x: torch.chunk(x, 3, 1)[1], ["Conv2d"]),
    "parts as equal as possible": (lambda x: torch.tensor_split(x, 3, 1)[0], ["Conv2d"]),
    "parts between places": (lambda x: torch.tensor_split(x, (1, 2), 1)[2], ["Conv2d"]),
    "one channel": (lambda x: x[:, 2].unsqueeze(1), ["Conv2d"]),
    "the last channels": (lambda x: x[:, -2:], ["Conv2d"]),
    "channels by a list": (lambda x: x[:, [2, 0]], ["Conv2d"]),
    "channels backwards": (lambda x: x.flip(1), ["Conv2d"]),
    "channels rolled": (lambda x: torch.roll(x, 1, 1), ["Conv2d"]),
    "channels repeated": (lambda x: x.repeat(1, 2, 1, 1), ["Conv2d"]),
    "shuffled channels": (shuffled, ["Conv2d"]),
    "shuffled channels by a layer": (nn.ChannelShuffle(2), ["Conv2d"]),
    "shuffled halves": (shuffled_halves, ["Conv2d"]),
    "every second row from the second": (lambda x: x[:, :, 1::2], ["Conv2d"]),
    "rows and columns that are narrowed": (lambda x: x.narrow(2, 1, 3).narrow(3, 2, 4), []),
    "a crop": (lambda x: x[:, :, 1:-2, 2:], []),
    "a crop by padding": (lambda x: F.pad(x, (-1, -2, -1, 0)), []),
    "zeros on one side": (lambda x: F.pad(x, (0, 1, 0, 1)), []),
    "zeros around": (nn.ZeroPad2d((1, 2, 3, 0)), []),
    "zeros where there was a crop": (lambda x: F.pad(x[:, :, 1:5], (0, 0, 1, 1)), ["Conv2d"]),
    "channels of zeros": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)), ["Conv2d"]),
    "channels and pixels of zeros": (lambda x: F.pad(x, (1, 1, 0, 2, 2, 1)), ["Conv2d"]),
    "pixels as channels": (nn.PixelUnshuffle(2), ["PixelUnshuffle2d"]),
    "pixels as channels by hand": (windows, ["PixelUnshuffle2d"]),
    "pixels as channels, in another order": (focus, ["PixelUnshuffle2d", "Conv2d"]),
    "channels as pixels": (nn.PixelShuffle(2), ["PixelShuffle2d"]),
    "nearest neighbour": (nn.Upsample(scale_factor=2), ["Upsample2d"]),
    "nearest neighbour by size": (lambda x: F.interpolate(x, size=(12, 24)), ["Upsample2d"]),
    "nearest neighbour, exact": (
        lambda x: F.interpolate(x, scale_factor=3, mode="nearest-exact"),
        ["Upsample2d"],
    ),
    "nearest neighbour by expansion": (doubled, ["Upsample2d"]),
    "nearest neighbour by repetition": (
        lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
        ["Upsample2d"],
    ),
    "every second pixel by interpolation": (lambda x: F.interpolate(x, scale_factor=0.5), ["Conv2d"]),
    "rows as channels": (lambda x: x[:, 0].unsqueeze(2), ["Conv2d"]),
    "a crop behind an upsampling": (
        lambda x: F.interpolate(x, scale_factor=2)[:, :, 1:, :-1],
        ["Upsample2d"],
    ),
    "a crop behind channels as pixels": (lambda x: F.pixel_shuffle(x, 2)[:, :, 1:, :-1], ["PixelShuffle2d"]),
    "zeros behind pixels as channels": (
        lambda x: F.pad(F.pixel_unshuffle(x, 2), (1, 0, 0, 1)),
        ["PixelUnshuffle2d"],
    ),
    "every third row of an upsampling": (
        lambda x: F.interpolate(x, scale_factor=2)[:, :, ::3],
        ["Upsample2d", "Conv2d"],
    ),
    "an upsampling of pixels as channels": (
        lambda x: F.interpolate(F.pixel_unshuffle(x, 2), scale_factor=2),
        ["PixelUnshuffle2d", "Upsample2d"],
    ),
    "halves swapped behind a crop behind a shuffle behind an upsampling": (
        cut_and_swapped,
        ["Conv2d", "Upsample2d", "Conv2d"],
    ),
    "parts that are joined with zeros around them": (
        lambda x: joined_below_zeros(F.interpolate(x, scale_factor=2)[:, :, 1:]),
        ["Upsample2d", "Conv2d"],
    ),
    "a map beside itself moved": (
        lambda x: torch.cat([F.pad(x[:, :2, 1:], (0, 0, 0, 1)), F.pad(x[:, 2:, :-1], (0, 0, 1, 0))], 1),
        ["Conv2d", "Conv2d", "Concat"],
    ),
    "through another order and back": (lambda x: F.relu(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), []),
}


@pytest.mark.parametrize("case", MOVES)
def test_a_rearrangement_before_a_convolution_is_as_few_nodes_as_it_needs(case: str) -> None:
    move, wanted = MOVES[case]
    channels = move(torch.zeros(2, *SHAPE)).shape[1]
    module = Forward(
        lambda m, x: m.b(move(F.relu(m.a(x)))), a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(channels, 3, (1, 2))
    )
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", *wanted, "Conv2d"]


READ_AS_VECTOR: dict[str, Move] = {
    "rows first": lambda x: x.permute(0, 2, 3, 1).flatten(1),
    "columns first": lambda x: x.transpose(2, 3).reshape(len(x), -1),
    "a view in two steps": lambda x: x.reshape(-1, 4, 48).transpose(1, 2).reshape(-1, 192),
    "pixels of halves": lambda x: torch.cat([x[:, :2].flatten(1), x[:, 2:].flatten(1)], 1),
    "halves swapped": lambda x: torch.cat([x[:, 2:], x[:, :2]], 1).flatten(1),
}


@pytest.mark.parametrize("case", READ_AS_VECTOR)
def test_a_dense_layer_reads_any_order_of_all_values(case: str) -> None:
    module = Forward(
        lambda m, x: m.b(READ_AS_VECTOR[case](F.relu(m.a(x)))), a=nn.Conv2d(4, 4, 1), b=nn.Linear(192, 5)
    )
    network = captured_alike(module, SHAPE)
    assert kinds(network) == ["Conv2d", "Dense"]
    dense = network.nodes[-1]
    assert isinstance(dense, FloatDense) and set(dense.origin.weight.names()) == {"b.weight"}


FLAT: dict[str, tuple[Move, list[str]]] = {
    "a few features": (lambda x: x.mean((2, 3))[:, 1:3], ["AvgPool2d", "Conv2d"]),
    "part of a map": (lambda x: x[:, :1, :, ::2].flatten(1), ["Conv2d"]),
    "vectors of maps of two sizes": (
        lambda x: torch.cat([F.avg_pool2d(x, 2).flatten(1), F.adaptive_max_pool2d(x, 1).flatten(1)], 1),
        ["AvgPool2d", "Conv2d", "MaxPool2d", "Concat"],
    ),
    "an average of listed pixels": (lambda x: x.flatten(2).mean(2), ["AvgPool2d"]),
    "an average of maps with channels last": (lambda x: x.permute(0, 2, 3, 1).mean((1, 2)), ["AvgPool2d"]),
    "a maximum of listed pixels": (lambda x: x.view(len(x), 4, -1).max(2)[0], ["MaxPool2d"]),
}


@pytest.mark.parametrize("case", FLAT)
def test_a_dense_layer_reads_parts_and_reductions(case: str) -> None:
    move, wanted = FLAT[case]
    features = move(torch.zeros(2, *SHAPE)).shape[1]
    module = Forward(lambda m, x: m.b(move(m.a(x))), a=nn.Conv2d(4, 4, 1), b=nn.Linear(features, 5))
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", *wanted, "Dense"]


def test_a_vector_becomes_a_map_and_a_map_a_vector() -> None:
    square = Forward(
        lambda m, x: m.b(F.relu(m.a(x.flatten(1))).view(-1, 3, 4, 4)),
        a=nn.Linear(192, 48),
        b=nn.Conv2d(3, 2, 3),
    )
    assert kinds(captured_alike(square, SHAPE)) == ["Dense", "PixelShuffle2d", "Conv2d"]
    oblong = Forward(
        lambda m, x: m.b(F.relu(m.a(x.flatten(1))).view(-1, 2, 3, 4)),
        a=nn.Linear(192, 24),
        b=nn.Conv2d(2, 2, 3),
    )
    assert kinds(captured_alike(oblong, SHAPE)) == ["Dense", "ConvTranspose2d", "Conv2d"]
    pixel = Forward(
        lambda m, x: m.b(m.a(x.mean((2, 3)))[:, :, None, None]).squeeze(-1).squeeze(-1),
        a=nn.Linear(4, 6),
        b=nn.Conv2d(6, 3, 1),
    )
    assert kinds(captured_alike(pixel, SHAPE)) == ["AvgPool2d", "Dense", "Conv2d"]
    channels = Forward(
        lambda m, x: m.b(m.a(x).reshape(-1, 96, 1, 1)), a=nn.Conv2d(4, 2, 1), b=nn.Conv2d(96, 3, 1)
    )
    assert kinds(captured_alike(channels, SHAPE)) == ["Conv2d", "Conv2d", "Conv2d"]


def test_layers_in_the_order_of_rows_columns_and_channels_are_convolutions() -> None:
    module = Forward(
        lambda m, x: m.c(F.gelu(m.b(m.a(x).permute(0, 2, 3, 1)))).permute(0, 3, 1, 2),
        a=nn.Conv2d(4, 4, 3, padding=1, groups=4),
        b=nn.Linear(4, 8),
        c=nn.Linear(8, 4),
    )
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Conv2d", "Lookup", "Conv2d"]


def test_padding_that_meets_cut_rows_is_not_joined_with_the_cut() -> None:
    module = Forward(
        lambda m, x: m.b(m.a(x)[:, :, 1:]), a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 3, 3, padding=1)
    )
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Conv2d", "Conv2d"]


def test_zeros_between_layers_become_padding_of_all_that_read_them() -> None:
    def forward(m: Forward, x: Tensor) -> Tensor:
        y = F.pad(m.a(x), (1, 1, 1, 1))
        return m.b(y) + m.c(y)

    module = Forward(forward, a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 3, 3), c=nn.Conv2d(4, 3, 3, dilation=1))
    network = captured_alike(module, SHAPE)
    assert kinds(network) == ["Conv2d", "Conv2d", "Conv2d"]
    assert all(isinstance(n, FloatConv2d) and n.padding == (1, 1) for n in network.nodes[2:])


def test_a_shuffle_of_channels_is_one_selection_whose_weights_are_fixed() -> None:
    module = Forward(lambda m, x: m.b(shuffled(m.a(x))), a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 3, 1))
    _, _, selection, _ = capture(module.eval(), SHAPE).nodes
    assert isinstance(selection, FloatConv2d) and selection.is_selection and selection.origin.is_constant
    assert np.array_equal(selection.weight[:, :, 0, 0], np.eye(4)[[0, 2, 1, 3]])


def test_what_two_layers_read_behind_an_upsampling_shares_it() -> None:
    def forward(m: Forward, x: Tensor) -> Tensor:
        y = F.interpolate(m.a(x), scale_factor=2)
        return m.b(y[:, :, 1:, 1:]) + m.c(y[:, :, :-1, :-1])

    module = Forward(forward, a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 3, 3), c=nn.Conv2d(4, 3, 3))
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Upsample2d", "Conv2d", "Conv2d"]


def test_a_vector_that_two_layers_read_as_a_map_becomes_one_once() -> None:
    def forward(m: Forward, x: Tensor) -> Tensor:
        y = F.relu(m.a(x.flatten(1))).view(-1, 3, 4, 4)
        return m.b(y) + m.c(y)

    module = Forward(forward, a=nn.Linear(192, 48), b=nn.Conv2d(3, 2, 3), c=nn.Conv2d(3, 2, 3))
    assert kinds(captured_alike(module, SHAPE)) == ["Dense", "PixelShuffle2d", "Conv2d", "Conv2d"]


def test_a_crop_behind_a_function_in_another_order_starts_from_its_values() -> None:
    def forward(m: Forward, x: Tensor) -> Tensor:
        y = F.interpolate(m.a(x), scale_factor=2).permute(0, 2, 3, 1)
        return m.b(F.hardswish(y).permute(0, 3, 1, 2)[:, :, 1:])

    module = Forward(forward, a=nn.Conv2d(4, 4, 1), b=nn.Conv2d(4, 3, 3))
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Lookup", "Upsample2d", "Conv2d"]


def test_a_function_of_zeros_in_another_order_is_applied_to_them() -> None:
    module = Forward(
        lambda m, x: m.b(torch.sigmoid(F.pad(m.a(x), (1, 1)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)),
        a=nn.Conv2d(4, 4, 1),
        b=nn.Conv2d(4, 3, 1),
    )
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Conv2d", "Lookup", "Conv2d"]


@pytest.mark.parametrize(
    ("move", "problem"),
    [
        (lambda x: F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1)) + 0.5, "permute.default arranges (4, 6, 8)"),
        (lambda x: F.pad(x.flip(3), (1, 1)).flatten(1), "flip.default arranges (4, 6, 8)"),
        (lambda x: F.interpolate(x, scale_factor=2).flip(3)[:, 1:], "flip.default arranges (4, 12, 16)"),
        (lambda x: F.pad(torch.cat([x[:1], x[:1]]), (1, 1)), "of 2 images; keep the images of a batch apart"),
    ],
)
def test_what_follows_an_order_that_no_node_makes_is_refused_by_the_call_that_made_it(
    move: Move, problem: str
) -> None:
    made = move(torch.zeros(2, *SHAPE))
    reader = nn.Linear(made.shape[1], 3) if made.ndim == 2 else nn.Conv2d(made.shape[1], 3, 1)
    with pytest.raises(UnsupportedLayer) as error:
        capture(Forward(lambda m, x: m.b(move(m.a(x))), a=nn.Conv2d(4, 4, 1), b=reader).eval(), SHAPE)
    assert problem in str(error.value), str(error.value)


@pytest.mark.parametrize(
    ("move", "problem"),
    [
        (lambda x: x.transpose(2, 3), "aten.transpose.int arranges (4, 6, 8) values as (2, 4, 8, 6)"),
        (lambda x: x.flip(3), "aten.flip.default arranges (4, 6, 8) values as (2, 4, 6, 8)"),
        (lambda x: x.reshape(-1, 4, 8, 6), "aten.reshape.default arranges (4, 6, 8) values"),
        (lambda x: torch.cat([x[:1], x[:1]]), "of 2 images; keep the images of a batch apart"),
        (
            lambda x: F.interpolate(x, size=(9, 8)),
            "makes 9 rows or columns of 6; interpolate by a whole number",
        ),
        (lambda x: F.interpolate(x, scale_factor=2.1), "rows or columns"),
        (lambda x: x[:, torch.argmax(x.mean((0, 2, 3)))].unsqueeze(1), "aten."),
    ],
)
def test_an_order_that_no_node_makes_is_refused_by_the_operation_that_made_it(
    move: Move, problem: str
) -> None:
    module = Forward(lambda m, x: F.max_pool2d(move(m.a(x)), 2), a=nn.Conv2d(4, 4, 1))
    with pytest.raises(UnsupportedLayer) as error:
        capture(module.eval(), SHAPE)
    assert problem in str(error.value), str(error.value)


@pytest.mark.parametrize("axis", [1, 2])
def test_parts_along_an_axis_are_that_axis_values_one_by_one(axis: int) -> None:
    module = Forward(lambda m, x: sum(x.unbind(axis)[1:], x.unbind(axis)[0]), a=nn.Conv2d(3, 3, 1))
    captured_alike(module, (3, 4, 5))
