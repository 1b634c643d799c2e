"""Tolerances of sums follow from their arithmetic: no order of adding them exceeds one, a lost term does."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import tolerances
import torch
from tolerances import sum_tolerance, terms_of, undecided
from torch import nn


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("terms", [3, 120, 5000])
def test_sums_in_any_order_lie_within_their_tolerance(
    dtype: torch.dtype, terms: int, rng: np.random.Generator
) -> None:
    numbers = torch.from_numpy(rng.normal(size=terms) * 10.0 ** rng.integers(-3, 4, terms)).to(dtype)
    orders = [
        numbers,
        numbers.flip(0),
        numbers.sort().values,
        numbers[torch.from_numpy(rng.permutation(terms))],
    ]
    sums = [order.cumsum(0)[-1].item() for order in orders] + [order.sum().item() for order in orders]
    assert max(sums) - min(sums) <= sum_tolerance(terms, numbers.abs().sum(), dtype)


def test_a_term_that_is_lost_exceeds_the_tolerance() -> None:
    numbers = torch.full((1000,), 0.1)
    assert float(numbers.sum() - numbers[1:].sum()) > 5 * sum_tolerance(1000, numbers.sum())


def test_a_precision_that_a_sum_is_too_long_for_is_refused() -> None:
    with pytest.raises(AssertionError, match="says nothing of a sum of 5000 terms"):
        sum_tolerance(5000, 1.0, torch.bfloat16)


def test_terms_are_those_of_all_layers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 2))
    assert terms_of(model) == 3 * 9 + 8 + 2 * 4


def test_only_images_whose_best_logits_are_close_are_undecided() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [3.0, 3.0, 0.0], [3.0, 2.999999, 0.0]])
    assert undecided(logits, nn.Linear(30, 3)) == 2


def test_the_example_holds() -> None:
    assert doctest.testmod(tolerances).attempted and not doctest.testmod(tolerances).failed
