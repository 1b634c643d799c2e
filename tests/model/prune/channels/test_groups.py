"""Which channels leave together, and why others stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from exact_modules import Forward
from prunable_networks import Branches, Chain, ConvNorm
from torch import Tensor, nn

from bitlathe.model.prune.channels.groups import ChannelGroups, ChannelScope, channel_groups
from bitlathe.model.prune.errors import Unprunable
from bitlathe.model.zoo import build

IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
CLASSES = "its channels are the network's output, such as the classes"


def refusal(groups: ChannelGroups, layer: str) -> str:
    with pytest.raises(Unprunable) as caught:
        groups.find(layer)
    return str(caught.value)


def of(function: Callable[[Forward, Tensor], Tensor], **layers: nn.Module) -> ChannelGroups:
    return channel_groups(Forward(function, **layers), IMAGE, ChannelScope.ALL)


def test_the_default_offers_the_inner_channels_of_residual_blocks() -> None:
    groups = channel_groups(build("resnet20"), torch.randn(1, 3, 32, 32))
    assert [group.name for group in groups] == [f"layer{s}.{b}.conv1" for s in (1, 2, 3) for b in (0, 1, 2)]
    assert groups.width == 3 * (16 + 32 + 64)


def test_all_groups_add_the_channels_that_sums_tie_together() -> None:
    image = torch.randn(1, 3, 32, 32)
    inner, every = (
        channel_groups(build("resnet8"), image),
        channel_groups(build("resnet8"), image, ChannelScope.ALL),
    )
    assert (len(inner), len(every)) == (3, 6)
    assert every.find("layer2.0.shortcut") is every.find("layer2.0.conv2")
    assert refusal(inner, "layer1.0.conv2") == (
        "layer1.0.conv2: cannot be pruned: a sum ties the channels of conv1, layer1.0.conv2 together; "
        "widen the scope to all groups"
    )


@pytest.mark.parametrize("layer", ["conv1", "layer1.2.conv2", "layer2.0.conv2", "layer3.1.conv2"])
def test_the_stage_width_of_option_a_is_refused_with_the_shortcuts_named(layer: str) -> None:
    groups = channel_groups(build("resnet20"), torch.randn(1, 3, 32, 32), ChannelScope.ALL)
    assert refusal(groups, layer) == (
        f"{layer}: cannot be pruned: maps of 16, 32, 64 channels are summed and layer2.0.shortcut, "
        "layer3.0.shortcut (option A) places channels by position, so removing some would shift the others; "
        "prune channels inside the blocks"
    )


def test_classes_image_and_followers_are_refused() -> None:
    groups = channel_groups(build("resnet8"), torch.randn(1, 3, 32, 32), ChannelScope.ALL)
    assert refusal(groups, "linear") == f"linear: cannot be pruned: {CLASSES}"
    assert refusal(groups, "input") == "input: cannot be pruned: the image brings its channels"
    assert refusal(groups, "layer1.0.bn1") == (
        "layer1.0.bn1: cannot be pruned: it follows the channels of layer1.0.conv1; name that layer"
    )


def test_an_unknown_layer_is_answered_with_those_there_are() -> None:
    groups = channel_groups(build("lenet5"), torch.randn(1, 1, 8, 8))
    assert refusal(groups, "conv9") == (
        "conv9: no such layer; those that can be pruned: conv1, conv2, fc1, fc2"
    )


def test_a_skipped_layer_is_no_longer_offered() -> None:
    groups = channel_groups(build("lenet5"), torch.randn(1, 1, 8, 8)).without(["conv1"])
    assert [group.name for group in groups] == ["conv2", "fc1", "fc2"]
    assert refusal(groups, "conv1") == "conv1: cannot be pruned: it is skipped"
    with pytest.raises(Unprunable, match=r"^nothing: no such layer"):
        groups.without(["nothing"])


def test_a_flattened_map_takes_its_pixels_along() -> None:
    group = channel_groups(build("lenet5"), torch.randn(1, 1, 8, 8)).find("conv2")
    consumer = group.members[-1]
    assert consumer.layer == "fc1"
    assert [consumer.indices[consumer.channels == 3].tolist()] == [[12, 13, 14, 15]]


def test_parts_of_a_concatenation_that_is_flattened_at_once_keep_their_offsets() -> None:
    model = Chain([Branches(3, [2, 5], keeps_input=False)], flattens=True)
    group = channel_groups(model, IMAGE).find("blocks.0.branches.1.conv")
    (hidden,) = (member for member in group.members if member.layer == "hidden")
    assert hidden.indices.tolist() == list(range(4 * 2, 4 * 7))


CUT = "its channels pass {} in Forward, which takes them by position or mixes them"


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x: x[:, :4], "slice"),
        (lambda x: torch.cat(x.split([1, 5], 1)[::-1], 1), "split_with_sizes"),
        (lambda x: x / x.norm(dim=1, keepdim=True), "linalg_vector_norm"),
        (lambda x: x.roll(1, 1), "roll"),
        (lambda x: x.softmax(1), "softmax"),
        (lambda x: nn.functional.conv2d(x, torch.ones(6, 6, 1, 1)), "convolution"),
    ],
)
def test_channels_that_an_operation_takes_by_position_or_mixes_stay_and_the_others_go(
    function: Callable[[Tensor], Tensor], operation: str
) -> None:
    groups = of(
        lambda m, x: m.last(torch.cat([function(m.first(x)).mean((2, 3)), m.other(x).mean((2, 3))], 1)),
        first=nn.Conv2d(3, 6, 3),
        other=nn.Conv2d(3, 5, 3),
        last=nn.LazyLinear(2),
    )
    assert [group.name for group in groups] == ["other"]
    assert refusal(groups, "first") == f"first: cannot be pruned: {CUT.format(operation)}"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda m, x: m.first(x) + x, "its channels are tied to the image's"),
        (lambda m, x: m.first(x) * m.scales, "a bare parameter outside any layer depends on its channels"),
        (lambda m, x: m.first(x) + torch.ones(1, 3, 1, 1), "a constant tensor is put together with its"),
        (
            lambda m, x: m.first(x).view(2, 3, -1).mean(2),
            "without one of its channels the forward",
        ),
        (
            lambda m, x: m.first(x).view(2, 3, 1, *x.shape[2:]).transpose(1, 2).flatten(1, 2),
            "without one of its channels the forward",
        ),
    ],
)
def test_channels_that_must_stay_are_told_of_with_their_reason(
    function: Callable[[Forward, Tensor], Tensor], reason: str
) -> None:
    model = Forward(
        lambda m, x: m.last(function(m, x).flatten(1)),
        first=nn.Conv2d(3, 3, 3, padding=1),
        last=nn.LazyLinear(2),
    )
    model.scales = nn.Parameter(torch.ones(1, 3, 1, 1))
    groups = channel_groups(model, IMAGE, ChannelScope.ALL)
    assert len(groups) == 0
    (line,) = groups.told()
    assert line.startswith(f"first: cannot be pruned: {reason}")


def test_a_convolution_that_is_summed_with_parts_joined_gives_their_channels_with_them() -> None:
    groups = of(
        lambda m, x: m.last((m.whole(x) + torch.cat([m.left(x), m.right(x)], 1)).mean((2, 3))),
        whole=nn.Conv2d(3, 6, 3),
        left=nn.Conv2d(3, 2, 3),
        right=nn.Conv2d(3, 4, 3),
        last=nn.Linear(6, 2),
    )
    assert [(group.name, group.width, group.producers) for group in groups] == [
        ("left", 2, ("left", "whole")),
        ("right", 4, ("right", "whole")),
    ]


def test_a_layer_that_runs_twice_ties_what_it_reads() -> None:
    groups = of(
        lambda m, x: m.last(m.again(m.again(m.first(x))).mean((2, 3))),
        first=nn.Conv2d(3, 4, 3),
        again=nn.Conv2d(4, 4, 3),
        last=nn.Linear(4, 2),
    )
    (group,) = groups
    assert (group.name, group.width, group.producers) == ("first", 4, ("first", "again"))


def test_extremes_of_a_whole_map_and_layers_called_by_keyword_leave_the_rest_prunable() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Conv2d(5, 2, 3))

        def forward(self, x: Tensor) -> Tensor:
            x = (x - x.min()) / (x.max() - x.min())
            return self.c(self.b(input=self.a(x)))

    groups = channel_groups(Scaled(), torch.rand(2, 3, 12, 12), ChannelScope.ALL)
    assert {name for group in groups for name in group.producers} == {"a", "b"}


def test_a_grouped_transposed_convolution_is_refused() -> None:
    groups = of(
        lambda m, x: m.last(m.grouped(m.first(x)).mean((2, 3))),
        first=nn.Conv2d(3, 4, 3),
        grouped=nn.ConvTranspose2d(4, 6, 3, groups=2),
        last=nn.Linear(6, 2),
    )
    assert refusal(groups, "first") == (
        "first: cannot be pruned: its channels pass grouped, a ConvTranspose2d that cannot lose channels"
    )


def test_a_layer_of_another_kind_is_refused() -> None:
    groups = of(
        lambda m, x: m.last(m.norm(m.first(x)).mean((2, 3))),
        first=nn.Conv2d(3, 4, 3),
        norm=nn.GroupNorm(2, 4),
        last=nn.Linear(4, 2),
    )
    assert "norm, a GroupNorm that cannot lose channels" in refusal(groups, "first")


def test_shared_and_computed_weights_are_refused() -> None:
    first, second, last = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3), nn.Linear(3, 2)
    second.weight = first.weight
    groups = of(lambda m, x: m.last(m.second(m.first(x)).mean((2, 3))), first=first, second=second, last=last)
    assert refusal(groups, "first") == (
        "first: cannot be pruned: a tensor of first is shared with another layer"
    )
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    groups = of(lambda m, x: m.last(m.normed(x).mean((2, 3))), normed=normed, last=nn.Linear(4, 2))
    assert "computed by a parametrization" in refusal(groups, "normed")


def test_a_layer_that_is_an_output_too_is_refused() -> None:
    groups = of(lambda m, x: m.first(x) * 2, first=nn.Conv2d(3, 4, 3))
    assert refusal(groups, "first") in (
        "first: cannot be pruned: its channels reach the network's output",
        f"first: cannot be pruned: {CLASSES}",
    )


def test_channels_pass_through_fake_quantization() -> None:
    def rounded(x: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x, 0.125, 0, -128, 127)

    groups = of(
        lambda m, x: m.dense(rounded(m.second(rounded(m.first(x)))).mean((2, 3))),
        first=nn.Conv2d(3, 4, 3),
        second=nn.Conv2d(4, 6, 3),
        dense=nn.Linear(6, 5),
    )
    assert [(group.name, group.width) for group in groups] == [("first", 4), ("second", 6)]


def test_the_last_channel_of_a_layer_stays() -> None:
    model = Chain([ConvNorm(3, 1), ConvNorm(1, 2)], flattens=False)
    assert refusal(channel_groups(model, IMAGE), "blocks.0.conv").endswith("it has one channel left")


def test_frozen_layers_are_traced_and_modes_are_kept() -> None:
    model = build("resnet8").requires_grad_(False)
    model.bn1.eval()
    assert len(channel_groups(model, torch.randn(1, 3, 32, 32))) == 3
    assert model.training and not model.bn1.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_input_that_the_network_cannot_take_is_explained() -> None:
    with pytest.raises(
        Unprunable, match=r"^CifarResNet: cannot be traced with an input of \(1, 5, 8, 8\) \("
    ):
        channel_groups(build("resnet8"), torch.randn(1, 5, 8, 8))
