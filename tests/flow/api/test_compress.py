"""Compressing from Python is what the command line does, and leaves the network given as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import run
from sklearn.datasets import load_digits
from torch import nn

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
    assert made.after.score == made.score == made.accuracy and made.cycles == told["after"]["cycles"]
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


QUICK: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 128,
    "epoch_images": 256,
    "held_out": 100,
    "rungs": ["cycle-model"],
}
PRUNE = bitlathe.PruneParameters(channels=2, share=0.25)
QUANTIZE = bitlathe.QuantizeParameters(bits=(4, 8), calibration_images=32)
AS_A_FILE = """\
[network]
name = "lenet5"
dataset = "digits"
[training]
epochs = 2
batch_size = 128
epoch_images = 256
[search]
held_out = 100
[methods.Q]
bits = [4, 8]
calibration_images = 32
[methods.T]
[rule]
name = "feasible"
delta = 0.05
[latency]
target = "zcu104"
rungs = ["cycle-model"]
"""


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 10),
    )


def arrays() -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    return (digits.images * 15).astype(np.uint8), digits.target


def test_a_module_and_arrays_are_searched_and_compiled(tmp_path: Path) -> None:
    network = tiny()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    methods = [PRUNE, QUANTIZE]
    found = bitlathe.search(network, tmp_path, dataset=arrays(), methods=methods, rule="size", **QUICK)
    assert sorted(found.history) == ["P", "Q(4,8)"]
    assert found.result.now.size_bytes < found.result.reference.size_bytes and found.report.exists()
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert found.integer_network.accuracy == found.accuracy
    assert bitlathe.compile(found.integer_network).cycles == found.cycles
    again = bitlathe.search(
        network, tmp_path, dataset=arrays(), methods=methods, rule="size", **QUICK, resume=True
    )
    assert again.to_json() == found.to_json()
    network.get_parameter("0.bias").data += 1
    with pytest.raises(bitlathe.BitlatheError, match=r"was made with network = .* now it is"):
        bitlathe.search(
            network, tmp_path, dataset=arrays(), methods=methods, rule="size", **QUICK, resume=True
        )


def test_a_search_by_arguments_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(AS_A_FILE)
    of_file = bitlathe.search(tmp_path / "search.toml", tmp_path / "file")
    settings: dict[str, Any] = {
        "methods": [bitlathe.Train(), QUANTIZE],  # the order of methods is not that of the arguments
        "rule_parameters": {"delta": 0.05},
        "target": "zcu104",
        **QUICK,
    }
    named = bitlathe.search("lenet5", tmp_path / "named", dataset="digits", **settings)
    given = bitlathe.search(bitlathe.load_network("lenet5"), tmp_path / "given", **settings)
    for found in (named, given):
        assert (found.result.graph, found.history) == (of_file.result.graph, of_file.history)
        assert found.result.now == of_file.result.now
    resumed = bitlathe.search(tmp_path / "search.toml", tmp_path / "named", resume=True)
    assert resumed.history == named.history


def test_processes_are_handed_the_network_and_its_images(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        **QUICK,
        "dataset": arrays(),
        "methods": [bitlathe.Train(), QUANTIZE],
        "epochs": 1,
    }
    alone = bitlathe.search(tiny(), tmp_path / "alone", **settings)
    beside = bitlathe.search(tiny(), tmp_path / "beside", **settings, executor="local", workers=1)
    assert beside.result.graph == alone.result.graph

    class Local(nn.Sequential):
        pass

    with pytest.raises(
        bitlathe.UsageError, match="`executor=local`: its processes cannot be sent the network"
    ):
        bitlathe.search(Local(*tiny()), tmp_path / "local", **settings, executor="local")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": []}, "`methods`: is missing; give some of P, Q, W, PQ, T"),
        (
            {"methods": ["prune"]},
            "`methods`: has a str; give PruneParameters, QuantizeParameters, PruneWeights",
        ),
        (
            {"methods": [PRUNE], "baselines": ["ordinary"]},
            "`baselines`: ordinary needs a P and a Q; give",
        ),
        (
            {"methods": [bitlathe.QuantizeParameters(full=("nope",))]},
            "`methods`: Q.full: quantize: no layer is",
        ),
        ({"epochs": 0}, "`epochs`: is 0; give 1 or more"),
        ({"epochs": None}, "`epochs`: is missing"),
        ({"epoch": 1}, "`epoch`: is unknown; did you mean epochs?"),
        ({"target": "nope"}, "`target`: "),
        ({"rule": "nope"}, "`rule`: "),
        ({"rule_parameters": {"nope": 1}}, "`rule`: rule feasible has no parameter nope"),
    ],
)
def test_an_argument_of_a_search_that_is_wrong_is_named(wrong: Any, message: str, tmp_path: Path) -> None:
    arguments = {"methods": [QUANTIZE], **QUICK, **wrong}
    with pytest.raises(bitlathe.UsageError) as raised:
        bitlathe.search("lenet5", tmp_path / "out", **arguments)
    assert message in str(raised.value)


def test_a_file_leaves_nothing_for_arguments_to_say(tmp_path: Path) -> None:
    with pytest.raises(bitlathe.UsageError, match=r"`epochs`: search.toml says it; write it there"):
        bitlathe.search("search.toml", tmp_path, epochs=3)
