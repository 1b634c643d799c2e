"""Accuracy of a network on images."""

from __future__ import annotations

import numpy as np
import pytest

from bitlathe.model.graph.errors import DataError
from bitlathe.model.train import evaluate
from bitlathe.model.zoo import build


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
