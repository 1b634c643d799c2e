"""Compressing from Python is what the command line does, and leaves the network given as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import run

import bitlathe
from bitlathe.flow.network.subject import Subject

METHODS = ("weights:sparsity=0.5,epochs=0", "quantize:weights=4,epochs=1")
SETTINGS = {"held_out": 200, "images": 60, "epoch_images": 128}


@pytest.fixture(scope="module")
def lenet() -> Subject:
    return bitlathe.load_network("lenet5")


def test_a_compression_is_that_of_the_command_line(lenet: Subject, tmp_path: Path) -> None:
    words = [word for method in METHODS for word in ("--method", method)]
    for name, value in SETTINGS.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    told = run("compress", "--network", "lenet5", *words, "--out", tmp_path / "told", "--json").json
    state = {name: tensor.clone() for name, tensor in lenet.model.state_dict().items()}
    events: list[object] = []
    made = bitlathe.compress(lenet, METHODS, tmp_path / "made", **SETTINGS, progress=events.append)
    assert {**made.to_json(), "out": told["out"], "methods": list(made.methods)} == told
    assert all(torch.equal(tensor, state[name]) for name, tensor in lenet.model.state_dict().items())
    assert str(events[-1]) == "lenet5: training: 1 of 1"
    assert made.after.accuracy == made.accuracy and made.cycles == told["after"]["cycles"]
    assert str(made).startswith("lenet5 on digits, compressed: accuracy ")


def test_what_is_kept_is_the_network_that_is_handed_out(lenet: Subject, tmp_path: Path) -> None:
    made = bitlathe.compress(lenet, METHODS[0], tmp_path / "out", **SETTINGS)
    kept = bitlathe.load_quantized(tmp_path / "out" / "network.blg")
    assert kept.accuracy == made.integer_network.accuracy
    again = bitlathe.compress(lenet, METHODS[0], tmp_path / "out", **SETTINGS, resume=True)
    assert again.graph == made.graph


def test_without_a_folder_nothing_is_kept(
    lenet: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = bitlathe.compress(lenet, METHODS[0], **SETTINGS)
    assert list(tmp_path.iterdir()) == []
    assert bitlathe.compile(made.integer_network, "zcu104").cycles > 0


def test_a_method_that_is_wrong_is_named_as_an_argument(lenet: Subject) -> None:
    with pytest.raises(bitlathe.UsageError, match=r"`methods=shrink`: no method is called shrink"):
        bitlathe.compress(lenet, "shrink")
    with pytest.raises(bitlathe.UsageError, match="nothing to do: give `methods` once or more"):
        bitlathe.compress(lenet, [])
    with pytest.raises(bitlathe.UsageError, match="`executor=x`: choose one of sequential, local, ray"):
        bitlathe.search("none.toml", "out", executor="x")
