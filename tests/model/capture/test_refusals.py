"""Modules without an exact integer form are refused with one line: where, what, how to mend."""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from exact_modules import Forward
from torch import nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.users_code import noting_lines
from bitlathe.model.graph.errors import DataError, UnsupportedLayer

NO_FORM = "has no exact integer form here"
REORDER = "keep the order (N, C, H, W); to flatten another, reorder the next layer's weights once"
SUPPORTED = (
    "use conv2d, linear, batch_norm, relu, relu6, max_pool2d, avg_pool2d, adaptive_avg_pool2d, "
    "mean over height and width, add, cat, flatten, strided slices or channel padding"
)

REFUSED: dict[str, tuple[nn.Module, str]] = {
    "dilation": (
        nn.Conv2d(4, 4, 3, dilation=2),
        "aten.conv2d.default has dilation (2, 2); retrain with dilation 1",
    ),
    "groups": (
        nn.Conv2d(4, 8, 3, groups=2),
        "aten.conv2d.default has 2 groups for 4 input and 8 output channels; "
        "use 1 group, or as many groups as input and output channels (depthwise)",
    ),
    "depth multiplier": (
        nn.Conv2d(4, 8, 3, groups=4),
        "aten.conv2d.default has 4 groups for 4 input and 8 output channels; "
        "use 1 group, or as many groups as input and output channels (depthwise)",
    ),
    "reflected padding": (
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        "aten.pad.default pads with other than zeros; use padding_mode='zeros'",
    ),
    "uneven padding": (
        nn.Conv2d(4, 4, 2, padding="same"),
        "aten.conv2d.padding pads a (2, 2) kernel unevenly; use a kernel of odd size or state the padding",
    ),
    "transposed convolution": (
        nn.ConvTranspose2d(4, 4, 2),
        f"aten.conv_transpose2d.input {NO_FORM}; upsampling has no integer form here; move it to the host",
    ),
    "another activation": (nn.GELU(), f"aten.gelu.default {NO_FORM}; use ReLU or ReLU6"),
    "softmax": (
        nn.Sequential(nn.Flatten(), nn.Softmax(1)),
        f"aten.softmax.int {NO_FORM}; take it off: the largest logit stays the largest",
    ),
    "layer norm": (
        nn.LayerNorm(8),
        f"aten.layer_norm.default {NO_FORM}; use BatchNorm2d, which folds into a convolution",
    ),
    "batch norm without statistics": (
        nn.BatchNorm2d(4, track_running_stats=False),
        f"aten._native_batch_norm_legit.no_stats {NO_FORM}; "
        "keep running statistics (track_running_stats=True)",
    ),
    "batch norm of flattened maps": (
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(256)),
        "aten.batch_norm.default works on 256 flattened features "
        "of a (4, 8, 8) map; apply it to the map before flattening",
    ),
    "ceil mode": (
        nn.MaxPool2d(3, 2, ceil_mode=True),
        "aten.max_pool2d.default rounds its output size up; use ceil_mode=False",
    ),
    "dilated pool": (
        nn.MaxPool2d(2, dilation=2),
        "aten.max_pool2d.default has dilation (2, 2); use dilation 1",
    ),
    "uncounted padding": (
        nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        "aten.avg_pool2d.default leaves its padding out of the average; "
        "use count_include_pad=True or no padding",
    ),
    "overridden divisor": (
        nn.AvgPool2d(2, divisor_override=3),
        "aten.avg_pool2d.default has a divisor_override; divide by the window's area",
    ),
    "uneven adaptive pool": (
        nn.AdaptiveAvgPool2d(3),
        "aten.adaptive_avg_pool2d.default makes 3x3 of a 8x8 map; "
        "choose an output size that divides the map's",
    ),
    "mean over channels": (
        Forward(lambda m, x: x.mean(1)),
        "aten.mean.dim averages over axes [1]; average over height and width, dim=(2, 3)",
    ),
    "dense layer on a map": (
        nn.Linear(8, 3),
        "aten.linear.default works on a tensor of size (2, 4, 8, 8); flatten to (N, features) before it",
    ),
    "active dropout": (
        Forward(lambda m, x: F.dropout(x)),
        f"aten.native_dropout.default {NO_FORM}; "
        "build it so that eval() turns it off (nn.Dropout, or training=self.training)",
    ),
    "product": (
        Forward(lambda m, x: x * x),
        "aten.mul.Tensor takes two tensors; "
        "only sums of two tensors, and constants per channel, are supported",
    ),
    "scaled sum": (
        Forward(lambda m, x: torch.add(x, x, alpha=2)),
        "aten.add.Tensor has alpha 2; use a plain sum",
    ),
    "broadcast sum": (
        Forward(lambda m, x: x + x.mean((2, 3), keepdim=True)),
        "aten.add.Tensor adds sizes (2, 4, 8, 8) and (2, 4, 1, 1); give both summands one size",
    ),
    "a vector and a map of one pixel": (
        Forward(lambda m, x: (y := x.mean((2, 3), keepdim=True)) + y.flatten(1)),
        "aten.add.Tensor adds sizes (2, 4, 1, 1) and (2, 4); give both summands one size",
    ),
    "flattened maps of two shapes": (
        Forward(lambda m, x: F.avg_pool2d(x, (8, 2)).flatten(1) + F.avg_pool2d(x, (2, 8)).flatten(1)),
        "aten.add.Tensor adds flattened maps of (4, 1, 4) and (4, 4, 1); add maps of one shape",
    ),
    "a vector plus a constant map": (
        Forward(lambda m, x: x.mean((2, 3)) + torch.ones(2, 1, 1, 1)),
        "aten.add.Tensor has a constant of shape (2, 1, 1, 1); use one number, or one per channel",
    ),
    "a vector plus a number in a map": (
        Forward(lambda m, x: x[:, :1].mean((2, 3)) * torch.full((1, 1, 1, 1), 2.0)),
        "aten.mul.Tensor makes size (1, 1, 2, 1) of 2 images; keep the images of a batch apart",
    ),
    "constant by position": (
        Forward(lambda m, x: x + torch.ones(8, 8)),
        "aten.add.Tensor has a constant of shape (8, 8); use one number, or one per channel",
    ),
    "joined heights": (
        Forward(lambda m, x: torch.cat([x, x], 2)),
        "aten.cat.default joins [(4, 8, 8), (4, 8, 8)] along axis 2; join channels",
    ),
    "joined constant": (
        Forward(lambda m, x: torch.cat([x, torch.zeros(2, 1, 8, 8)], 1)),
        "aten.cat.default joins a constant; pad channels with torch.nn.functional.pad",
    ),
    "cropping": (
        Forward(lambda m, x: x[:, :, 1:]),
        "aten.slice.Tensor takes range(1, 8) of axis 2; "
        "only every n-th row or column from the first can be taken",
    ),
    "padding of channels and pixels at once": (
        Forward(lambda m, x: F.pad(x, (1, 1, 0, 0, 2, 2))),
        "aten.pad.default pads by [1, 1, 0, 0, 2, 2, 0, 0]; pad channels alone, or height and width alone",
    ),
    "reordered axes": (
        Forward(lambda m, x: x.permute(0, 2, 3, 1)),
        f"aten.permute.default {NO_FORM}; {REORDER}",
    ),
    "swapped axes": (
        Forward(lambda m, x: x.transpose(2, 3)),
        f"aten.transpose.int {NO_FORM}; {REORDER}",
    ),
    "features as channels": (
        Forward(lambda m, x: x.reshape(-1, 256, 1, 1)[:, :10].flatten(1)),
        "aten.reshape.default makes size (2, 256, 1, 1) of (2, 4, 8, 8); "
        "only flattening to (N, features) is supported",
    ),
    "features as a map again": (
        Forward(lambda m, x: x.flatten(1).reshape(-1, 256, 1, 1)),
        "aten.reshape.default makes size (2, 256, 1, 1) of (2, 256); "
        "only flattening to (N, features) is supported",
    ),
    "mixed images": (
        Forward(lambda m, x: x.reshape(1, -1)),
        "aten.reshape.default makes size (1, 512) of 2 images; keep the images of a batch apart",
    ),
    "sequences": (
        Forward(lambda m, x: x.flatten(2)),
        "aten.flatten.using_ints makes a tensor of size (2, 4, 64); keep to (N, C, H, W) and (N, features)",
    ),
    "a function of no network": (
        Forward(lambda m, x: torch.cumsum(x, 2)),
        f"aten.cumsum.default {NO_FORM}; {SUPPORTED}",
    ),
    "another type": (
        Forward(lambda m, x: x.half()),
        f"aten._to_copy.default {NO_FORM}; keep one floating-point type throughout",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unsupported_operation_is_refused_with_its_module_and_a_way_out(case: str) -> None:
    module, message = REFUSED[case]
    network = Forward(lambda m, x: m.block(x), block=Forward(lambda m, x: m.part(x), part=module))
    with pytest.raises(UnsupportedLayer) as error:
        capture(network, (4, 8, 8))
    where, _, problem = str(error.value).partition(": ")
    assert re.fullmatch(r"tests/\S+\.py:\d+ in block\.part[.\d]* \(\w+\)", where), where
    assert problem == message


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (
            lambda m, x: (x, x),
            "forward: its output output0 is the image itself, which the host has; leave it out",
        ),
        (lambda m, x: torch.ones(3), "forward: its output output does not depend on the image; leave it out"),
    ],
)
def test_an_output_that_nothing_computes_is_refused(function: object, problem: str) -> None:
    with pytest.raises(UnsupportedLayer) as error:
        capture(Forward(function), (4, 8, 8))  # type: ignore[arg-type]
    assert str(error.value) == problem


def test_control_flow_on_values_is_refused() -> None:
    with pytest.raises(
        UnsupportedLayer,
        match=r"^forward: its forward chooses by .* in \S+test_refusals\.py:\d+; let no control flow",
    ):
        capture(Forward(lambda m, x: x if x.sum() > 0 else -x), (4, 8, 8))


def test_a_layer_of_brevitas_is_refused_with_the_way_by_onnx() -> None:
    kind = type("QuantConv2d", (nn.Conv2d,), {"__module__": "brevitas.nn.quant_conv"})
    with pytest.raises(
        UnsupportedLayer,
        match=r"^conv \(QuantConv2d\): is quantized by brevitas; export it to ONNX",
    ):
        capture(nn.Sequential(OrderedDict(conv=kind(1, 2, 3))), (1, 8, 8))


class Attention(nn.Module):
    """Several things that have no integer form, one of them in a function that forward calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1, dilation=2)
        self.acts = nn.ModuleList(nn.Hardswish() for _ in range(6))
        self.split = nn.Conv2d(4, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for act in self.acts:
            x = act(x)
        left, right = torch.chunk(self.split(x), 2, 1)
        return scaled(left, right).mean((2, 3))


def scaled(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return one * torch.sigmoid(other)


def line_with(text: str) -> int:
    """Number of the first line of this file that holds a text."""
    return 1 + next(n for n, line in enumerate(Path(__file__).read_text().splitlines()) if text in line)


def test_all_problems_are_told_at_once_with_the_users_lines() -> None:
    with pytest.raises(UnsupportedLayer) as error:
        capture(Attention(), (4, 8, 8), name="net")
    here = Path(__file__).relative_to(Path.cwd())
    places = {
        "first (Conv2d): aten.conv2d.default has dilation (2, 2); retrain with dilation 1": "self.first(x)",
        f"acts.0 (Hardswish): aten.hardswish.default {NO_FORM}; use ReLU or ReLU6 (and 5 more of the same, "
        "in acts.1 (Hardswish), acts.2 (Hardswish), acts.3 (Hardswish), ...)": "x = act(x)",
        f"Attention: aten.split.Tensor {NO_FORM}; "
        "take channels by slices, x[:, :n] and x[:, n:]": "torch.chunk(",
        f"Attention: aten.sigmoid.default {NO_FORM}; at the end take it off: larger outputs stay larger; "
        "elsewhere use ReLU or ReLU6": "return one *",
        "Attention: aten.mul.Tensor takes two tensors; only sums of two tensors, and constants per channel, "
        "are supported": "return one *",
    }
    lines = [f"  {here}:{line_with(code)} in {problem}" for problem, code in places.items()]
    assert str(error.value).splitlines() == ["net: 10 problems", *lines]


def test_what_cannot_be_told_behind_a_refused_operation_is_not_called_wrong() -> None:
    def sequences(m: Forward, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2)  # (N, C, H * W): nothing here has such a tensor
        return torch.relu(tokens * 2 + 1).mean(2)

    with pytest.raises(UnsupportedLayer) as error:
        capture(Forward(sequences), (4, 8, 8))
    assert str(error.value).count("aten.") == 1 and "flatten.using_ints makes a tensor" in str(error.value)


def test_layers_of_a_sequential_are_named_by_the_line_that_made_them() -> None:
    with noting_lines():
        model = nn.Sequential(
            nn.Conv2d(4, 4, 3),
            nn.Softplus(),
            nn.Flatten(),
        )
    with pytest.raises(UnsupportedLayer) as error:
        capture(copy.deepcopy(model), (4, 8, 8))
    line = f"{Path(__file__).relative_to(Path.cwd())}:{line_with('nn.Softplus(),')}"
    assert str(error.value).startswith(f"{line} in 1 (Softplus): aten.softplus.default {NO_FORM}; use conv2d")


def test_every_tensor_that_is_not_finite_is_named() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)).requires_grad_(False)
    model[0].weight[0] = float("nan")
    model[1].weight[1] = float("inf")
    with pytest.raises(DataError) as error:
        capture(model, (4, 8, 8))
    mend = "36 of 144 values are NaN or infinite; load intact weights or train again"
    assert str(error.value) == (
        f"sequential: 2 problems\n  0.weight: {mend} (and 1 more of the same, in 1.weight)"
    )
