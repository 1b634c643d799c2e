"""Every criterion scores as its formula, written once more in NumPy, says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from exact_modules import Forward
from prunable_networks import SIDE, ConvNorm, prepared
from tolerances import sum_tolerance
from torch import nn
from torch.nn import functional

from bitlathe.model.prune.channels.data_criteria import channel_sparsity
from bitlathe.model.prune.channels.groups import ChannelGroups, ChannelScope, channel_groups
from bitlathe.model.prune.channels.scores import (
    CRITERIA,
    ScoredMembers,
    Scores,
    find_criterion,
    score_channels,
)
from bitlathe.model.prune.errors import PruneError, Unprunable

Array = npt.NDArray[np.float64]
IMAGES = torch.randn(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
BATCHES = [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])]


@cache
def network() -> nn.Module:
    torch.manual_seed(3)
    model = Forward(
        lambda m, x: m.classes(m.second(m.first(x)).mean((2, 3))),
        first=ConvNorm(3, 7),
        second=ConvNorm(7, 5),
        classes=nn.Linear(5, 4),
    )
    return prepared(model)


def groups() -> ChannelGroups:
    return channel_groups(network(), IMAGES)


def scored(name: str) -> Scores:
    criterion = find_criterion(name)
    return score_channels(network(), groups(), criterion, BATCHES if criterion.needs_data else None)


def weights(layer: str) -> Array:
    return network().get_submodule(layer).weight.detach().numpy().reshape(-1, 63 if "second" in layer else 27)


def of_filter(name: str, w: Array) -> list[float]:
    """Scores of the filters (filters, terms), one after another."""
    match name:
        case "std":
            return [float(np.sqrt(np.mean((f - f.mean()) ** 2))) for f in w]
        case "l1":
            return [float(sum(abs(x) for x in f)) for f in w]
        case "l2":
            return [float(np.sqrt(sum(x * x for x in f))) for f in w]
    return [sum(float(np.sqrt(np.sum((f - g) ** 2))) for g in w) for f in w]


def assert_scores(found: Array, expected: Array, terms: int) -> None:
    """Scores are the expected ones over their mean, each the sum of so many non-negative doubles."""
    wanted = expected / expected.mean()
    near = sum_tolerance(terms + len(expected) + 2, wanted.max(), torch.float64)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=near)


@pytest.mark.parametrize("name", ["std", "l1", "l2", "geometric_median"])
def test_filter_criteria_follow_their_formulas(name: str) -> None:
    for group, found in scored(name).items():
        expected = np.array(of_filter(name, weights(group)))
        assert_scores(found, expected, 2 * weights(group).size)
        assert np.argsort(found).tolist() == np.argsort(expected).tolist()


def test_batch_norm_scale_is_its_magnitude() -> None:
    model = copy.deepcopy(network())  # which the tests share
    model.first.norm.weight.data[2] *= -1
    expected = model.first.norm.weight.detach().abs().numpy()
    found = score_channels(model, channel_groups(model, IMAGES), find_criterion("bn_scale"))
    assert_scores(found["first.conv"], expected, 1)


def test_taylor_sums_weight_times_gradient_over_batches() -> None:
    model, sums = network(), {"first.conv": np.zeros(7), "second.conv": np.zeros(5)}
    for images, labels in BATCHES:
        model.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        for layer in sums:
            gradient = model.get_submodule(layer).weight.grad.numpy().reshape(len(sums[layer]), -1)
            sums[layer] += np.abs(gradient * weights(layer)).sum(1)
    model.zero_grad(set_to_none=True)
    found = scored("taylor")
    for layer, expected in sums.items():
        assert_scores(found[layer], expected, 2 * weights(layer).shape[1])
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_sparsity_index_joins_zeros_of_activations_and_weights_with_the_norm() -> None:
    with torch.no_grad():
        maps = network().first(IMAGES).numpy()  # after the ReLU
    w = weights("first.conv")
    zeros = (maps <= 0).mean((0, 2, 3))
    small = (np.abs(w) < 0.1 * w.std()).mean(1)
    norms = np.sqrt((w**2).sum(1))
    for rho, weight in ((0.5, 0.5), (1.0, 0.0), (0.3, 0.8)):
        index = rho * zeros + (1 - rho) * small + weight * (1 - norms / norms.max())
        found = score_channels(network(), groups(), channel_sparsity(rho, weight), BATCHES)["first.conv"]
        near = sum_tolerance(w.shape[1] + 8, 1 + weight, torch.float64)
        np.testing.assert_allclose(found, 1 + weight - index, rtol=0, atol=near)


def test_random_scores_repeat_by_seed() -> None:
    one, again, other = (
        score_channels(network(), groups(), find_criterion("random", seed))["first.conv"]
        for seed in (1, 1, 2)
    )
    assert one.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize("members", ScoredMembers)
def test_a_group_takes_the_mean_of_its_layers_or_its_root(members: ScoredMembers) -> None:
    torch.manual_seed(0)
    model = Forward(
        lambda m, x: m.classes((m.left(x) + m.right(x)).mean((2, 3))),
        left=nn.Conv2d(3, 6, 1),
        right=nn.Conv2d(3, 6, 1),
        classes=nn.Linear(6, 4),
    ).double()
    found = score_channels(
        model, channel_groups(model, IMAGES, ChannelScope.ALL), find_criterion("l1"), members=members
    )["left"]
    parts = [layer.weight.detach().abs().sum((1, 2, 3)).numpy() for layer in (model.left, model.right)]
    scaled = [part / part.mean() for part in parts]
    assert_scores(found, scaled[0] if members is ScoredMembers.ROOT else scaled[0] + scaled[1], 3)


@pytest.mark.parametrize("name", CRITERIA)
def test_scoring_leaves_the_network_as_it_was(name: str) -> None:
    model = network()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.first.train()
    scored(name)
    assert model.first.norm.training and not model.second.training
    model.eval()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def raised(run: Callable[[], object]) -> str:
    with pytest.raises(PruneError) as caught:
        run()
    return str(caught.value)


def test_bad_requests_are_explained() -> None:
    assert (
        raised(lambda: find_criterion("l3")) == f"l3: no such criterion; choose one of {', '.join(CRITERIA)}"
    )
    assert raised(lambda: score_channels(network(), groups(), find_criterion("taylor"))) == (
        "taylor: looks at images; give batches of the training set"
    )
    assert "was given none" in raised(
        lambda: score_channels(network(), groups(), find_criterion("taylor"), [])
    )
    bare = Forward(lambda m, x: m.b(m.a(x).mean((2, 3))), a=nn.Conv2d(3, 4, 3), b=nn.Linear(4, 2)).double()
    found = channel_groups(bare, IMAGES)
    with pytest.raises(
        Unprunable, match=r"^a: has no norm to judge its channels by; choose another criterion"
    ):
        score_channels(bare, found, find_criterion("bn_scale"))
    bare.a.weight.data[0, 0, 0, 0] = torch.nan
    assert raised(lambda: score_channels(bare, found, find_criterion("l2"))) == (
        "a: has NaN or infinite weights; go back to the last good state"
    )
