"""Metrics against plain definitions, and what they refuse."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest

from bitlathe.model.graph.errors import DataError
from bitlathe.model.train import METRICS, TaskMetric, metrics


def judged(name: str, outputs: Any, labels: Any) -> float:
    return METRICS[name](np.asarray(outputs, np.float32), np.asarray(labels))


def test_top1_counts_the_first_of_equal_outputs() -> None:
    outputs = [[1, 3, 3], [2, 0, 1]]
    assert judged("top1", outputs, [1, 0]) == 1.0
    assert judged("top1", outputs, [2, 0]) == 0.5


def test_top5_counts_labels_among_the_five_largest_and_of_equal_ones_the_first(
    rng: np.random.Generator,
) -> None:
    outputs, labels = rng.standard_normal((50, 9)), rng.integers(0, 9, 50)
    expected = [
        label in sorted(range(9), key=lambda k: -row[k])[:5]
        for row, label in zip(outputs, labels, strict=True)
    ]
    assert judged("top5", outputs, labels) == np.mean(expected)
    assert judged("top5", np.zeros((2, 6)), [4, 5]) == 0.5


def test_mean_squared_error_takes_labels_in_any_shape_of_as_many_numbers(rng: np.random.Generator) -> None:
    outputs, labels = rng.standard_normal((7, 1)).astype(np.float32), rng.standard_normal(7)
    expected = float(((outputs[:, 0].astype(np.float64) - labels) ** 2).mean())
    assert METRICS["mse"](outputs, labels) == METRICS["mse"](outputs, labels[:, None]) == expected
    assert METRICS["mse"].merit(expected) == -expected


def test_mean_iou_is_the_mean_over_the_classes_that_are_there(rng: np.random.Generator) -> None:
    outputs, labels = rng.standard_normal((5, 6, 4, 3)), rng.integers(0, 4, (5, 4, 3))
    outputs[:, 5] = -9  # in neither
    labels[0, 0, 0], labels[1, 1, 1] = 255, -1
    made, counts = outputs.argmax(axis=1), (labels >= 0) & (labels != 255)
    shares = []
    for kind in range(5):
        right, found = (labels == kind) & counts, (made == kind) & counts
        shares.append((right & found).sum() / (right | found).sum())
    assert judged("miou", outputs, labels) == pytest.approx(np.mean(shares), abs=1e-12)
    exact = np.eye(6)[np.where(counts, labels, 0)].transpose(0, 3, 1, 2)
    assert judged("miou", exact, labels) == 1.0


@pytest.mark.parametrize(
    ("name", "outputs", "labels", "message"),
    [
        ("top1", np.zeros((2, 3, 4, 4)), [0, 1], "metric top1: outputs are (2, 3, 4, 4), labels int64 (2,)"),
        ("top1", np.zeros((2, 3)), [0.5, 1], "labels float64 (2,); it takes one output per class"),
        ("top5", np.zeros((2, 3)), [0, 1], "metric top5: needs 6 classes or more, the outputs have 3"),
        ("mse", np.zeros((2, 3)), [0.0, 1.0], "metric mse: outputs are (2, 3), labels (2,); it takes labels"),
        (
            "miou",
            np.zeros((2, 3)),
            [0, 1],
            "metric miou: outputs are (2, 3), labels int64 (2,); it takes maps",
        ),
        ("miou", np.zeros((1, 2, 1, 2)), [[[0, 2]]], "the outputs have 2 classes, labels reach 2"),
        ("miou", np.zeros((1, 2, 1, 2)), [[[255, -1]]], "the outputs have 2 classes, no pixel counts"),
    ],
)
def test_outputs_that_a_metric_does_not_take_are_refused(
    name: str, outputs: np.ndarray, labels: Any, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        judged(name, outputs, labels)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_several_outputs_are_left_to_a_metric_of_the_user_s() -> None:
    two = (np.zeros((2, 3)), np.zeros((2, 1)))
    with pytest.raises(DataError, match="metric top1: takes one output, here are 2"):
        METRICS["top1"](two, np.zeros(2, np.int64))
    assert TaskMetric(name="n", title="n", function=lambda made, labels: len(made))(two, np.zeros(2)) == 2.0


def test_a_metric_is_said_in_percent_where_it_is_a_share() -> None:
    assert doctest.testmod(metrics) == (0, 1)
    assert METRICS["miou"].said(0.5) == "50.00 %" and METRICS["mse"].said(0.5) == "0.5"
    assert METRICS["top1"].accuracy(0.5) == 0.5 and METRICS["miou"].accuracy(0.5) is None
