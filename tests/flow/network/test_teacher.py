"""A trained network teaches another in `train`, `compress` and `search`, by command line and Python."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch
from command_line import LENET, run

import bitlathe
from bitlathe.flow.errors import UsageError
from bitlathe.model.compress.methods import Train
from bitlathe.model.graph.files.archive import graph_digest
from bitlathe.model.train.state_dicts import read_state

TRAIN = ("train", "--network", "lenet5", "--epochs", "2", "--threads", "1")
COMPRESS = (
    *("compress", *LENET, "--method", "train:epochs=1", "--images", "100"),
    *("--epoch-images", "64", "--batch-size", "64"),
)
SEARCH = """
[network]
name = "lenet5"
[training]
epochs = 1
epoch_images = 128
batch_size = 64
{teacher}
[search]
held_out = 200
[methods.T]
[latency]
rungs = ["cycle-model"]
"""


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_student_learns_without_labels() -> None:
    teacher = ("--teacher", "lenet5", "--teacher-share", "1")
    taught = run("train", "--network", "lenet5", "--epochs", "8", "--threads", "1", *teacher, "--json").json
    assert taught["accuracy"] > 0.6  # a guess has a tenth


def test_the_noted_command_has_the_teacher() -> None:
    teacher = ("--teacher", "lenet5", "--teacher-temperature", "2")
    first = run(*TRAIN, *teacher, "--out", "a", "--json").json
    run(*shlex.split(first["command"])[1:], "--threads", "1", "--out", "b")
    run(*TRAIN, "--out", "alone")
    a, b, alone = (read_state(Path(name, "weights.pt")).state for name in ("a", "b", "alone"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], alone[name]) for name in a)


def test_a_training_by_another_teacher_is_not_resumed() -> None:
    run(*TRAIN, "--teacher", "lenet5", "--out", "x")
    outcome = run(*TRAIN, "--teacher", "lenet5", "--teacher-share", "0.9", "--out", "x", "--resume")
    assert outcome.status == 2 and "teacher" in outcome.stderr


def test_compression_by_another_teacher_is_not_resumed() -> None:
    assert run(*COMPRESS, "--teacher", "lenet5", "--out", "x").status == 0
    outcome = run(*COMPRESS, "--out", "x", "--resume")
    assert outcome.status == 2 and "teacher" in outcome.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--teacher-share", "0.3"), "--teacher-share: does nothing without --teacher"),
        (("--teacher", "lenet5", "--teacher-share", "2"), "--teacher-share: is 2.0; give more than 0"),
        (("--teacher", "resnet8"), "--teacher resnet8: has random weights; give --teacher-weights"),
        (("--teacher", "lenet5", "--loss", "mse"), "a teacher teaches classes; leave out --teacher"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(words: tuple[str, ...], message: str) -> None:
    outcome = run(*TRAIN, *words)
    assert outcome.status == 2 and message in outcome.stderr.splitlines()[-1], outcome.stderr


def test_a_search_learns_from_a_teacher_by_name_and_as_an_object() -> None:
    Path("taught.toml").write_text(SEARCH.format(teacher='teacher = "lenet5"'))
    by_name = bitlathe.search("taught.toml", "by_name")
    arguments = {"epoch_images": 128, "batch_size": 64, "held_out": 200, "rungs": ["cycle-model"]}
    loaded, taught = (
        bitlathe.search(
            bitlathe.load_network("lenet5"), out, methods=[Train()], epochs=1, teacher=teacher, **arguments
        )
        for out, teacher in (("alone", None), ("taught", bitlathe.load_network("lenet5")))
    )
    graphs = [each.integer_network.graph for each in (by_name, loaded, taught)]
    digests = [graph_digest(graph) for graph in graphs]
    assert digests[0] == digests[2] != digests[1]


def test_a_searchs_teacher_is_checked_before_it_trains() -> None:
    Path("idle.toml").write_text(SEARCH.format(teacher="teacher_share = 0.3"))
    with pytest.raises(bitlathe.BitlatheError, match=r"idle.toml:8: .*teacher_share: is 0.3; give a teacher"):
        bitlathe.search("idle.toml", "out")
    with pytest.raises(UsageError, match="random weights"):
        bitlathe.compress("lenet5", "train", teacher=bitlathe.load_network("resnet8", "digits"))
