"""The penalty is the sum of filters' norms, and it kills whole filters that nothing needs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prunable_networks import SIDE, chains, prepared
from tolerances import sum_tolerance
from torch import nn
from torch.nn import functional

from bitlathe.model.prune.channels.budget import Count
from bitlathe.model.prune.channels.group_lasso import GroupLasso
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.plug_in import PruneSettings, plug_in
from bitlathe.model.prune.errors import PruneError
from bitlathe.model.zoo import build

IMAGES = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@settings(deadline=None, max_examples=10)
@given(model=chains(), strength=st.floats(1e-4, 10.0), scope=st.sampled_from(ChannelScope))
def test_it_pulls_every_filter_that_can_be_pruned_with_equal_force(
    model: nn.Module, strength: float, scope: ChannelScope
) -> None:
    wanted = {name for group in channel_groups(model, IMAGES, scope) for name in group.producers}
    lasso = GroupLasso(strength=strength, scope=scope)
    if not wanted:
        with pytest.raises(PruneError, match="no channel can be pruned in scope"):
            lasso.on(model, IMAGES)
        return
    weights = {name: p for name, p in model.named_parameters() if p.ndim > 1}
    term = lasso.on(model, IMAGES)()
    term.backward()
    norms = {name: weights[f"{name}.weight"].detach().flatten(1).norm(dim=1) for name in wanted}
    expected = strength * sum(float(norm.sum()) for norm in norms.values())
    terms = sum(weights[f"{name}.weight"].numel() for name in wanted)
    assert abs(term.item() - expected) <= sum_tolerance(terms, expected, torch.float64)
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {
        f"{name}.weight" for name in wanted
    }
    for name, norm in norms.items():
        weight = weights[f"{name}.weight"]
        assert weight.grad is not None
        towards_zero = strength * weight.detach().flatten(1) / norm[:, None]
        near = sum_tolerance(weight[0].numel() + 3, towards_zero.abs().max(), torch.float64)
        assert torch.allclose(weight.grad.flatten(1), towards_zero, rtol=0, atol=near)


def test_a_filter_of_zeros_is_left_at_zero() -> None:
    model = prepared(build("resnet8"))
    first = model.get_submodule("layer1.0.conv1").weight
    assert isinstance(first, torch.Tensor)
    with torch.no_grad():
        first[3] = 0
    GroupLasso(strength=1.0).on(model, torch.zeros(1, 3, 32, 32, dtype=torch.float64))().backward()
    assert first.grad is not None
    assert torch.equal(first.grad[3], torch.zeros_like(first[3]))
    assert first.grad.isfinite().all()


def test_filters_that_nothing_needs_die_and_are_pruned_first() -> None:
    """Two of six channels are not read, so the penalty alone decides what becomes of their filters."""
    torch.manual_seed(0)
    first, last = nn.Linear(5, 6, bias=False), nn.Linear(6, 4)
    last.weight.requires_grad_(False)[:, [1, 4]] = 0
    model = nn.Sequential(first, nn.ReLU(), last)
    points, labels = torch.randn(16, 5), torch.arange(16) % 4
    term = GroupLasso(strength=0.02).on(model, points[:2])
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (functional.cross_entropy(model(points), labels) + term()).backward()
        optimizer.step()
    norms = first.weight.detach().norm(dim=1)
    step = 0.1 * 0.02  # a filter at zero moves by no more than this
    assert norms[[1, 4]].max() <= step
    alive = first.weight.detach()[norms > 20 * step]
    assert len(alive) >= 2, "what is needed lives"
    plug_in(model, None, PruneSettings(budget=Count(channels=6 - len(alive))), example=points[:2])
    assert torch.equal(first.weight.detach(), alive)


@pytest.mark.parametrize("strength", [0.0, -1.0, float("nan")])
def test_a_strength_without_meaning_is_refused(strength: float) -> None:
    with pytest.raises(PruneError, match="group lasso: a strength of"):
        GroupLasso(strength=strength)
