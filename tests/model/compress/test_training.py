"""Training is repeatable, resumable, stops at NaN, and learns."""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from pathlib import Path

import pytest
import torch

from bitlathe.model.compress import Diverged, State, epoch
from bitlathe.model.compress.state import Identity
from bitlathe.model.compress.training import CHECKPOINT_NAME, TrainResult, train
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.errors import DataError
from bitlathe.model.train import Precision, TrainConfig

SHORT = TrainConfig(epochs=3, threads=1)


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    return result.model.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Stop(Exception):
    """Interrupts a training from within."""


def stop_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the next training once `epoch` is on disk."""

    save = State.save

    def saved(state: State, path: Path, identity: Identity | None = None) -> None:
        save(state, path, identity)
        if state.epoch == epoch:
            raise Stop

    monkeypatch.setattr(State, "save", saved)


def test_lenet5_learns_digits_with_the_default_settings(tmp_path: Path) -> None:
    result = train(TrainConfig(threads=1), load_dataset("digits"), tmp_path)
    assert result.accuracy > 0.97
    assert not result.model.training


def test_equal_settings_give_equal_weights(tmp_path: Path) -> None:
    digits = load_dataset("digits")
    first, second = train(SHORT, digits, tmp_path / "1"), train(SHORT, digits, tmp_path / "2")
    other = train(dataclasses.replace(SHORT, seed=1), digits, tmp_path / "3")
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


@pytest.mark.parametrize("augment", [False, True])
def test_a_resumed_training_equals_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: bool
) -> None:
    config = dataclasses.replace(SHORT, augment=augment)
    whole = train(config, load_dataset("digits"), tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(2, patch)
        train(config, load_dataset("digits"), tmp_path / "parts")
    resumed = train(config, load_dataset("digits"), tmp_path / "parts", resume=True)
    assert same(weights(whole), weights(resumed))


def test_resuming_a_finished_training_changes_nothing(tmp_path: Path) -> None:
    first = train(SHORT, load_dataset("digits"), tmp_path)
    written = (tmp_path / CHECKPOINT_NAME).read_bytes()
    second = train(SHORT, load_dataset("digits"), tmp_path, resume=True)
    assert same(weights(first), weights(second)) and first.accuracy == second.accuracy
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == written


def test_resuming_with_another_setting_is_refused(tmp_path: Path) -> None:
    train(SHORT, load_dataset("digits"), tmp_path)
    message = (
        f"{tmp_path / CHECKPOINT_NAME}: was made with lr = 0.05, now it is 0.1; "
        "give the same settings or start over in another folder"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        train(dataclasses.replace(SHORT, lr=0.1), load_dataset("digits"), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"fc1.weight": torch.zeros(2)}, "is a None, not a bitlathe-state-1; start over"),
        (
            {"model": {}, "optimizer": {}, "config": {}, "history": []},
            "is the checkpoint of an earlier version's training, which only that version can resume; "
            "start over in another folder, or load it as weights",
        ),
    ],
)
def test_resuming_from_another_s_file_is_refused(
    tmp_path: Path, content: dict[str, object], told: str
) -> None:
    torch.save(content, tmp_path / CHECKPOINT_NAME)
    with pytest.raises(DataError) as caught:
        train(SHORT, load_dataset("digits"), tmp_path, resume=True)
    assert str(caught.value) == f"{tmp_path / CHECKPOINT_NAME}: {told}"


def test_progress_counts_the_steps_of_all_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(1, patch)
        train(SHORT, load_dataset("digits"), tmp_path, progress=lambda *steps: told.append(steps))
    train(SHORT, load_dataset("digits"), tmp_path, resume=True, progress=lambda *steps: told.append(steps))
    done = [done for done, _ in told]
    assert {steps for _, steps in told} == {69}
    assert sorted(set(done)) == list(range(70))


def test_a_loss_of_nan_stops_and_keeps_the_last_good_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(1, patch)
        train(SHORT, load_dataset("digits"), tmp_path)
    written = (tmp_path / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(epoch, "learning_rate", lambda config, progress: 1e12)
    loss, kept = r"the loss became (nan|inf) at step \d+", r"\S*checkpoint.pt keeps epoch 1"
    with pytest.raises(Diverged, match=f"^training lenet5: {loss}; choose a lower lr; {kept}$"):
        train(SHORT, load_dataset("digits"), tmp_path, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == written


def test_resnet8_trains_in_bfloat16(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    config = TrainConfig(network="resnet8", epochs=2, precision=Precision.BFLOAT16, augment=True, threads=1)
    result = train(config, load_dataset("digits"), tmp_path)
    first, second = (float(loss) for loss in re.findall(r"train loss ([\d.]+)", caplog.text))
    assert second < min(first, math.log(10))
    assert {tensor.dtype for tensor in result.model.parameters()} == {torch.float32}
