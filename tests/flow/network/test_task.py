"""Losses and metrics of a user's own: found by file or handed in, and refused in a line that says why."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import other_tasks
import pytest
import torch
from command_line import run
from other_tasks import FILE, segmenter

import bitlathe
from bitlathe.flow.network.subject import Subject
from bitlathe.flow.network.task import OwnFunction, find_loss, find_metric

LINE = other_tasks.failing.__code__.co_firstlineno + 1
WORDS = ("--network", f"{FILE}:locator", "--dataset", f"{FILE}:corners", "--calibration", "8")


@pytest.fixture(scope="module")
def locator() -> Subject:
    return bitlathe.load_network(f"{FILE}:locator", other_tasks.corners())


def test_a_metric_says_itself_that_less_is_better() -> None:
    for source in (f"{FILE}:distance", other_tasks.distance):
        found = find_metric(source)
        assert found.title == "distance" and found.is_lower_better and not found.is_share
        assert found(np.zeros((2, 2)), np.array([[3.0, 4.0], [0.0, 0.0]])) == 2.5
    assert not find_metric(f"{FILE}:dice").is_lower_better


def test_functions_go_to_other_processes_by_their_file_or_their_module() -> None:
    for source in (f"{FILE}:smooth", other_tasks.smooth):
        loss = find_loss(source)
        again = pickle.loads(pickle.dumps(loss))
        outputs, labels = torch.ones(2, 2, requires_grad=True), torch.zeros(2, 2)
        assert again.name == loss.name and torch.equal(again(outputs, labels), loss(outputs, labels))
    assert isinstance(again.function, OwnFunction) and again.function.function is other_tasks.smooth


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("not_a_number", "metric {}: returned nan; return one finite number, a float"),
        ("words", "metric {}: returned 'very good'; return one finite number"),
        ("each", "metric {}: returned ndarray; return one finite number"),
        ("tensor", "metric {}: returned Tensor; return one finite number"),
        ("nothing", "metric {}: returned NoneType; return one finite number"),
        ("too_large", "metric {}: returned int; return one finite number"),
        ("failing", ": ValueError: no such thing; mend it there"),
        ("missing", "has no function missing; name one that returns a number"),
    ],
)
def test_a_metric_that_is_none_is_told_in_a_line(name: str, message: str) -> None:
    told = run("quantize", *WORDS, "--metric", f"{FILE}:{name}")
    assert told.status == 2 and told.stderr.count("\n") == told.stderr.rstrip().count("\n") + 1
    assert message.format(f"{FILE}:{name}") in told.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("detached", "has no gradient; make it of the outputs without detach"),
        ("each", "loss other_tasks.each: returned torch.float32 (2,); return a scalar"),
        ("words", "returned str; return a scalar tensor"),
        ("failing", f"other_tasks.py:{LINE}: ValueError: no such thing; mend it there"),
        ("bce", "`loss=sum`: choose one of cross_entropy, mse, l1, bce, or give FILE.py:FUNCTION"),
    ],
)
def test_a_loss_that_is_none_is_told_before_anything_is_trained(
    name: str, message: str, locator: Subject
) -> None:
    loss: Any = getattr(other_tasks, name, "sum")
    with pytest.raises(bitlathe.BitlatheError) as caught:
        bitlathe.compress(locator, "train", loss=loss, held_out=9)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (
            lambda subject: bitlathe.quantize(subject, metric="miou"),
            "metric miou: outputs are (3, 2), labels float32 (3, 2); it takes maps",
        ),
        (
            lambda subject: bitlathe.quantize(subject, metric="top5"),
            "metric top5: outputs are (3, 2), labels float32 (3, 2); it takes one output per class",
        ),
        (
            lambda subject: bitlathe.quantize(subject, metric=3),
            "`metric`: is of type int; give a name or a function",
        ),
        (
            lambda subject: bitlathe.compress(subject, "train", augment=True, held_out=9),
            "augment is true, which shifts and mirrors images but not their targets of 2 float32",
        ),
        (
            lambda subject: bitlathe.compress("lenet5", "train", dataset=other_tasks.corners()),
            "lenet5: tells classes apart, arrays has targets of 2 float32; give a network of your own",
        ),
        (
            lambda subject: bitlathe.compress(segmenter(), "train", dataset=other_tasks.corners()),
            "Sequential: makes maps of 2x6x8, arrays has targets of 2 float32; give `loss`",
        ),
        (
            lambda subject: bitlathe.compress("lenet5", "train", loss="mse"),
            "loss mse: outputs are (3, 10), labels (3,); it takes labels of their shape",
        ),
    ],
)
def test_what_does_not_fit_a_task_is_refused_in_a_line(
    attempt: Callable[[Subject], object], message: str, locator: Subject
) -> None:
    with pytest.raises(bitlathe.BitlatheError) as caught:
        attempt(locator)
    assert message in str(caught.value) and "\n" not in str(caught.value)


SEARCHED: dict[str, Any] = {
    "epochs": 1,
    "methods": [bitlathe.QuantizeParameters(bits=(8, 8)), bitlathe.PruneParameters(channels=2, share=0.5)],
    "held_out": 9,
    "rungs": ["cycle-model"],
}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "`rule`: rule feasible needs delta or floor in the unit of mse; the defaults suit shares"),
        ({"rule": "ratio"}, "`rule`: rule ratio needs epsilon in the unit of mse; the defaults suit shares"),
        (
            {"rule": "mnas", "rule_parameters": {"budget_ms": 1.0}},
            "`rule`: rule mnas multiplies by the metric, and less is better of mse; take accuracy",
        ),
        (
            {"rule": "accuracy", "baselines": ["greedy"]},
            "`baselines`: greedy weighs lost shares, and mse is no share; leave it out",
        ),
        (
            {"rule": "accuracy", "label_smoothing": 0.1},
            "`label_smoothing`: label_smoothing is 0.1, but the loss mse has no classes",
        ),
        (
            {"rule": "accuracy", "metric": lambda outputs, labels: 1.0, "executor": "local"},
            "`executor=local`: its processes cannot be sent the metric",
        ),
        ({"rule": "accuracy", "metric": other_tasks.words}, "returned 'very good'; return one finite number"),
    ],
)
def test_a_search_that_does_not_suit_a_metric_is_refused_before_it_trains(
    settings: dict[str, Any], message: str, locator: Subject, tmp_path: Any
) -> None:
    with pytest.raises(bitlathe.BitlatheError) as caught:
        bitlathe.search(locator, tmp_path / "out", **{**SEARCHED, **settings})
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "top1"}, "Twins: metric top1: takes one output, here are 2; give FILE.py:FUNCTION"),
        (
            {"metric": lambda outputs, labels: 1.0, "loss": "cross_entropy"},
            "Twins: of 2 outputs 2 are vectors; the classes must be the only one: ",
        ),
    ],
)
def test_what_does_not_fit_two_vectors_names_the_network(given: dict[str, Any], message: str) -> None:
    class Twins(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = torch.nn.Linear(64, 10), torch.nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.one(x.flatten(1)), self.other(x.flatten(1))

    with pytest.raises(bitlathe.BitlatheError) as caught:
        bitlathe.compress(bitlathe.load_network(Twins(), "digits", **given), "train")
    assert str(caught.value).startswith(message)
