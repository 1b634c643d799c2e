"""Losses against PyTorch's own, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.errors import DataError, FormatError
from bitlathe.model.train import LOSSES, Task, TaskLoss, usual_task


def made(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_cross_entropy_of_classes_is_pytorch_s() -> None:
    outputs, labels = made(6, 4), torch.tensor([0, 1, 2, 3, 3, 0])
    assert torch.equal(LOSSES["cross_entropy"](outputs, labels), functional.cross_entropy(outputs, labels))
    smooth = functional.cross_entropy(outputs, labels, label_smoothing=0.1)
    assert torch.equal(LOSSES["cross_entropy"].smoothed(0.1)(outputs, labels), smooth)


def test_cross_entropy_of_maps_leaves_ignored_pixels_out() -> None:
    outputs, labels = made(2, 3, 4, 5), torch.arange(40).reshape(2, 4, 5) % 3
    labels[0, 0], labels[1, 1, 1] = 255, -7
    same = labels.masked_fill(labels < 0, 255)
    expected = functional.cross_entropy(outputs, same, ignore_index=255)
    assert LOSSES["cross_entropy"](outputs, labels).item() == pytest.approx(expected.item(), rel=1e-6)
    nothing = LOSSES["cross_entropy"](outputs, torch.full_like(labels, 255))
    assert nothing.item() == 0.0 and nothing.requires_grad


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mse", functional.mse_loss),
        ("l1", functional.l1_loss),
        ("bce", functional.binary_cross_entropy_with_logits),
    ],
)
def test_losses_of_numbers_are_pytorch_s_in_the_shape_of_the_outputs(name: str, function: Any) -> None:
    outputs, labels = made(6, 1), torch.tensor([0, 1, 1, 0, 1, 0])
    assert torch.equal(LOSSES[name](outputs, labels), function(outputs, labels[:, None].float()))


@pytest.mark.parametrize(
    ("name", "outputs", "labels", "message"),
    [
        (
            "cross_entropy",
            made(2, 3),
            torch.zeros(2, 3),
            "outputs are (2, 3), labels (2, 3) torch.float32; it",
        ),
        (
            "cross_entropy",
            made(2, 3),
            torch.tensor([0, 3]),
            "labels span 0..3, the outputs have classes 0..2",
        ),
        (
            "mse",
            (made(2, 3), made(2, 3)),
            torch.zeros(2),
            "loss mse: takes one output; give FILE.py",
        ),
        ("mse", made(2, 3), torch.zeros(2), "loss mse: outputs are (2, 3), labels (2,); it takes labels of"),
        ("bce", made(2), torch.tensor([0.0, 2.0]), "loss bce: labels span 0..2; it takes 0 to 1"),
    ],
)
def test_labels_that_a_loss_does_not_take_are_refused(
    name: str, outputs: Any, labels: Tensor, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        LOSSES[name](outputs, labels)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda outputs, labels: 1.5, "returned float; return a scalar tensor"),
        (lambda outputs, labels: outputs, "returned torch.float32 (2, 3); return a scalar, such as the mean"),
        (lambda outputs, labels: outputs.argmax(), "returned torch.int64 (); return a scalar"),
        (
            lambda outputs, labels: outputs.detach().sum(),
            "has no gradient; make it of the outputs without detach",
        ),
    ],
)
def test_a_loss_that_is_none_is_told_how_to_mend(function: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        TaskLoss(name="own", function=function)(made(2, 3), torch.zeros(2))
    assert str(caught.value).startswith("loss own: ") and message in str(caught.value)


def test_only_cross_entropy_is_smoothed() -> None:
    with pytest.raises(FormatError, match=r"label_smoothing is 0\.1, but the loss mse has no classes"):
        LOSSES["mse"].smoothed(0.1)
    assert LOSSES["mse"].smoothed(0.0) is LOSSES["mse"]


def test_a_guess_has_the_loss_of_outputs_that_ignore_the_image() -> None:
    kinds = np.array([[[0, 2], [255, -1]]])
    for labels, count in ((np.array([0, 1, 4]), 5), (kinds, 3)):
        guess = LOSSES["cross_entropy"].guess
        assert guess is not None and guess(labels) == pytest.approx(math.log(count))
    spread = LOSSES["mse"].guess
    assert spread is not None and spread(np.array([[0.0, 1.0], [2.0, 1.0]])) == 0.5
    assert LOSSES["l1"].guess is None


def labelled(labels: np.ndarray) -> Dataset:
    images = np.zeros((len(labels), 4, 4, 1), np.uint8)
    return Dataset(
        name="own",
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
        class_names=(),
    )


@pytest.mark.parametrize(
    ("labels", "outputs", "names"),
    [
        (np.zeros((3, 4, 4), np.uint8), (5, 4, 4), ("cross_entropy", "miou")),
        (np.zeros((3, 4, 4), np.uint8), (1, 4, 4), None),
        (np.zeros((3, 4, 4), np.uint8), (5, 2, 2), None),
        (np.zeros((3, 4, 4)), (1, 4, 4), ("mse", "mse")),
        (np.zeros((3, 2), np.float32), (2,), ("mse", "mse")),
        (np.zeros(3), (1,), ("mse", "mse")),
        (np.zeros(3, np.int64), (1,), ("mse", "mse")),
        (np.zeros(3), (2,), None),
        (np.zeros((3, 2), bool), (2,), None),
    ],
)
def test_labels_imply_a_task_where_they_leave_no_choice(
    labels: np.ndarray, outputs: tuple[int, ...], names: tuple[str, str] | None
) -> None:
    task = usual_task(labelled(labels), [outputs])
    assert (None if task is None else (task.loss.name, task.metric.name)) == names


def test_classes_imply_cross_entropy_and_top1() -> None:
    digits = load_dataset("digits")
    assert usual_task(digits, [(10,)]) == Task() and usual_task(digits, [(9,)]) is None
    assert Task().named == {} and Task(loss=LOSSES["mse"]).named == {"loss": "mse"}
