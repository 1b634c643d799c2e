"""A budget is refused only where nothing that the methods make can meet it; idle channels are told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bitlathe
from bitlathe.flow.hardware.latency import CycleModelRung, check_reachable, unsaved
from bitlathe.flow.network.subject import Subject
from bitlathe.hls.target.config import find_target
from bitlathe.model.compress import Method, MethodContext
from bitlathe.model.compress.cycles import least_graphs, pruned_graph
from bitlathe.model.compress.methods import PruneParameters, Quantize
from bitlathe.model.data import to_input
from bitlathe.model.prune.channels.groups import channel_groups, cuts
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import LatencyBudget

CONFIGS = (QuantizeConfig(), QuantizeConfig(weight_bits=4, activation_bits=4))


@pytest.fixture(scope="module")
def lenet() -> Subject:
    return bitlathe.load_network("lenet5")


def methods(lenet: Subject, **amount: float) -> list[Method]:
    example = to_input(lenet.dataset.train_images[:2])
    context = MethodContext(groups=lambda _: channel_groups(lenet.model, example), lanes=8)
    return [PruneParameters(**amount).method(context), *(Quantize(config=each) for each in CONFIGS)]  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["pynq-z2", "zcu104"])
def test_no_widths_and_bits_are_faster_than_the_least(
    target: str, lenet: Subject, rng: np.random.Generator
) -> None:
    board = find_target(target)
    rung = CycleModelRung(target=board)
    prune, *_ = methods(lenet, share=0.6)
    images = lenet.dataset.train_images
    least = min(map(rung.cycles, least_graphs(lenet.model, images, [prune], CONFIGS, board.engine.pi)))
    groups = channel_groups(lenet.model, torch.zeros(2, 1, 8, 8))
    for config in CONFIGS:
        for _ in range(3):
            gone = {group.name: int(rng.integers(group.width)) for group in groups}
            without = cuts((group, range(gone[group.name])) for group in groups)
            assert rung.cycles(pruned_graph(lenet.model, images, config, without)) >= least


def test_the_least_itself_can_be_asked_for_and_a_cycle_less_cannot(lenet: Subject) -> None:
    board = find_target("pynq-z2")
    rung, found = CycleModelRung(target=board), methods(lenet, macs=0.3)
    images = lenet.dataset.train_images
    least = min(map(rung.cycles, least_graphs(lenet.model, images, found[:1], CONFIGS, 8)))
    check_reachable(LatencyBudget(limit=least, in_cycles=True), lenet, found, CONFIGS[:1], rung, board)
    with pytest.raises(bitlathe.UsageError, match=f"reach on pynq-z2: {least} cycles with every layer"):
        check_reachable(LatencyBudget(limit=least - 1, in_cycles=True), lenet, found, [], rung, board)


def test_channels_that_save_a_third_of_their_share_are_not_idle() -> None:
    board = find_target("pynq-z2")
    assert unsaved((100, 1000), (70, 890), board) is None
    assert unsaved((100, 1000), (100, 1000), board) is None
    told = unsaved((100, 1000), (70, 1003), board)
    assert told is not None and told.startswith("30.0 % of the multiply-accumulates went, and 0.0 % of")
