"""A pruned network is saved as tensors and comes back from a fresh one."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from exact_modules import Forward
from torch import nn

from bitlathe.model.compress.weight_files import load_weights
from bitlathe.model.graph.errors import DataError
from bitlathe.model.prune.channels.budget import Share
from bitlathe.model.prune.channels.groups import ChannelScope
from bitlathe.model.prune.channels.plug_in import PruneSettings, plug_in
from bitlathe.model.prune.channels.rebuild import shrink_to
from bitlathe.model.zoo import build

IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
ADVICE = "it belongs to another network, give the one it was trained for"


def pruned(network: str, image: torch.Tensor, share: float = 0.4) -> nn.Module:
    model = build(network, seed=1)
    plug_in(model, None, PruneSettings(budget=Share(share=share), scope=ChannelScope.ALL), example=image)
    return model.eval()


def damaged(change: Callable[[dict[str, torch.Tensor]], object]) -> str:
    state = pruned("resnet20", IMAGE).state_dict()
    change(state)
    with pytest.raises(DataError) as caught:
        shrink_to(build("resnet20"), state, IMAGE)
    return str(caught.value)


@pytest.mark.parametrize("example", [None, IMAGE])
@pytest.mark.parametrize("network", ["resnet8", "resnet20"])
def test_a_fresh_network_shrinks_to_a_pruned_one(network: str, example: torch.Tensor | None) -> None:
    model = pruned(network, IMAGE)
    again = shrink_to(build(network, seed=2), model.state_dict(), example).eval()
    assert torch.equal(again(IMAGE), model(IMAGE))
    assert [p.shape for p in again.parameters()] == [p.shape for p in model.parameters()]


def test_a_pruned_network_trains_prunes_and_copies_after_it_was_rebuilt() -> None:
    again = shrink_to(build("resnet8"), pruned("resnet8", IMAGE).state_dict(), IMAGE)
    copy.deepcopy(again)(IMAGE).sum().backward()
    plug_in(again, None, PruneSettings(budget=Share(share=0.4)), example=IMAGE)
    assert torch.isfinite(again(IMAGE)).all()


def test_a_weight_file_of_a_pruned_network_loads_by_its_name(tmp_path: Path) -> None:
    model, path = pruned("lenet5", torch.randn(1, 1, 8, 8)), tmp_path / "pruned.pt"
    torch.save(model.state_dict(), path)
    again = build("lenet5", seed=7).eval()
    load_weights(again, path)
    digits = torch.randn(3, 1, 8, 8)
    assert torch.equal(again(digits), model(digits))


def shared_body() -> nn.Module:
    """A stem, one convolution under two names, and a head."""
    model = Forward(
        lambda m, x: m.head(m.two(m.one(m.stem(x).relu()).relu()).mean((2, 3))),
        stem=nn.Conv2d(3, 6, 3),
        one=nn.Conv2d(6, 6, 3, padding=1),
        head=nn.Linear(6, 4),
    )
    model.two = model.one
    return model


def test_a_module_under_two_names_comes_back_pruned_under_both() -> None:
    model, image = shared_body(), torch.randn(2, 3, 8, 8)
    plug_in(model, None, PruneSettings(budget=Share(share=0.4), scope=ChannelScope.ALL), example=image)
    assert len(model.one.weight) < 6
    again = shrink_to(shared_body(), model.state_dict(), image)
    assert again.two is again.one and torch.equal(again(image), model(image))


def test_weights_that_two_layers_share_are_one_when_they_come_back_narrower() -> None:
    def tied(width: int) -> nn.Module:
        model = Forward(
            lambda m, x: m.head((m.one(x) + m.two(x)).mean((2, 3))),
            one=nn.Conv2d(3, width, 3),
            two=nn.Conv2d(3, width, 3),
            head=nn.Linear(width, 4),
        )
        model.two.weight = model.one.weight
        return model

    again = shrink_to(tied(6), tied(4).state_dict())
    assert again.two.weight is again.one.weight and len(again.one.weight) == 4


def test_classes_and_image_channels_do_not_shrink() -> None:
    for example in (None, IMAGE):
        for changed, name in (
            (build("resnet8", num_classes=4), "linear.weight"),
            (build("resnet8", in_channels=1), "conv1.weight"),
        ):
            with pytest.raises(DataError, match=rf"^{re.escape(name)} is .*{re.escape(ADVICE)}$"):
                shrink_to(build("resnet8"), changed.state_dict(), example)


def test_the_checkpoint_of_another_network_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "resnet8.pt"
    torch.save(pruned("resnet8", IMAGE).state_dict(), path)
    with pytest.raises(DataError) as caught:
        load_weights(build("resnet20"), path, IMAGE)
    assert str(caught.value).startswith(f"{path}: layer1.1.conv1.weight, ")
    assert str(caught.value).endswith(f"and 1 more are unknown to the network; {ADVICE}")


def test_a_state_that_no_pruning_gives_is_refused() -> None:
    assert damaged(lambda s: s.update({"layer1.0.conv1.weight": torch.zeros(17, 16, 3, 3)})).endswith(
        f"is (17, 16, 3, 3), the network's is (16, 16, 3, 3); {ADVICE}"
    )
    assert damaged(lambda s: s.update({"layer1.0.conv1.weight": torch.zeros(16, 16, 5, 5)})).endswith(
        f"is (16, 16, 5, 5), the network's is (16, 16, 3, 3); {ADVICE}"
    )
    assert damaged(lambda s: s.pop("bn1.bias")) == f"bn1.bias is missing; {ADVICE}"
    assert damaged(lambda s: s.update(extra=torch.zeros(1))) == f"extra is unknown to the network; {ADVICE}"


def test_layers_that_do_not_fit_together_are_refused() -> None:
    state = build("resnet8").state_dict()
    for name in ("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"):
        state["layer1.0." + name] = state["layer1.0." + name][:9]  # its consumer still reads 16
    with pytest.raises(DataError, match=rf"^the layers do not fit together \(.*\); {re.escape(ADVICE)}$"):
        shrink_to(build("resnet8"), state, IMAGE)
