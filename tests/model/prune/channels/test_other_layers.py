"""Pruning through grouped and transposed convolutions, shuffles, splits and products of maps."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from exact_modules import Forward
from other_layers import OTHER_NETWORKS, channel_shuffle
from prunable_networks import masked_twin, prepared, random_removal
from tolerances import sum_tolerance, terms_of
from torch import nn

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import flat_outputs
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.prune.channels.costs import ChannelCosts, Metric
from bitlathe.model.prune.channels.group_lasso import GroupLasso
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.rebuild import shrink_to
from bitlathe.model.prune.channels.removal import prune
from bitlathe.model.prune.channels.scores import find_criterion, score_channels
from bitlathe.model.prune.channels.selection import Selection
from bitlathe.model.qat.view import QuantizedView
from bitlathe.model.quantize.quantizer import network_inputs, quantize
from bitlathe.model.zoo.cost import macs

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def made(name: str) -> nn.Module:
    torch.manual_seed(1)
    return prepared(OTHER_NETWORKS[name][0]())


@pytest.mark.parametrize("name", OTHER_NETWORKS)
def test_a_pruned_network_equals_its_masked_twin_and_comes_back_from_its_state(
    name: str, rng: np.random.Generator
) -> None:
    widths = OTHER_NETWORKS[name][1]
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
    for name in OTHER_NETWORKS.keys() - {"u-net", "shuffles"}:
        model = made(name).float()
        groups = channel_groups(model, IMAGES.float(), ChannelScope.ALL)
        scores = score_channels(model, groups, find_criterion(criterion), data)
        assert {group: len(row) for group, row in scores.items()} == OTHER_NETWORKS[name][1]


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


@pytest.mark.parametrize("name", OTHER_NETWORKS)
def test_the_graph_of_a_pruned_network_is_that_of_the_module(name: str, rng: np.random.Generator) -> None:
    model = made(name)
    groups = channel_groups(model, IMAGES, ChannelScope.ALL)
    prune(model, Selection(groups=groups, removed=random_removal(rng, groups)), example=IMAGES)
    model = model.float()
    images = rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    x = network_inputs(images)
    network = capture(model, (3, 8, 8))
    with torch.no_grad():
        wanted = model(x).flatten(1)
    torch.testing.assert_close(flat_outputs(network, x)[0], wanted, rtol=1e-4, atol=1e-4)
    quantized = quantize(model, images)
    check(quantized.graph)
    codes = evaluate(quantized.graph, quantized.preprocess.codes(images))
    scale = quantized.graph.format_of(quantized.graph.only_output).scale
    assert np.array_equal(quantized.module()(x).flatten(1).numpy(), codes.reshape(6, -1) * scale)
    view = QuantizedView.of(model, images)
    assert torch.equal(view.train()(x), view.eval()(x))
