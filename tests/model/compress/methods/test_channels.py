"""P and Q on one live network: exact counts, states that survive a file, epochs that survive a cut."""

from __future__ import annotations

import doctest
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tolerances import sum_tolerance
from torch import nn

from bitlathe.model.compress import MethodData, Quantization, State, ZooArchitecture, train_epoch
from bitlathe.model.compress.methods import (
    PruneChannels,
    PruneOnce,
    PruneWeights,
    Quantize,
    ShareWeights,
    Train,
    channels,
    joint_reach,
)
from bitlathe.model.compress.methods.channels import batches_of, example_of, settle, width
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.release import released, rounded
from bitlathe.model.compress.state import fresh_state, load
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.errors import DataError
from bitlathe.model.prune.channels.budget import Count
from bitlathe.model.prune.channels.plug_in import PruneSettings
from bitlathe.model.prune.errors import BudgetError
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.train import TrainConfig, evaluate
from bitlathe.model.zoo import build

LENET = ZooArchitecture(network="lenet5", num_classes=10, in_channels=1, input_size=8)
SETTINGS = TrainConfig(epochs=4, batch_size=256, lr=0.05)
PRUNE = PruneChannels(channels=20, target=50)
QUANTIZE = Quantize(
    config=QuantizeConfig(weight_bits=4, activation_bits=4, calibration_images=32), threshold_lr=0.01
)


@pytest.fixture(scope="module")
def data() -> MethodData:
    return MethodData.split(load_dataset("digits"), held_out=400, batch_size=256, augment=False)


@pytest.fixture(scope="module")
def compressed(data: MethodData) -> State:
    """A state that was pruned, then quantized, then pruned under the quantizer; an epoch each."""
    state = fresh_state(LENET.build(), SETTINGS)
    for method in (PRUNE, QUANTIZE, PRUNE):
        state = method.apply(state, data)
        train_epoch(state, data, SETTINGS)
    return state


def tensors(state: State) -> dict[str, torch.Tensor]:
    assert state.quantization is not None and state.quantization.thresholds is not None
    return {k: v.clone() for k, v in (state.model.state_dict() | state.quantization.thresholds).items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_channels_go_as_many_as_asked_until_the_target(compressed: State) -> None:
    layers = ("conv1", "conv2", "fc1", "fc2")
    widths = [width(compressed.model, layer) for layer in layers]
    assert sum((6, 16, 120, 84)) - sum(widths) == compressed.removed_channels == 40
    assert PRUNE.applicable(compressed)
    assert PRUNE.owed(compressed) == 1
    assert not PRUNE.applicable(replace(compressed, removed_channels=50))
    blocks = replace(PRUNE, channels=8, lanes=8)
    assert not blocks.applicable(replace(compressed, removed_channels=43)), "less than a block is left"
    assert blocks.owed(replace(compressed, removed_channels=30)) == 2


def test_one_layer_can_be_pruned_alone(data: MethodData) -> None:
    state = fresh_state(LENET.build(), SETTINGS)
    method = PruneChannels(channels=8, target=99, layer="conv2", floor=8, required=False)
    assert (method.name, method.owed(state)) == ("P[conv2]", 0)
    state = method.apply(state, data)
    assert width(state.model, "conv2") == 8
    assert not method.applicable(state)


def test_one_stage_can_be_pruned_alone(data: MethodData) -> None:
    state = fresh_state(LENET.build(), SETTINGS)
    method = PruneChannels(channels=8, target=99, stage="fc", lanes=8)
    assert method.name == "P[fc]/8"
    state = method.apply(state, data)
    assert [width(state.model, name) for name in ("conv1", "conv2")] == [6, 16]
    assert sorted(width(state.model, name) for name in ("fc1", "fc2")) in ([80, 120], [84, 112], [76, 120])


@pytest.mark.parametrize("criterion", ["l2", "geometric_median", "random"])
def test_blocks_meet_a_target_in_the_epochs_they_owe_whatever_the_layers_widths(
    criterion: str, data: MethodData
) -> None:
    state = fresh_state(LENET.build(), SETTINGS)
    method = PruneChannels(channels=24, target=91, lanes=8, criterion=criterion)
    assert method.epochs == method.owed(state) == 4  # 88 channels in whole blocks
    while owed := method.owed(state):
        state = method.apply(state, data)
        assert method.owed(state) < owed
    assert 91 - 8 < state.removed_channels <= 91
    assert {width(state.model, name) % 8 for name in ("conv1", "fc2")} <= {0, 6, 4}
    before = state.removed_channels
    assert method.apply(state, data).removed_channels == before, "a target that is met asks for no more"


@pytest.mark.parametrize("count", [30, 42, 64])
def test_blocks_of_two_leave_even_widths(count: int, data: MethodData) -> None:
    at_once = PruneOnce(settings=PruneSettings(budget=Count(channels=count), criterion="l2"), lanes=2)
    state = at_once.apply(fresh_state(LENET.build(), SETTINGS), data)
    assert state.removed_channels == count
    assert not any(width(state.model, name) % 2 for name in ("conv1", "conv2", "fc1", "fc2"))


def test_what_methods_do_stays_and_a_quantizer_owes_an_epoch_until_one_that_stays_is_on(
    compressed: State,
) -> None:
    assert all(method.lasting for method in (PruneChannels, PruneOnce, PruneWeights, ShareWeights, Train))
    fresh = fresh_state(LENET.build(), SETTINGS)
    assert (QUANTIZE.owed(fresh), QUANTIZE.owed(compressed)) == (1, 0)
    assert replace(QUANTIZE, lasting=False).owed(compressed) == 1


@pytest.mark.parametrize("channels", [24, 8])
def test_a_layer_that_is_skipped_keeps_its_channels(channels: int, data: MethodData) -> None:
    method = PruneChannels(channels=channels, target=99, lanes=8, skip=("fc1",))
    state = method.apply(fresh_state(LENET.build(), SETTINGS), data)
    assert width(state.model, "fc1") == 120 and channels - 8 < state.removed_channels <= channels + 7


@pytest.mark.parametrize("required", [False, True])
def test_a_stage_gives_what_it_can(required: bool, data: MethodData) -> None:
    method = PruneChannels(channels=20, target=99, stage="conv2", required=required)
    state = method.apply(fresh_state(LENET.build(), SETTINGS), data)
    assert (width(state.model, "conv2"), state.removed_channels) == (1, 15)


def test_a_bound_takes_what_there_is_and_a_target_does_not(data: MethodData) -> None:
    bound = PruneChannels(channels=223, target=223, required=False)
    assert bound.apply(fresh_state(LENET.build(), SETTINGS), data).removed_channels == 222
    with pytest.raises(BudgetError, match="223 channels are to go, the layers can give 1 to 222"):
        replace(bound, required=True).apply(fresh_state(LENET.build(), SETTINGS), data)


def test_pruners_reach_together_what_any_of_them_may_prune(data: MethodData) -> None:
    model, example = LENET.build(), example_of(data)
    convolutions, blocks = PruneChannels(channels=8, target=99, stage="conv"), replace(PRUNE, lanes=8)
    assert convolutions.reach(model, example) == {"conv1": 5, "conv2": 15}
    assert blocks.reach(model, example) == {"conv1": 0, "conv2": 8, "fc1": 112, "fc2": 76}
    assert joint_reach((convolutions, blocks), model, example) == 5 + 15 + 112 + 76
    assert joint_reach((replace(blocks, skip=("fc1",), floor=9),), model, example) == 68


def test_the_example_of_what_a_layer_can_lose_holds() -> None:
    assert doctest.testmod(channels) == (0, 1)


def test_images_and_seeds_out_of_range_are_refused() -> None:
    digits = load_dataset("digits")
    for images in (0, -5):
        with pytest.raises(DataError, match=f"{images} images an epoch; give 1 or more, or leave it out"):
            MethodData.split(digits, held_out=400, batch_size=8, augment=False, epoch_images=images)
    for seed in (-1, 2**63):
        with pytest.raises(DataError, match=f"digits: the seed is {seed}; make it in 0"):
            MethodData.split(digits, held_out=400, batch_size=8, augment=False, seed=seed)


def test_a_pruned_and_quantized_state_survives_a_file(
    compressed: State, data: MethodData, tmp_path: Path
) -> None:
    compressed.save(tmp_path / "state.pt")
    read = load(tmp_path / "state.pt", LENET, SETTINGS)
    assert same(tensors(read), tensors(compressed))
    others = compressed.copy(), read
    for state in others:
        train_epoch(state, data, SETTINGS, share=0.5)
    assert same(tensors(others[0]), tensors(others[1]))


def test_a_quantized_epoch_in_parts_equals_one_in_one_go(compressed: State, data: MethodData) -> None:
    whole, parts = compressed.copy(), compressed.copy()
    train_epoch(whole, data, SETTINGS)
    for share in (0.4, 1.0):
        train_epoch(parts, data, SETTINGS, share=share)
    assert same(tensors(whole), tensors(parts))


def test_the_view_that_trained_is_the_view_made_anew(compressed: State, data: MethodData) -> None:
    state = compressed.copy()
    view = train_epoch(state, data, SETTINGS, share=0.5).view
    assert view is not None
    again = integer_view(state, data, QuantizeConfig())
    images, labels = data.held_images, data.held_labels
    assert evaluate(view, images, labels) == evaluate(again, images, labels)


def test_equal_settings_keep_thresholds_and_others_begin_anew(compressed: State, data: MethodData) -> None:
    state = compressed.copy()
    kept = state.quantization
    assert QUANTIZE.apply(state, data).quantization is kept
    other = Quantize(config=QuantizeConfig(calibration_images=32)).apply(state, data).quantization
    assert other is not None and other.thresholds is None


def test_what_does_not_last_leaves_rounded_kernels(data: MethodData) -> None:
    state = fresh_state(LENET.build(), SETTINGS)
    state = replace(QUANTIZE, lasting=False).apply(state, data)
    train_epoch(state, data, SETTINGS, share=0.5)
    assert released(state).quantization is not None, "it lasts to the end of its epoch"
    train_epoch(state, data, SETTINGS)
    released(state)
    assert state.quantization is None
    kernel = state.model.get_submodule("conv1").weight
    assert isinstance(kernel, torch.Tensor)
    assert len(kernel.unique()) <= 2**4
    assert torch.equal(rounded(kernel.detach(), 4), kernel)


def test_a_kernel_that_two_layers_share_is_rounded_once() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
    model[1].weight = model[0].weight
    nn.init.constant_(model[0].weight, 0.53)  # 0.5 at 4 bits, which another rounding would clip to 7/16
    state = fresh_state(model, SETTINGS)
    state.quantization = Quantization(config=QuantizeConfig(weight_bits=4), lasting=False)
    assert released(state).model[0].weight.item() == 0.5


def test_settling_takes_the_batches_own_statistics(data: MethodData) -> None:
    model = build("resnet8", in_channels=1, input_size=8)
    state = fresh_state(model, SETTINGS)
    settle(state.model, batches_of(state, data, 1))
    images, _ = data.batch(0, 0, 0)
    norm, seen = model.get_submodule("bn1"), model.get_submodule("conv1")(images).detach()
    assert isinstance(norm.running_mean, torch.Tensor)
    near = sum_tolerance(seen[:, 0].numel() + 1, seen.abs().mean(dim=(0, 2, 3)).max())
    assert torch.allclose(norm.running_mean, seen.mean(dim=(0, 2, 3)), rtol=0, atol=near)
    assert norm.momentum == 0.1
