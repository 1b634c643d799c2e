"""Every layer alone: masked accuracy is pruned accuracy, and the network is left as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.prune.channels.budget import PerLayer
from bitlathe.model.prune.channels.groups import channel_groups
from bitlathe.model.prune.channels.ranking import select
from bitlathe.model.prune.channels.removal import prune
from bitlathe.model.prune.channels.scores import find_criterion, score_channels
from bitlathe.model.prune.channels.sensitivity import Sensitivity, sensitivity
from bitlathe.model.prune.errors import BudgetError

DIGITS = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_each_layer_alone_is_as_accurate_as_the_network_pruned_there() -> None:
    model = load_pretrained("lenet5", "digits")
    with torch.no_grad():
        labels = model(DIGITS).argmax(1)

    @torch.no_grad()
    def accuracy(network: nn.Module) -> float:
        return float((network(DIGITS).argmax(1) == labels).double().mean())

    groups = channel_groups(model, DIGITS[:1])
    scores = score_channels(model, groups, find_criterion("l2"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = sensitivity(model, groups, scores, accuracy, ratios=(0.3, 0.9))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert found.base == 1.0
    for layer, count in (("conv1", 2), ("conv2", 5), ("fc1", 36), ("fc2", 26)):
        smaller = copy.deepcopy(model)
        prune(smaller, select(groups, scores, PerLayer(amounts={layer: count})), example=DIGITS[:2])
        assert accuracy(smaller) == found.accuracies[layer][0]
    assert found.accuracies["conv1"][1] < 1  # one of six channels is left


def test_one_channel_of_a_layer_stays_whatever_the_ratio() -> None:
    model = load_pretrained("lenet5", "digits")
    groups = channel_groups(model, DIGITS[:1])
    scores = score_channels(model, groups, find_criterion("l2"))
    left: list[int] = []

    def accuracy(network: nn.Module) -> float:
        left.append(int((network.conv2.weight != 0).any(3).any(2).any(0).sum()))  # of what conv1 makes
        return 0.0

    sensitivity(model, groups, scores, accuracy, ratios=(1.0,))
    assert sorted(left)[:2] == [1, 6]


def test_the_table_and_the_layers_to_skip_follow_from_the_losses() -> None:
    found = Sensitivity(
        base=0.9, ratios=(0.1, 0.5), accuracies={"conv1": (0.9, 0.5), "layer1.conv1": (0.89, 0.88)}
    )
    assert found.table().splitlines() == [
        "layer           10%    50%",
        "conv1          0.00  40.00",
        "layer1.conv1   1.00   2.00",
    ]
    assert found.sensitive(0.5, 0.03) == ("conv1",)
    assert found.sensitive(0.1, 0.005) == ("layer1.conv1",)
    with pytest.raises(BudgetError, match=r"^ratio 0.3 was not measured; choose one of 0.1, 0.5$"):
        found.sensitive(0.3, 0.01)
    assert found.to_json()["accuracies"]["conv1"] == [0.9, 0.5]
