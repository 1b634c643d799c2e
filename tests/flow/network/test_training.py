"""`bitlathe train` trains, goes on, and notes the command that repeats it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch
from command_line import run

from bitlathe.flow.network.training import repeating_command
from bitlathe.model.compress.weight_files import read_metadata
from bitlathe.model.train import Precision, Schedule, TrainConfig
from bitlathe.model.train.state_dicts import read_state

SHORT = ("train", "--network", "lenet5", "--epochs", "2", "--threads", "1")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_training_writes_weights_and_tells_their_accuracy() -> None:
    outcome = run(*SHORT)
    accuracy = read_metadata(Path("build/train/lenet5-digits/weights.pt")).accuracy
    assert outcome.status == 0
    assert outcome.stdout == (f"build/train/lenet5-digits/weights.pt: test accuracy {100 * accuracy:.2f} %\n")


def test_the_noted_command_repeats_the_training() -> None:
    first = run(*SHORT, "--lr", "0.1", "--augment", "--seed", "3", "--out", "a", "--json").json
    assert first["command"].startswith(
        "bitlathe train --network lenet5 --dataset digits --epochs 2 --lr 0.1 "
    )
    run(*shlex.split(first["command"])[1:], "--out", "b")
    a, b = read_state(Path("a/weights.pt")).state, read_state(Path("b/weights.pt")).state
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_another_training_is_not_written_over() -> None:
    assert run(*SHORT, "--out", "x").status == 0
    before = {path.name: path.read_bytes() for path in Path("x").iterdir()}
    outcome = run(*SHORT, "--lr", "0.1", "--out", "x")
    assert outcome.status == 2
    assert outcome.stderr == (
        "bitlathe: x: holds a training; continue it with --resume, or name another folder with --out\n"
    )
    assert {path.name: path.read_bytes() for path in Path("x").iterdir()} == before


def test_resuming_a_finished_training_writes_its_weights_again() -> None:
    run(*SHORT, "--out", "x")
    before = read_state(Path("x/weights.pt")).state
    Path("x/weights.pt").unlink()
    assert run(*SHORT, "--out", "x", "--resume").status == 0
    after = read_state(Path("x/weights.pt")).state
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_noted_command_names_every_setting_that_is_not_the_default() -> None:
    config = TrainConfig(
        network="resnet8",
        dataset="cifar10",
        schedule=Schedule.COSINE,
        precision=Precision.BFLOAT16,
        label_smoothing=0.1,
        threads=2,
    )
    assert repeating_command(config) == (
        "bitlathe train --network resnet8 --dataset cifar10 --schedule cosine --label-smoothing 0.1 "
        "--precision bfloat16 --threads 2"
    )


@pytest.mark.parametrize("network", ["lenet5", "net.py:make"])
def test_a_network_is_trained_to_see_what_is_asked_for_and_its_weights_note_it(network: str) -> None:
    Path("net.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))\n"
    )
    named = ("train", "--network", network, "--dataset", "digits", "--epochs", "2", "--threads", "1")
    plain = run(*named, "--out", "plain", "--json").json
    made = run(*named, "--normalize", "mean=0.2,std=0.3", "--out", "seen", "--json").json
    assert (plain["normalization"], made["normalization"]) == ("none", "mean=0.2,std=0.3")
    assert "--normalize mean=0.2,std=0.3" in made["command"] and "--normalize" not in plain["command"]
    a, b = (next(iter(read_state(Path(f"{out}/weights.pt")).state.values())) for out in ("plain", "seen"))
    assert not torch.equal(a, b)
    options = ("quantize", "--network", network, "--dataset", "digits", "--json")
    quantized = run(*options, "--weights", "seen/weights.pt").json
    assert quantized["weights"]["normalization"] == "mean=0.2,std=0.3"
    assert quantized["accuracy_float"] == made["accuracy"]


def test_a_training_goes_on_only_with_its_own_normalization() -> None:
    assert run(*SHORT, "--normalize", "unit", "--out", "x").status == 0
    assert run(*SHORT, "--normalize", "0..1", "--out", "x", "--resume").status == 0
    outcome = run(*SHORT, "--out", "x", "--resume")
    assert outcome.status == 2 and "x/checkpoint.pt" in outcome.stderr


def test_constants_of_other_channels_than_the_images_are_refused_before_training() -> None:
    outcome = run(*SHORT, "--normalize", "imagenet")
    assert outcome.status == 2
    assert outcome.stderr.splitlines()[-1] == (
        "bitlathe: --normalize imagenet: has 3 means, images of digits have 1 channel; give 1"
    )
