"""Convolutions, transposed ones and pools of every geometry that PyTorch has, also along sequences."""

from __future__ import annotations

import pytest
import torch
from captured_modules import captured_alike, kinds
from exact_modules import Forward
from torch import nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_network import FloatConv2d, FloatConvTranspose2d, FloatMaxPool2d
from bitlathe.model.graph.errors import UnsupportedLayer

SHAPE = (4, 9, 7)

WINDOWS: dict[str, tuple[nn.Module, str]] = {
    "groups": (nn.Conv2d(4, 6, 3, groups=2), "Conv2d"),
    "depth multiplier": (nn.Conv2d(4, 12, 3, padding=1, groups=4), "Conv2d"),
    "depthwise": (nn.Conv2d(4, 4, (5, 1), groups=4), "Conv2d"),
    "dilation": (nn.Conv2d(4, 5, 3, padding=(2, 3), dilation=(2, 3)), "Conv2d"),
    "dilation, groups and stride": (nn.Conv2d(4, 6, 3, 2, 2, 2, 2), "Conv2d"),
    "same, even kernel": (nn.Conv2d(4, 5, (2, 4), padding="same"), "Conv2d"),
    "same, dilated": (nn.Conv2d(4, 5, (2, 3), padding="same", dilation=(3, 2)), "Conv2d"),
    "large kernel and stride": (nn.Conv2d(4, 5, 7, stride=5, padding=6), "Conv2d"),
    "transposed": (nn.ConvTranspose2d(4, 3, 2, 2), "ConvTranspose2d"),
    "transposed with output padding": (nn.ConvTranspose2d(4, 3, 3, 2, 1, 1), "ConvTranspose2d"),
    "transposed with groups": (
        nn.ConvTranspose2d(4, 6, (3, 4), (1, 3), (1, 0), (0, 2), 2),
        "ConvTranspose2d",
    ),
    "transposed, depthwise": (nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=4, bias=False), "ConvTranspose2d"),
    "transposed, dilated": (nn.ConvTranspose2d(4, 3, 3, 2, 1, 1, dilation=2), "ConvTranspose2d"),
    "transposed, dilated, of groups": (
        nn.ConvTranspose2d(4, 6, (3, 2), (1, 2), (1, 0), groups=2, dilation=(2, 3)),
        "ConvTranspose2d",
    ),
    "max pool, dilated": (nn.MaxPool2d(2, 1, dilation=2), "MaxPool2d"),
    "max pool, rounded up": (nn.MaxPool2d(3, 2, ceil_mode=True), "MaxPool2d"),
    "max pool, rounded up and padded": (nn.MaxPool2d((3, 4), (2, 3), (1, 2), ceil_mode=True), "MaxPool2d"),
    "max pool with indices": (
        Forward(lambda m, x: F.max_pool2d(x, 2, return_indices=True)[0]),
        "MaxPool2d",
    ),
    "average without padding counted": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "IntervalPool2d"),
    "average, rounded up": (nn.AvgPool2d(2, 2, ceil_mode=True), "IntervalPool2d"),
    "average, rounded up and padded": (nn.AvgPool2d(4, 3, 1, ceil_mode=True), "IntervalPool2d"),
    "average by another divisor": (nn.AvgPool2d(2, divisor_override=3), "IntervalPool2d"),
    "average by its own divisor": (nn.AvgPool2d(3, 1, 1, divisor_override=9), "AvgPool2d"),
    "average without padding": (nn.AvgPool2d((3, 2), count_include_pad=False), "AvgPool2d"),
    "adaptive average": (nn.AdaptiveAvgPool2d((4, 3)), "IntervalPool2d"),
    "adaptive average of more places than rows": (nn.AdaptiveAvgPool2d((11, 2)), "IntervalPool2d"),
    "adaptive average along one axis": (nn.AdaptiveAvgPool2d((None, 1)), "AvgPool2d"),
    "adaptive maximum": (nn.AdaptiveMaxPool2d((2, 5)), "IntervalPool2d"),
    "adaptive maximum of all": (nn.AdaptiveMaxPool2d(1), "MaxPool2d"),
    "maximum of all": (Forward(lambda m, x: x.amax((2, 3))), "MaxPool2d"),
    "maximum of rows": (Forward(lambda m, x: torch.max(x, dim=2, keepdim=True)[0]), "MaxPool2d"),
    "mean of columns": (Forward(lambda m, x: x.mean(3, keepdim=True)), "AvgPool2d"),
    "sum of all": (Forward(lambda m, x: x.sum((2, 3))), "IntervalPool2d"),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), "Interpolate2d"),
    "bilinear by three along an axis": (nn.Upsample(scale_factor=(1, 3), mode="bilinear"), "Interpolate2d"),
    "bilinear by two and eight": (nn.Upsample(scale_factor=(2, 8), mode="bilinear"), "Interpolate2d"),
    "bilinear down by three": (
        Forward(lambda m, x: F.interpolate(x, (3, 7), mode="bilinear")),
        "Conv2d",
    ),
    "mean of channels": (Forward(lambda m, x: x.mean(1, keepdim=True)), "Conv2d"),
    "sum of channels of groups": (Forward(lambda m, x: x.unflatten(1, (2, 2)).sum(1)), "Conv2d"),
    "mean of channels of groups": (Forward(lambda m, x: x.unflatten(1, (2, 2)).mean(2)), "Conv2d"),
    "bilinear by size": (Forward(lambda m, x: F.interpolate(x, (36, 7), mode="bilinear")), "Interpolate2d"),
    "bilinear layer of old": (
        Forward(lambda m, x: F.interpolate(x, (18, 7), mode="bilinear", align_corners=True)),
        "Interpolate2d",
    ),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_a_layer_of_any_geometry_is_one_node(case: str) -> None:
    layer, kind = WINDOWS[case]
    assert kinds(captured_alike(nn.Sequential(nn.Conv2d(4, 4, 1), layer), SHAPE)) == ["Conv2d", kind]


def test_corners_that_are_aligned_along_both_axes_take_two_nodes() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.UpsamplingBilinear2d(scale_factor=2))
    network = captured_alike(module, SHAPE)
    assert kinds(network) == ["Conv2d", "Interpolate2d", "Interpolate2d"]


@pytest.mark.parametrize("aligned", [False, True])
def test_a_pooled_pixel_is_interpolated_by_copies(aligned: bool) -> None:
    module = Forward(
        lambda m, x: F.interpolate(
            m.a(F.adaptive_avg_pool2d(x, 1)), x.shape[2:], mode="bilinear", align_corners=aligned
        ),
        a=nn.Conv2d(4, 3, 1),
    )
    assert kinds(captured_alike(module, SHAPE)) == ["AvgPool2d", "Conv2d", "Upsample2d"]


def test_batch_norm_and_clamps_go_into_transposed_and_grouped_convolutions() -> None:
    module = nn.Sequential(
        nn.ConvTranspose2d(4, 6, 3, 2, 1, groups=2, bias=False),
        *(nn.BatchNorm2d(6), nn.ReLU6()),
        *(nn.Conv2d(6, 9, 3, groups=3, bias=False), nn.BatchNorm2d(9), nn.ReLU()),
    )
    network = captured_alike(module, SHAPE)
    assert kinds(network) == ["ConvTranspose2d", "Conv2d"]
    first, second = network.nodes[1:]
    assert isinstance(first, FloatConvTranspose2d) and (first.low, first.high) == (0, 6)
    assert isinstance(second, FloatConv2d) and second.groups == 3 and second.low == 0
    assert {"0.weight", "1.weight"} <= set(first.origin.weight.names())


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 6, 3, groups=2), nn.Conv2d(4, 3, 1)], ids=str)
def test_batch_norm_before_a_convolution_without_padding_goes_into_it(layer: nn.Conv2d) -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Tanh(), nn.BatchNorm2d(4), layer)
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Lookup", "Conv2d"]


def test_batch_norm_before_padding_stays_apart() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Tanh(), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1))
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Lookup", "Conv2d", "Conv2d"]


@pytest.mark.parametrize("between", [[], [nn.ReLU()]], ids=["alone", "before a ReLU"])
def test_batch_norm_of_flattened_maps_goes_into_the_dense_layer(between: list[nn.Module]) -> None:
    layers = [nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(105), *between, nn.Linear(105, 5)]
    made = kinds(captured_alike(nn.Sequential(*layers), SHAPE))
    assert made == (["Conv2d", "Conv2d", "Dense"] if between else ["Conv2d", "Dense"])


def test_a_relu_behind_a_pixel_shuffle_goes_into_the_convolution() -> None:
    network = captured_alike(nn.Sequential(nn.Conv2d(4, 8, 1), nn.PixelShuffle(2), nn.ReLU()), SHAPE)
    assert kinds(network) == ["Conv2d", "PixelShuffle2d"]


def sequences() -> nn.Module:
    """A network for sequences, of one row."""
    return nn.Sequential(
        nn.Flatten(2),
        *(nn.Conv1d(3, 8, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(8), nn.ReLU()),
        nn.MaxPool1d(3, 2, 1),
        *(nn.Conv1d(8, 8, 3, padding="same", dilation=2, groups=4), nn.PReLU(8)),
        *(nn.AvgPool1d(2), nn.Conv1d(8, 6, 1), nn.Hardswish()),
        *(nn.ConvTranspose1d(6, 4, 4, 2, 1), nn.Upsample(scale_factor=2), nn.AdaptiveMaxPool1d(5)),
        *(nn.Flatten(), nn.Linear(20, 4)),
    )


def test_layers_of_sequences_are_maps_of_one_row() -> None:
    network = captured_alike(sequences(), (3, 1, 40))
    assert all(node.shape[1] == 1 for node in network.nodes)
    pool = next(node for node in network.nodes if isinstance(node, FloatMaxPool2d))
    assert (pool.kernel_size, pool.stride, pool.padding) == ((1, 3), (1, 2), (0, 1))


def test_rows_of_an_image_may_be_the_steps_of_a_sequence() -> None:
    module = Forward(
        lambda m, x: m.b(torch.relu(m.a(x.squeeze(1))).mean(-1)),
        a=nn.Conv1d(10, 6, 3),
        b=nn.Linear(6, 3),
    )
    assert kinds(captured_alike(module, (1, 10, 8))) == ["Conv2d", "Conv2d", "AvgPool2d", "Dense"]


def test_a_map_of_sequences_that_is_an_output_has_its_size() -> None:
    network = capture(nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 5, 1)).eval(), (3, 1, 6))
    assert network.form.sizes == ((5, 6),)


def test_a_divisor_of_the_whole_window_divides_windows_over_the_edge_too() -> None:
    captured_alike(Forward(lambda m, x: F.avg_pool2d(x, 2, ceil_mode=True, divisor_override=4)), SHAPE)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_scale_that_is_not_that_of_the_sizes_is_refused(mode: str) -> None:
    module = Forward(lambda m, x: F.interpolate(x, scale_factor=2.1, mode=mode))  # 12.6 rows of 6
    with pytest.raises(UnsupportedLayer, match=r"makes 12 rows or columns of 6 by a scale of 2\.1"):
        capture(module, (4, 6, 6))
