"""Training is repeatable, resumable, stops at NaN, and learns."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bitlathe.model.graph.errors import BitlatheError, DataError
from bitlathe.model.train import EpochMetrics, Precision, TrainConfig, TrainResult, evaluate, loop, train
from bitlathe.model.zoo import build

SHORT = TrainConfig(epochs=3, threads=1)


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    return result.model.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Stop(Exception):
    """Interrupts a training from within."""


def stop_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the next training once `epoch` is on disk."""

    def log(metrics: EpochMetrics, config: TrainConfig) -> None:
        if metrics.epoch == epoch:
            raise Stop

    monkeypatch.setattr(loop, "_log_epoch", log)


def test_lenet5_learns_digits_with_the_default_settings(tmp_path: Path) -> None:
    result = train(TrainConfig(threads=1), None, tmp_path)
    assert result.accuracy > 0.97
    assert not result.model.training


def test_equal_settings_give_equal_weights(tmp_path: Path) -> None:
    first, second = train(SHORT, None, tmp_path / "1"), train(SHORT, None, tmp_path / "2")
    other = train(dataclasses.replace(SHORT, seed=1), None, tmp_path / "3")
    assert same(weights(first), weights(second))
    assert not same(weights(first), weights(other))


@pytest.mark.parametrize("augment", [False, True])
def test_a_resumed_training_equals_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: bool
) -> None:
    config = dataclasses.replace(SHORT, augment=augment)
    whole = train(config, None, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(2, patch)
        train(config, None, tmp_path / "parts")
    resumed = train(config, None, tmp_path / "parts", resume=True)
    assert same(weights(whole), weights(resumed))
    assert [m.test_loss for m in whole.history] == [m.test_loss for m in resumed.history]


def test_resuming_a_finished_training_changes_nothing(tmp_path: Path) -> None:
    first = train(SHORT, None, tmp_path)
    written = first.checkpoint.read_bytes()
    assert same(weights(first), weights(train(SHORT, None, tmp_path, resume=True)))
    assert first.checkpoint.read_bytes() == written


def test_resuming_with_another_setting_is_refused(tmp_path: Path) -> None:
    checkpoint = train(SHORT, None, tmp_path).checkpoint
    message = (
        f"{checkpoint}: was trained with lr 0.05, now 0.1 is asked for; "
        "give the same settings or start anew in another folder"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        train(dataclasses.replace(SHORT, lr=0.1), None, tmp_path, resume=True)


def test_resuming_from_a_foreign_file_is_refused(tmp_path: Path) -> None:
    torch.save({"fc1.weight": torch.zeros(2)}, tmp_path / "checkpoint.pt")
    with pytest.raises(DataError, match=r"not a training checkpoint .* start anew in another folder"):
        train(SHORT, None, tmp_path, resume=True)


def test_a_loss_of_nan_stops_and_keeps_the_last_good_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(1, patch)
        train(SHORT, None, tmp_path)
    written = (tmp_path / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(loop, "learning_rate", lambda config, progress: 1e12)
    message = (
        r"training lenet5: the loss became (nan|inf) at step \d+ of epoch 2; .*checkpoint.pt keeps epoch 1"
    )
    with pytest.raises(BitlatheError, match=f"^{message}; choose an lr below 0.05$"):
        train(SHORT, None, tmp_path, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == written


def test_resnet8_trains_in_bfloat16(tmp_path: Path) -> None:
    config = TrainConfig(network="resnet8", epochs=2, precision=Precision.BFLOAT16, augment=True, threads=1)
    result = train(config, None, tmp_path)
    assert result.history[1].train_loss < min(result.history[0].train_loss, np.log(10))
    assert {tensor.dtype for tensor in result.model.parameters()} == {torch.float32}


def test_evaluate_counts_correct_answers_whatever_the_batch() -> None:
    model = build("lenet5").train()
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), dtype=np.uint8)
    one = evaluate(model, images, np.zeros(7, np.int64), batch=3)
    share = [evaluate(model, images, np.full(7, label), batch=7).accuracy for label in range(10)]
    assert one.accuracy == share[0]
    assert round(sum(share) * 7) == 7
    assert model.training


def test_evaluate_refuses_a_label_too_few() -> None:
    with pytest.raises(DataError, match=r"^evaluate: 2 images and 1 labels; give as many labels as images$"):
        evaluate(build("lenet5"), np.zeros((2, 8, 8, 1), np.uint8), np.zeros(1, np.int64))
