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
FOLDS = "use BatchNorm2d, which folds into a convolution"
WEIGHTS = "use Linear or Conv2d: one factor of a matrix product must be weights"

REFUSED: dict[str, tuple[nn.Module, str]] = {
    "reflected padding": (
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        "aten.pad.default pads with other than zeros; use padding_mode='zeros'",
    ),
    "softmax before another layer": (
        nn.Sequential(nn.Softmax(1), nn.Conv2d(4, 2, 1)),
        f"aten.softmax.int {NO_FORM}; at the end of the network the host takes it over; "
        "elsewhere use a sigmoid",
    ),
    "group norm": (nn.GroupNorm(2, 4), f"aten.group_norm.default {NO_FORM}; {FOLDS}"),
    "instance norm": (nn.InstanceNorm2d(4), f"aten.instance_norm.default {NO_FORM}; {FOLDS}"),
    "a product of matrices": (
        Forward(lambda m, x: torch.bmm(x.flatten(2), x.flatten(2).transpose(1, 2)).mean(2)),
        f"aten.bmm.default {NO_FORM}; {WEIGHTS}",
    ),
    "attention": (
        Forward(lambda m, x: F.scaled_dot_product_attention(x, x, x)),
        f"aten.scaled_dot_product_attention.default {NO_FORM}; {WEIGHTS}",
    ),
    "stacked images": (
        Forward(lambda m, x: torch.stack([x, m.a(x)]).sum(0), a=nn.Conv2d(4, 4, 1)),
        "aten.stack.default makes size (2, 2, 4, 8, 8) of 2 images; keep the images of a batch apart",
    ),
    "an interpolation to another size": (
        Forward(lambda m, x: F.interpolate(x, (12, 8), mode="bilinear")),
        "aten.upsample_bilinear2d.vec makes 12 rows or columns of 8; "
        "interpolate by a whole number, or pad or crop",
    ),
    "rows interpolated to fewer between corners": (
        Forward(lambda m, x: F.interpolate(x, (4, 8), mode="bilinear", align_corners=True)),
        "aten.upsample_bilinear2d.vec makes 4 rows or columns of 8; "
        "interpolate by a whole number, or pad or crop",
    ),
    "a constant for each row": (
        Forward(lambda m, x: x + torch.arange(8.0).view(8, 1)),
        "aten.add.Tensor has a constant of shape (8, 1); use one number, or one per channel",
    ),
    "no channels": (
        Forward(lambda m, x: torch.cat([m.a(x)[:, 2:2].relu(), x], 1), a=nn.Conv2d(4, 4, 1)),
        "aten.slice.Tensor makes size (2, 0, 8, 8), which has no values; leave it out",
    ),
    "no rows": (
        Forward(lambda m, x: x[:, :, 8:].mean((2, 3))),
        "aten.slice.Tensor makes size (2, 4, 0, 8), which has no values; leave it out",
    ),
    "no features": (
        Forward(lambda m, x: F.linear(F.linear(x.mean((2, 3)), torch.zeros(0, 4)), torch.zeros(3, 0))),
        "aten.linear.default makes size (2, 0), which has no values; leave it out",
    ),
    "a quotient": (
        Forward(lambda m, x: x / m.a(x), a=nn.Conv2d(4, 4, 1)),
        "aten.div.Tensor divides a tensor by another; "
        "multiply, or divide by a constant or a function of the same tensor",
    ),
    "rows as columns": (
        Forward(lambda m, x: F.max_pool2d(x.transpose(2, 3), 2)),
        "aten.transpose.int arranges (4, 8, 8) values as (2, 4, 8, 8), which no node here does; "
        "keep the order (N, C, H, W); a dense layer may read any order of flattened values",
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
    "mean over channels and columns": (
        Forward(lambda m, x: x.mean((1, 3))),
        "aten.mean.dim reduces axes [1, 3] of size (2, 4, 8, 8); reduce height and width, dim=(2, 3), "
        "or channels",
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
    "a vector and a map of one pixel": (
        Forward(lambda m, x: (y := x.mean((2, 3), keepdim=True)) + y.flatten(1)),
        "aten.add.Tensor makes size (2, 4, 2, 4) of 2 images; keep the images of a batch apart",
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
    "joined images": (
        Forward(lambda m, x: torch.cat([x, m.a(x)]).sum((2, 3)), a=nn.Conv2d(4, 4, 1)),
        "aten.cat.default joins [(2, 4, 8, 8), (2, 4, 8, 8)] along axis 0; join channels, rows or columns",
    ),
    "joined constant": (
        Forward(lambda m, x: torch.cat([x, torch.zeros(2, 1, 8, 8)], 1)),
        "aten.cat.default joins a constant; pad channels with torch.nn.functional.pad",
    ),
    "mixed images": (
        Forward(lambda m, x: x.reshape(1, -1)),
        "aten.reshape.default makes size (1, 512) of 2 images; keep the images of a batch apart",
    ),
    "a function of no network": (
        Forward(lambda m, x: torch.cumsum(x, 2)),
        f"aten.cumsum.default {NO_FORM}; use a convolution, or leave it to the host",
    ),
    "another type": (
        Forward(lambda m, x: x.half()),
        "aten._to_copy.default makes torch.float16; keep one floating-point type throughout",
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
        (lambda m, x: x[:, :0], "forward: its output output has no values; leave it out"),
    ],
)
def test_an_output_that_nothing_computes_is_refused(function: object, problem: str) -> None:
    with pytest.raises(UnsupportedLayer) as error:
        capture(Forward(function), (4, 8, 8))  # type: ignore[arg-type]
    assert str(error.value) == problem


def test_an_operand_without_channels_is_left_out_of_a_concatenation() -> None:
    network = capture(Forward(lambda m, x: torch.cat([x[:, 4:], m.a(x)], 1), a=nn.Conv2d(4, 3, 1)), (4, 8, 8))
    assert [node.shape for node in network.nodes] == [(4, 8, 8), (3, 8, 8)]


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
        self.first = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")
        self.norms = nn.ModuleList(nn.GroupNorm(2, 4) for _ in range(6))
        self.split = nn.Conv2d(4, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for norm in self.norms:
            x = norm(x)
        left, right = torch.chunk(self.split(x), 2, 1)
        return scaled(left, right).mean((2, 3))


def scaled(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return one * torch.softmax(other, 1)


def line_with(text: str) -> int:
    """Number of the first line of this file that holds a text."""
    return 1 + next(n for n, line in enumerate(Path(__file__).read_text().splitlines()) if text in line)


def test_all_problems_are_told_at_once_with_the_users_lines() -> None:
    with pytest.raises(UnsupportedLayer) as error:
        capture(Attention(), (4, 8, 8), name="net")
    here = Path(__file__).relative_to(Path.cwd())
    places = {
        "first (Conv2d): aten.pad.default pads with other than zeros; "
        "use padding_mode='zeros'": "self.first(x)",
        f"norms.0 (GroupNorm): aten.group_norm.default {NO_FORM}; {FOLDS} (and 5 more of the same, "
        "in norms.1 (GroupNorm), norms.2 (GroupNorm), norms.3 (GroupNorm), ...)": "x = norm(x)",
        f"Attention: aten.softmax.int {NO_FORM}; at the end of the network the host takes it over; "
        "elsewhere use a sigmoid": "return one *",
    }
    lines = [f"  {here}:{line_with(code)} in {problem}" for problem, code in places.items()]
    assert str(error.value).splitlines() == ["net: 8 problems", *lines]


def test_what_cannot_be_told_behind_a_refused_operation_is_not_called_wrong() -> None:
    def sequences(m: Forward, x: torch.Tensor) -> torch.Tensor:
        tokens = torch.cumsum(x.unsqueeze(2).repeat(1, 1, 2, 1, 1), 2)  # (N, C, 2, H, W)
        return torch.relu(tokens * 2 + 1).mean(2)

    with pytest.raises(UnsupportedLayer) as error:
        capture(Forward(sequences), (4, 8, 8))
    assert str(error.value).count("aten.") == 1 and "aten.cumsum.default has no exact" in str(error.value)


def test_layers_of_a_sequential_are_named_by_the_line_that_made_them() -> None:
    with noting_lines():
        model = nn.Sequential(
            nn.Conv2d(4, 4, 3),
            nn.LayerNorm(6),
            nn.Flatten(),
        )
    with pytest.raises(UnsupportedLayer) as error:
        capture(copy.deepcopy(model), (4, 8, 8))
    line = f"{Path(__file__).relative_to(Path.cwd())}:{line_with('nn.LayerNorm(6),')}"
    assert str(error.value).startswith(f"{line} in 1 (LayerNorm): aten.layer_norm.default {NO_FORM}; {FOLDS}")


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
