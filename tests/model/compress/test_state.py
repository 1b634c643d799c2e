"""A state is copied, written and read as a whole; its training repeats, in parts or in one go."""

from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bitlathe.model.compress import Diverged, MethodData, Quantization, State, ZooArchitecture, train_epoch
from bitlathe.model.compress.state import fresh_state, from_bytes, load
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.errors import DataError
from bitlathe.model.quantize.config import InputMode, LayerBits, QuantizeConfig
from bitlathe.model.train import Schedule, TrainConfig

LENET = ZooArchitecture(network="lenet5", num_classes=10, in_channels=1, input_size=8)
RESNET = ZooArchitecture(network="resnet8", num_classes=10, in_channels=1, input_size=8)
SETTINGS = TrainConfig(epochs=3, batch_size=128, lr=0.05)


@pytest.fixture(scope="module")
def data() -> MethodData:
    return MethodData.split(load_dataset("digits"), held_out=200, batch_size=128, augment=True)


def tensors(state: State) -> dict[str, torch.Tensor]:
    momentum = {
        f"momentum {i}": entry["momentum_buffer"]
        for i, entry in state.optimizer.state_dict()["state"].items()
    }
    return {name: tensor.clone() for name, tensor in (state.model.state_dict() | momentum).items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def trained(data: MethodData, epochs: int = 1) -> State:
    state = fresh_state(RESNET.build(), SETTINGS)
    for _ in range(epochs):
        train_epoch(state, data, SETTINGS)
    return state


def test_an_epoch_in_parts_equals_one_in_one_go(data: MethodData) -> None:
    whole, parts = (fresh_state(RESNET.build(), SETTINGS) for _ in range(2))
    train_epoch(whole, data, SETTINGS)
    for share in (0.2, 0.7, 1.0):
        train_epoch(parts, data, SETTINGS, share=share)
    assert (parts.epoch, parts.step) == (1, 0)
    assert same(tensors(whole), tensors(parts))


def test_a_copy_trains_as_the_original_and_leaves_it_alone(data: MethodData) -> None:
    state = trained(data)
    before, copied = tensors(state), state.copy()
    train_epoch(copied, data, SETTINGS)
    assert same(tensors(state), before)
    train_epoch(state, data, SETTINGS)
    assert same(tensors(state), tensors(copied))
    assert not same(tensors(state), before)


def test_a_read_state_trains_as_the_written_one(data: MethodData, tmp_path: Path) -> None:
    state = trained(data)
    train_epoch(state, data, SETTINGS, share=0.5)
    state.save(tmp_path / "state.pt")
    read = load(tmp_path / "state.pt", RESNET, SETTINGS)
    sent = from_bytes(state.to_bytes(), RESNET, SETTINGS)
    assert (read.epoch, read.step) == (state.epoch, state.step) == (1, data.steps // 2 + data.steps % 2)
    for each in (state, read, sent):
        train_epoch(each, data, SETTINGS)
    assert same(tensors(state), tensors(read))
    assert same(tensors(state), tensors(sent))


def test_a_state_keeps_its_quantizer(tmp_path: Path) -> None:
    config = QuantizeConfig(
        weight_bits=4,
        input_mode=InputMode.TABLE,
        layers={"conv1": LayerBits(weight_bits=8, per_channel=False)},
    )
    state = fresh_state(LENET.build(), SETTINGS)
    state.quantization = Quantization(config=config, thresholds={"conv1": torch.tensor([1.5])})
    state.history = ("P", "Q(4,8)")
    state.save(tmp_path / "state.pt")
    read = load(tmp_path / "state.pt", LENET, SETTINGS)
    assert read.quantization is not None
    assert read.quantization.config == config
    assert read.quantization.thresholds == {"conv1": torch.tensor([1.5])}
    assert read.history == state.history


def test_quantizer_settings_can_be_sent_to_another_process() -> None:
    config = QuantizeConfig(weight_bits=4, layers={"conv1": LayerBits(weight_bits=8)})
    assert pickle.loads(pickle.dumps(config)) == config
    assert copy.deepcopy(config) == config


def test_the_state_of_another_network_is_refused(tmp_path: Path) -> None:
    fresh_state(LENET.build(), SETTINGS).save(tmp_path / "state.pt")
    with pytest.raises(DataError, match=r"state\.pt: not a state of this network"):
        load(tmp_path / "state.pt", RESNET, SETTINGS)
    torch.save({"format": "other"}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"is a other, not a bitlathe-state-1; start over"):
        load(tmp_path / "other.pt", RESNET, SETTINGS)


def test_a_diverging_epoch_is_told_of(data: MethodData) -> None:
    state = fresh_state(RESNET.build(), SETTINGS)
    with pytest.raises(Diverged, match="choose a lower lr"):
        train_epoch(state, data, replace(SETTINGS, lr=1e20))


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (0.05, None),
        (1.0, r"rose from 0\.\d\d to [\d.]+ in epoch 1, where a guess has 2\.30; choose a lower lr"),
    ],
)
def test_an_epoch_that_ends_as_a_guess_has_diverged_though_its_loss_is_finite(
    rate: float, told: str | None
) -> None:
    plain = MethodData.split(load_dataset("digits"), held_out=400, batch_size=64, augment=False)
    settings = replace(SETTINGS, batch_size=64, schedule=Schedule.COSINE, lr=rate)
    state = fresh_state(load_pretrained("lenet5", "digits"), settings)
    config = QuantizeConfig(weight_bits=4, activation_bits=4, calibration_images=32)
    state.quantization = Quantization(config=config)
    with pytest.raises(Diverged, match=told) if told else nullcontext():
        train_epoch(state, plain, settings)


def test_every_candidate_sees_the_same_batches(data: MethodData) -> None:
    first, again, other = (data.batch(0, 1, step) for step in (2, 2, 3))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_an_epoch_visits_every_image_once_in_a_new_order() -> None:
    plain = MethodData.split(load_dataset("digits"), held_out=200, batch_size=100, augment=False)
    seen = [torch.cat([plain.batch(0, epoch, s)[0] for s in range(plain.steps)]) for epoch in (0, 1)]
    assert not torch.equal(seen[0], seen[1])
    rows = [np.sort(images.flatten(1).double() @ torch.arange(64).double()) for images in seen]
    assert np.array_equal(rows[0], rows[1])
    assert len(seen[0]) == len(plain.train_labels)


def test_the_held_out_images_are_never_trained_on() -> None:
    dataset = load_dataset("digits")
    plain = MethodData.split(dataset, held_out=200, batch_size=100, augment=False)
    joined = np.concatenate([plain.train_images, plain.held_images])
    assert len(plain.held_labels) == 200
    assert np.array_equal(np.sort(joined, axis=0), np.sort(dataset.train_images, axis=0))


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(DataError, match="cannot hold out 5000 of 1437 training images"):
        MethodData.split(load_dataset("digits"), held_out=5000, batch_size=8, augment=False)


class Noisy(nn.Module):
    """A network whose dropout draws from PyTorch's global generator."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(nn.functional.dropout(x.flatten(1), 0.5, self.training))
        return logits


def test_dropout_repeats_whatever_was_drawn_before(data: MethodData) -> None:
    torch.manual_seed(0)
    first = fresh_state(Noisy(), SETTINGS)
    second = first.copy()
    train_epoch(first, data, SETTINGS)
    torch.rand(7)
    train_epoch(second, data, SETTINGS)
    assert same(tensors(first), tensors(second))


def test_a_short_epoch_takes_other_images_each_time() -> None:
    short = MethodData.split(
        load_dataset("digits"), held_out=200, batch_size=64, augment=False, epoch_images=100
    )
    assert short.steps == 2
    first, second = (
        [torch.cat([short.batch(0, epoch, step)[part] for step in range(2)]) for part in (0, 1)]
        for epoch in (0, 1)
    )
    assert len(first[1]) == len(second[1]) == 100
    assert not torch.equal(first[0], second[0])
