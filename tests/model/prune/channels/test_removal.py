"""Pruning between two epochs: the optimizer follows, and what goes wrong changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from exact_modules import Forward
from torch import Tensor, nn

from bitlathe.model.prune.channels.budget import CostShare, Count, WidthLimits
from bitlathe.model.prune.channels.groups import ChannelScope, channel_groups
from bitlathe.model.prune.channels.plug_in import PruneSettings, plug_in
from bitlathe.model.prune.channels.removal import PruneReport, prune
from bitlathe.model.prune.channels.selection import Selection
from bitlathe.model.prune.errors import BrokenNetwork, BudgetError, PruneError
from bitlathe.model.zoo import build, macs

DIGITS = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
Make = Callable[[Any], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
}


def step(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor) -> None:
    optimizer.zero_grad()
    model(images).square().mean().backward()
    optimizer.step()


def snapshot(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[list[int], dict[str, Tensor], Any]:
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return [id(p) for p in model.parameters()], tensors, copy.deepcopy(optimizer.state_dict())


def check_untouched(model: nn.Module, optimizer: torch.optim.Optimizer, before: Any) -> None:
    after = snapshot(model, optimizer)
    assert after[0] == before[0]
    assert all(torch.equal(tensor, after[1][name]) for name, tensor in before[1].items())
    assert str(after[2]) == str(before[2])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_momentum_of_what_stays_is_carried_over(kind: str) -> None:
    model = build("lenet5")
    optimizer = OPTIMIZERS[kind](model.parameters())
    step(model, optimizer, DIGITS)
    old = {name: optimizer.state[p] for name, p in model.named_parameters()}
    groups = channel_groups(model, DIGITS)
    prune(model, Selection(groups=groups, removed={"conv2": (0, 5, 15)}), optimizer, example=DIGITS)
    kept = [c for c in range(16) if c not in (0, 5, 15)]
    pixels = [4 * c + i for c in kept for i in range(4)]
    expected: dict[str, Callable[[Tensor], Tensor]] = {
        "conv2.weight": lambda t: t[kept],
        "conv2.bias": lambda t: t[kept],
        "fc1.weight": lambda t: t[:, pixels],
    }
    parameters = dict(model.named_parameters())
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {id(p) for p in model.parameters()}
    assert set(optimizer.state) == set(parameters.values())
    for name, parameter in parameters.items():
        assert parameter.requires_grad and parameter.is_leaf
        for key, value in optimizer.state[parameter].items():
            before = old[name][key]
            cut = (
                expected.get(name, lambda t: t)
                if isinstance(before, Tensor) and before.dim()
                else lambda t: t
            )
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(cut(before))), (name, key)
    weights = {name: p.detach().clone() for name, p in parameters.items()}
    step(model, optimizer, DIGITS)
    assert all(not torch.equal(p, weights[name]) for name, p in model.named_parameters())


def test_groups_of_parameters_and_their_order_stay() -> None:
    model = build("resnet8")
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": matrices, "weight_decay": 1e-4}, {"params": vectors}], lr=0.1, momentum=0.9
    )
    plug_in(
        model, optimizer, PruneSettings(budget=Count(channels=20), scope=ChannelScope.ALL), example=IMAGES
    )
    first, second = optimizer.param_groups
    assert first["weight_decay"] == 1e-4
    assert [id(p) for p in first["params"]] == [id(p) for p in model.parameters() if p.ndim > 1]
    assert [id(p) for p in second["params"]] == [id(p) for p in model.parameters() if p.ndim <= 1]


def test_a_report_names_the_layers_that_changed_and_no_others() -> None:
    report = PruneReport(removed=3, widths={"conv1": (8, 5), "conv2": (16, 16)}, parameters=(1000, 900))
    assert report.describe() == "conv1: 8 -> 5\n3 channels removed, 1,000 -> 900 parameters"


def test_pruning_plugs_in_between_epochs_until_little_is_left() -> None:
    model = build("resnet8")
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    for _ in range(3):
        step(model.train(), optimizer, IMAGES)
        old = sum(p.numel() for p in model.parameters())
        report = plug_in(model, optimizer, PruneSettings(budget=Count(channels=30)), example=IMAGES)
        assert report.removed == 30
        assert report.parameters == (old, sum(p.numel() for p in model.parameters()))
        assert report.describe().endswith(
            f"30 channels removed, {old:,} -> {report.parameters[1]:,} parameters"
        )
    copied, optimizer_of_copy = copy.deepcopy((model, optimizer))
    step(copied, optimizer_of_copy, IMAGES)
    before = snapshot(model, optimizer)
    with pytest.raises(BudgetError, match=r"30 channels are to go, the layers can give 1 to 19 "):
        plug_in(model, optimizer, PruneSettings(budget=Count(channels=30)), example=IMAGES)
    check_untouched(model, optimizer, before)


def test_thirty_percent_of_the_multiply_accumulates_go_in_lanes_of_eight() -> None:
    model = build("resnet20")
    settings = PruneSettings(
        budget=CostShare(share=0.3), criterion="std", limits=WidthLimits(lanes=8, floor=8)
    )
    report = plug_in(model, None, settings, example=IMAGES)
    assert macs(model, (3, 32, 32)) <= 0.7 * macs(build("resnet20"), (3, 32, 32))
    assert all(new % 8 == 0 and new >= 8 for _, new in report.widths.values())


class Stubborn(nn.Module):
    """A network whose forward pass comes to insist on the width of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.insists = False
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3)
        self.classes = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(torch.relu(self.first(x)))
        if self.insists and x.shape[1] != 6:
            raise ValueError("six channels, please")
        logits: Tensor = self.classes(x.mean((2, 3)))
        return logits


def test_a_forward_pass_that_breaks_is_undone_and_its_layer_named() -> None:
    model = Stubborn()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    step(model, optimizer, DIGITS)
    before = snapshot(model, optimizer)
    groups = channel_groups(model, DIGITS)
    model.insists = True
    selection = Selection(groups=groups, removed={"first": (1,), "second": (0, 2)})
    with pytest.raises(BrokenNetwork) as caught:
        prune(model, selection, optimizer, example=DIGITS)
    assert str(caught.value) == (
        "second: removing its channels breaks the forward pass (ValueError: six channels, please); "
        "nothing was changed, skip this layer"
    )
    check_untouched(model, optimizer, before)
    assert model.second.out_channels == 6 and model.training
    assert prune(model, selection.only("first"), optimizer, example=DIGITS).removed == 1


def test_a_network_that_means_something_else_after_a_prune_is_undone() -> None:
    scale = [torch.ones(())]
    model = Forward(
        lambda m, x: m.last((m.first(x) * scale[0] ** m.first.out_channels).mean((2, 3))),
        first=nn.Conv2d(1, 4, 3),
        last=nn.Linear(4, 2),
    )
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    before = snapshot(model, optimizer)
    selection = Selection(groups=channel_groups(model, DIGITS), removed={"first": (1,)})
    scale[0] = torch.tensor(2.0)
    with pytest.raises(BrokenNetwork, match=r"^first: removing .* \(its output moves by .* where rounding"):
        prune(model, selection, optimizer, example=DIGITS)
    check_untouched(model, optimizer, before)


def test_a_network_full_of_nan_is_not_pruned() -> None:
    model = build("lenet5")
    groups = channel_groups(model, DIGITS)
    model.fc3.bias.data[0] = torch.nan
    with pytest.raises(BrokenNetwork, match=r"NaN or infinite values before anything is removed"):
        prune(model, Selection(groups=groups, removed={"conv1": (0,)}), example=DIGITS)


def test_groups_of_an_earlier_shape_are_refused() -> None:
    model = build("lenet5")
    groups = channel_groups(model, DIGITS)
    prune(model, Selection(groups=groups, removed={"conv1": (0,)}), example=DIGITS)
    with pytest.raises(
        PruneError, match=r"^conv1: has 5 channels, .*; find the groups again after each prune$"
    ):
        prune(model, Selection(groups=groups, removed={"conv1": (0,)}), example=DIGITS)


def test_an_optimizer_that_lacks_a_parameter_is_refused() -> None:
    model = build("lenet5")
    optimizer = torch.optim.SGD(list(model.parameters())[2:], lr=0.1)
    selection = Selection(groups=channel_groups(model, DIGITS), removed={"conv2": (0,)})
    with pytest.raises(PruneError, match=r"^conv1.weight: is in no optimizer"):
        prune(model, selection, optimizer, example=DIGITS)
    model.conv1.requires_grad_(False)
    prune(model, selection, optimizer, example=DIGITS)


def test_an_optimizer_state_of_another_shape_is_refused() -> None:
    model = build("lenet5")
    optimizer = torch.optim.Adafactor(model.parameters(), lr=0.1)
    step(model, optimizer, DIGITS)
    before = snapshot(model, optimizer)
    selection = Selection(groups=channel_groups(model, DIGITS), removed={"fc1": (0,)})
    with pytest.raises(
        PruneError, match=r"of the optimizer is .* use an optimizer that keeps one value a weight"
    ):
        prune(model, selection, optimizer, example=DIGITS)
    check_untouched(model, optimizer, before)
