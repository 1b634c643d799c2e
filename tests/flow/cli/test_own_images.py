"""A network and pictures of one's own go from float training to a board, in six commands or 20 lines."""

from __future__ import annotations

from pathlib import Path

import needs
import numpy as np
import pytest
from command_line import run
from picture_folders import class_folders

from bitlathe.flow.errors import ExitStatus

NETWORK = '''
from torch import nn


def make_network():
    """For pictures of 3 channels and any size, in 5 classes."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, stride=4, padding=2, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5),
    )
'''
SEARCH = """
[network]
name = "own.py:make_network"
dataset = "photos"
weights = "trained/weights.pt"
[training]
epochs = 2
batch_size = 16
lr = 0.02
[search]
held_out = 20
[methods.P]
channels = 32
share = 0.5
required = false
[methods.Q]
bits = [[8, 8], [4, 4]]
[latency]
rungs = ["cycle-model"]
"""
BUDGET_MS = 0.036  # of 0.041 that the network takes before
OWN = "--network own.py:make_network --dataset photos"
COMMANDS = f"""
bitlathe train {OWN} --epochs 5 --batch-size 16 --threads 1 --out trained
bitlathe quantize {OWN} --weights trained/weights.pt --out own.blg --json
bitlathe search search.toml --budget-ms {BUDGET_MS} --out found --json
bitlathe simulate found/network.blg --dataset photos --images 4 --json
bitlathe deploy found/network.blg --dataset photos --overlay simulated --images 4 --out to_board
bitlathe measure found/network.blg --dataset photos --board sim://pynq-z2 --images 4 --json
"""
PYTHON = f"""
import bitlathe

photos = bitlathe.load_dataset("photos")
network = bitlathe.load_network("own.py:make_network", photos)
trained = bitlathe.compress(network, "train:epochs=5", "trained", held_out=20, batch_size=16, lr=0.05)
network = bitlathe.load_network("own.py:make_network", photos, weights="trained/state.pt")
found = bitlathe.search(
    network,
    "found",
    methods=[
        bitlathe.PruneParameters(channels=32, share=0.5, required=False),
        bitlathe.QuantizeParameters(bits=(4, 4)),
    ],
    epochs=2,
    budget_ms={BUDGET_MS},
    held_out=20,
    batch_size=16,
)
found.check()
program = bitlathe.compile(found.integer_network, target="pynq-z2")
deployment = bitlathe.deploy(program, "to_board", overlay="simulated", images=4)
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with the pictures and the network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    class_folders(tmp_path / "photos", np.random.default_rng(0), 25)
    (tmp_path / "own.py").write_text(NETWORK)
    (tmp_path / "search.toml").write_text(SEARCH)


def test_six_commands_end_on_the_simulated_board_within_the_budget() -> None:
    needs.package("pynq")
    told = []
    for line in COMMANDS.strip().splitlines():
        outcome = run(*line.split()[1:])
        assert outcome.status == ExitStatus.DONE, f"{line}\n{outcome.stderr}"
        told.append(outcome)
    _, quantized, found, simulated, _, measured = told
    classes = "5 classes (blue, green, grey, red, stripes)"
    for outcome in told:
        assert f"photos: 100 training and 25 test images of 48x64x3, {classes}; 1.2 MB" in outcome.stderr
    assert quantized.json["accuracy_integer"] > 0.8 and quantized.json["dataset"] == "photos"
    assert found.json["budget"]["met"] and found.json["found"]["latency_ms"] <= BUDGET_MS
    assert found.json["test_accuracy"] > 0.6
    assert simulated.json["mismatches"] == measured.json["mismatches"] == 0
    (bundle,) = Path("to_board").glob("*.bundle")
    assert bundle.name.startswith("make_network-pynq-z2-")


def test_twenty_lines_of_python_do_the_same() -> None:
    names: dict[str, object] = {}
    assert len([line for line in PYTHON.splitlines() if line]) <= 22
    exec(compile(PYTHON, "twenty_lines.py", "exec", dont_inherit=True), names)
    found, program, deployment = (names[name] for name in ("found", "program", "deployment"))
    assert found.accuracy > 0.6 and program.milliseconds <= BUDGET_MS  # type: ignore[attr-defined]
    assert (deployment.folder / deployment.bundle).is_file()  # type: ignore[attr-defined]
