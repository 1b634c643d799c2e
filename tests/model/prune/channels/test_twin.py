"""A pruned network computes what its masked twin computes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from joined_networks import CONSTANT, IMAGE, Join, Joined, joined_networks
from prunable_networks import (
    SIDE,
    Branches,
    Chain,
    ConvNorm,
    Residual,
    Separable,
    chains,
    masked_twin,
    prepared,
    random_removal,
)
from tolerances import sum_tolerance, terms_of
from torch import nn

from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.removal import prune
from bitlathe.model.prune.channels.selection import Selection
from bitlathe.model.zoo import build, network_spec


def check_twin(model: nn.Module, images: torch.Tensor, rng: np.random.Generator, scope: ChannelScope) -> None:
    """Prune `model` at random, twice, and compare it with its twin each time."""
    for _ in range(2):
        groups = channel_groups(model, images, scope)
        removed = random_removal(rng, groups)
        twin = masked_twin(model, groups, removed)
        report = prune(model, Selection(groups=groups, removed=removed), example=images)
        assert report.removed == sum(map(len, removed.values()))
        assert report.parameters[1] == sum(p.numel() for p in model.parameters())
        with torch.no_grad():
            expected, found = twin(images), model(images)
        near = sum_tolerance(terms_of(twin), expected.abs().max(), torch.float64)
        assert torch.allclose(found, expected, rtol=0, atol=near)


def images_for(network: str, count: int = 2) -> torch.Tensor:
    spec = network_spec(network)
    generator = torch.Generator().manual_seed(1)
    shape = (count, spec.in_channels, spec.input_size, spec.input_size)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("network", ["lenet5", "lenet5-caffe", "resnet8", "resnet20", "mobilenet-28"])
def test_a_pruned_network_of_the_zoo_equals_its_masked_twin(network: str, rng: np.random.Generator) -> None:
    check_twin(prepared(build(network)), images_for(network, 1), rng, ChannelScope.ALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        "resnet32",
        "resnet44",
        "resnet56",
        "alexnet",
        "vgg16",
        "googlenet",
        "resnet18",
        "resnet50",
        "mobilenet",
    ],
)
def test_a_large_pruned_network_equals_its_masked_twin(network: str, rng: np.random.Generator) -> None:
    check_twin(prepared(build(network)), images_for(network, 1), rng, ChannelScope.ALL)


@settings(deadline=None, max_examples=15)
@given(model=chains(), seed=st.integers(0, 1 << 20))
def test_any_small_pruned_network_equals_its_masked_twin(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    check_twin(model, images, np.random.default_rng(seed), ChannelScope.ALL)


@given(model=joined_networks(), seed=st.integers(0, 1 << 20))
@settings(max_examples=60, deadline=None)
def test_a_pruned_network_of_random_joins_equals_its_masked_twin(model: Joined, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    groups = channel_groups(model, images, ChannelScope.ALL)
    offered = {name for group in groups for name in group.producers}
    assert "hidden" in offered
    if not any(join.behind in ("halves", "residual") for join in model.joins):
        assert groups.refused.keys() - offered >= {"classes", "input"}
        for name, reason in groups.refused.items():
            follows = reason.startswith(("it follows", "the image brings", "its channels are the network's"))
            assert follows or reason == "nothing reads its channels", (name, reason)
    check_twin(model, images, np.random.default_rng(seed), ChannelScope.ALL)


@pytest.mark.parametrize("end", ["mean", "pixels last", "flattened late", "flattened early", "normed"])
@pytest.mark.parametrize(
    "parts", [(IMAGE, "map0", "map1"), ("map0", IMAGE, "map1"), (CONSTANT, "map1", IMAGE, "map0")]
)
def test_a_join_of_image_constant_and_maps_keeps_every_offset(
    end: str, parts: tuple[str, ...], rng: np.random.Generator
) -> None:
    joins = [Join(parts=parts, behind="depthwise"), Join(parts=("map1", "join0"), behind="norm")]
    model = Joined([3, 4], joins, end, ["join1", IMAGE, "map0"])
    prepared(model)
    images = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)
    assert channel_groups(model, images).width == 3 + 4 + 6
    check_twin(model, images, rng, ChannelScope.INTERNAL)


def test_depthwise_concatenation_residual_and_flatten_work_together(rng: np.random.Generator) -> None:
    blocks = [ConvNorm(3, 6), Branches(6, [4, 5], keeps_input=True), Separable(15, 8), Residual(8, 8, 5)]
    model = prepared(Chain(blocks, flattens=True))
    images = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)
    groups = channel_groups(model, images, ChannelScope.ALL)
    assert groups.width == 6 + 4 + 5 + 8 + 5 + 6
    check_twin(model, images, rng, ChannelScope.ALL)


def test_a_pruned_network_learns_as_its_masked_twin_does(rng: np.random.Generator) -> None:
    model = prepared(build("resnet8")).train()
    images = images_for("resnet8", 4)
    groups = channel_groups(model, images, ChannelScope.ALL)
    removed = random_removal(rng, groups)
    twin = masked_twin(model, groups, removed)
    selection = Selection(groups=groups, removed=removed)
    prune(model, selection, example=images)
    assert model.training and all(module.training for module in model.modules())
    for network in (model, twin):
        network(images).square().sum().backward()
    smaller = copy.deepcopy(twin)
    for of_twin, of_copy in zip(twin.parameters(), smaller.parameters(), strict=True):
        of_copy.data = of_twin.grad.clone()  # so that pruning the copy cuts the gradients
    prune(smaller, selection, example=images)
    terms = 2 * terms_of(twin) + images[:, 0].numel()  # there and back, and over all positions
    for (name, of_model), cut in zip(model.named_parameters(), smaller.parameters(), strict=True):
        assert of_model.grad is not None
        near = sum_tolerance(terms, cut.detach().abs().max(), torch.float64)
        assert torch.allclose(of_model.grad, cut, rtol=0, atol=near), name
