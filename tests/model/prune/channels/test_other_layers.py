"""Pruning through grouped and transposed convolutions, shuffles, splits and products of maps."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from exact_modules import Forward
from prunable_networks import masked_twin, prepared, random_removal
from tolerances import sum_tolerance, terms_of
from torch import Tensor, nn
from torch.nn import functional as F

from bitlathe.model.prune.channels.costs import ChannelCosts, Metric
from bitlathe.model.prune.channels.group_lasso import GroupLasso
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.rebuild import shrink_to
from bitlathe.model.prune.channels.removal import prune
from bitlathe.model.prune.channels.scores import find_criterion, score_channels
from bitlathe.model.prune.channels.selection import Selection
from bitlathe.model.zoo.cost import macs

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def resnext() -> nn.Module:
    """A grouped convolution between two 1x1 convolutions, with a shortcut."""
    return Forward(
        lambda m, x: m.last(
            F.relu(m.out(F.relu(m.norm(m.grouped(F.relu(m.into(m.stem(x))))))) + m.stem(x)).mean((2, 3))
        ),
        stem=nn.Conv2d(3, 6, 3, padding=1),
        into=nn.Conv2d(6, 12, 1),
        grouped=nn.Conv2d(12, 20, 3, padding=1, groups=4),
        norm=nn.BatchNorm2d(20),
        out=nn.Conv2d(20, 6, 1),
        last=nn.Linear(6, 4),
    )


def depth_multiplier() -> nn.Module:
    return Forward(
        lambda m, x: m.last(F.hardswish(m.out(F.silu(m.norm(m.deep(F.relu(m.stem(x))))))).mean((2, 3))),
        stem=nn.Conv2d(3, 5, 3),
        deep=nn.Conv2d(5, 15, 3, groups=5),
        norm=nn.BatchNorm2d(15),
        out=nn.Conv2d(15, 6, 1),
        last=nn.Linear(6, 4),
    )


def u_net() -> nn.Module:
    """Transposed convolutions, one of them depthwise, and skips that are joined."""

    def run(m: Forward, x: Tensor) -> Tensor:
        down = F.relu(m.down(x))
        inner = F.relu(m.norm(m.inner(F.max_pool2d(down, 2))))
        up = F.relu(m.norm_up(m.up(inner)))
        wide = m.wide(F.leaky_relu(m.joined(torch.cat([down, up], 1)), 0.1))
        return m.last(F.interpolate(wide, scale_factor=2, mode="bilinear"))

    return Forward(
        run,
        down=nn.Conv2d(3, 5, 3, padding=1),
        inner=nn.Conv2d(5, 8, 3, padding=1),
        norm=nn.BatchNorm2d(8),
        up=nn.ConvTranspose2d(8, 6, 2, stride=2, bias=False),
        norm_up=nn.BatchNorm2d(6),
        joined=nn.Conv2d(11, 7, 3, padding=1),
        wide=nn.ConvTranspose2d(7, 7, 3, stride=2, padding=1, output_padding=1, groups=7),
        last=nn.Conv2d(7, 2, 1),
    )


def shuffles() -> nn.Module:
    """Pixels from channels, channels from pixels, nearest upsampling."""
    return Forward(
        lambda m, x: m.last(F.interpolate(m.back(m.mid(m.up(F.relu(m.wide(x)))).relu()), scale_factor=2)),
        wide=nn.Conv2d(3, 20, 3, padding=1),
        up=nn.PixelShuffle(2),
        mid=nn.Conv2d(5, 4, 3, padding=1),
        back=nn.PixelUnshuffle(2),
        last=nn.Conv2d(16, 2, 1),
    )


def channel_shuffle(shuffle: Callable[[Tensor], Tensor]) -> nn.Module:
    """Two grouped convolutions with a shuffle between them."""
    return Forward(
        lambda m, x: m.last(m.second(shuffle(F.relu(m.first(m.stem(x))))).mean((2, 3))),
        stem=nn.Conv2d(3, 12, 1),
        first=nn.Conv2d(12, 18, 1, groups=3),
        second=nn.Conv2d(18, 12, 3, groups=3),
        last=nn.Linear(12, 4),
    )


def shuffled_by_hand(x: Tensor) -> Tensor:
    count, channels, height, width = x.shape
    return x.view(count, 3, channels // 3, height, width).transpose(1, 2).reshape(x.shape)


def halves() -> nn.Module:
    """Halves of a map that go different ways and are joined in the other order."""

    def run(m: Forward, x: Tensor) -> Tensor:
        one, other = F.relu(m.stem(x)).chunk(2, 1)
        return m.last(torch.cat([m.side(other), one], 1).mean((2, 3)))

    return Forward(run, stem=nn.Conv2d(3, 12, 3), side=nn.Conv2d(6, 5, 1), last=nn.Linear(11, 4))


def squeeze_excite() -> nn.Module:
    """A map times a vector made of it, and times another map."""

    def run(m: Forward, x: Tensor) -> Tensor:
        x = F.relu(m.stem(x))
        gate = torch.sigmoid(m.excite(F.relu(m.squeeze(x.mean((2, 3), keepdim=True)))))
        return m.last(m.slopes(m.mixed(x * gate) * m.other(x)).mean((2, 3)))

    return Forward(
        run,
        stem=nn.Conv2d(3, 8, 3),
        squeeze=nn.Conv2d(8, 4, 1),
        excite=nn.Conv2d(4, 8, 1),
        mixed=nn.Conv2d(8, 6, 1),
        other=nn.Conv2d(8, 6, 1),
        slopes=nn.PReLU(6),
        last=nn.Linear(6, 4),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[str, int]]] = {
    "resnext": (resnext, {"stem": 6, "into": 3, "grouped": 5}),
    "depth multiplier": (depth_multiplier, {"stem": 5, "out": 6}),
    "u-net": (u_net, {"down": 5, "inner": 8, "up": 6, "joined": 7}),
    "shuffles": (shuffles, {"wide": 5, "mid": 4}),
    "channel shuffle": (lambda: channel_shuffle(nn.ChannelShuffle(3)), {"stem": 4, "first": 2, "second": 4}),
    "channel shuffle by hand": (
        lambda: channel_shuffle(shuffled_by_hand),
        {"stem": 4, "first": 2, "second": 4},  # places 0, 2, 4 meet in the second layer's groups
    ),
    "halves": (halves, {"stem": 6, "side": 5}),
    "squeeze-excite": (squeeze_excite, {"stem": 8, "squeeze": 4, "mixed": 6}),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(1)
    return prepared(NETWORKS[name][0]())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pruned_network_equals_its_masked_twin_and_comes_back_from_its_state(
    name: str, rng: np.random.Generator
) -> None:
    widths = NETWORKS[name][1]
    model = made(name)
    for round_ in range(6):
        if round_ % 2 == 0:
            model = made(name)
        groups = channel_groups(model, IMAGES, ChannelScope.ALL)
        if round_ % 2 == 0:
            assert {group.name: group.width for group in groups} == widths
        removed = random_removal(rng, groups)
        twin, costs = masked_twin(model, groups, removed), ChannelCosts.of(model, IMAGES)
        selection = Selection(groups=groups, removed=removed)
        expected_costs = {metric: costs.total(metric, selection.cuts()) for metric in list(Metric)[:2]}
        prune(model, selection, example=IMAGES)
        with torch.no_grad():
            expected, found = twin(IMAGES), model(IMAGES)
        near = sum_tolerance(terms_of(twin), expected.abs().max(), torch.float64)
        assert torch.allclose(found, expected, rtol=0, atol=near)
        assert expected_costs == {
            Metric.MACS: macs(model, (3, 8, 8)),
            Metric.PARAMETERS: sum(p.numel() for p in model.parameters()),
        }
        again = shrink_to(made(name), model.state_dict(), IMAGES)
        with torch.no_grad():
            assert torch.equal(again(IMAGES), found)


@pytest.mark.parametrize("criterion", ["l2", "std", "geometric_median", "taylor", "sparsity"])
def test_every_criterion_scores_every_channel(criterion: str) -> None:
    data = [(IMAGES.float(), torch.tensor([0, 1]))]
    for name in NETWORKS.keys() - {"u-net", "shuffles"}:
        model = made(name).float()
        groups = channel_groups(model, IMAGES.float(), ChannelScope.ALL)
        scores = score_channels(model, groups, find_criterion(criterion), data)
        assert {group: len(row) for group, row in scores.items()} == NETWORKS[name][1]


def test_filters_of_a_transposed_convolution_are_its_columns() -> None:
    model = made("u-net")
    with torch.no_grad():
        model.up.weight[:, 2] = 0
    groups = channel_groups(model, IMAGES, ChannelScope.ALL)
    assert int(np.argmin(score_channels(model, groups, find_criterion("l2"))["up"])) == 2
    GroupLasso(strength=1.0, scope=ChannelScope.ALL).on(model, IMAGES)().backward()
    gradient = model.up.weight.grad.transpose(0, 1).flatten(1)
    lengths = gradient.square().sum(1).sqrt()
    assert torch.allclose(lengths, torch.tensor([1.0, 1, 0, 1, 1, 1], dtype=torch.float64))


def test_momentum_of_transposed_and_grouped_convolutions_is_cut_alike(rng: np.random.Generator) -> None:
    for name in ("u-net", "resnext"):
        model = made(name).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        model(IMAGES).square().sum().backward()
        optimizer.step()
        for parameter in model.parameters():
            optimizer.state[parameter]["momentum_buffer"] = parameter.detach().clone()
        groups = channel_groups(model, IMAGES, ChannelScope.ALL)
        prune(model, Selection(groups=groups, removed=random_removal(rng, groups)), optimizer, example=IMAGES)
        for parameter in model.parameters():
            assert torch.equal(optimizer.state[parameter]["momentum_buffer"], parameter)
        copy.deepcopy(model)(IMAGES).sum().backward()


def test_positions_that_no_prune_can_keep_hold_their_channels() -> None:
    """A shuffle whose sizes are numbers, and a split into unequal parts."""
    fixed = prepared(channel_shuffle(lambda x: x.view(-1, 3, 6, 8, 8).transpose(1, 2).reshape(-1, 18, 8, 8)))
    groups = channel_groups(fixed, IMAGES, ChannelScope.ALL)
    assert "first" not in {group.name for group in groups}
    assert "without one of its channels the forward pass breaks" in groups.refused["first"]
    unequal = prepared(
        Forward(
            lambda m, x: m.last(torch.cat(m.stem(x).split([4, 2], 1)[::-1], 1).mean((2, 3))),
            stem=nn.Conv2d(3, 6, 3),
            last=nn.Linear(6, 4),
        )
    )
    assert len(channel_groups(unequal, IMAGES, ChannelScope.ALL)) == 0
