"""Gradients of rounding against equations 6 to 8 of TQT, written out in NumPy."""

from __future__ import annotations

from math import log

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import sum_tolerance

from bitlathe.model.qat.tqt import codes, rounded, weight_codes


def written_out(
    x: np.ndarray, gradient: np.ndarray, step: float, lo: int, hi: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of x, and what `gradient`, by the value code * step, gives x and log2 of the threshold."""
    nearest = np.floor(x / step + 0.5)
    inside = (nearest >= lo) & (nearest <= hi)
    by_threshold = step * log(2) * np.where(inside, nearest - x / step, np.clip(nearest, lo, hi))
    return np.clip(nearest, lo, hi), gradient * inside, gradient * by_threshold


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    bits=st.integers(2, 8),
    signed=st.booleans(),
    frac=st.integers(-3, 6),
    width=st.floats(0.1, 3),
)
def test_activations_and_their_threshold_get_the_gradients_of_the_paper(
    seed: int, bits: int, signed: bool, frac: int, width: float
) -> None:
    rng, step = np.random.default_rng(seed), 2.0**-frac
    lo, hi = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    x = rng.normal(0, width * hi * step, (2, 3, 4, 5))
    gradient = rng.normal(size=x.shape)  # by values; by codes it is `step` times as large
    v = torch.tensor(x / step + 0.5, requires_grad=True)
    log2_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    found = codes(v, log2_t, lo, hi, clips=True)
    found.backward(torch.tensor(gradient * step))
    wanted, by_x, by_threshold = written_out(x, gradient, step, lo, hi)
    assert np.array_equal(found.detach().numpy(), wanted)
    assert v.grad is not None and np.array_equal(v.grad.numpy() / step, by_x)
    # three sums over the tensor in float32, whose inputs are rounded to it, and what joins them
    parts = np.abs(gradient) * step * (np.abs(wanted) + np.abs(x / step + 0.5) + 0.5)
    near = sum_tolerance(x.size + 5, log(2) * parts.sum(), torch.float32)
    assert log2_t.grad is not None and abs(float(log2_t.grad) - by_threshold.sum()) <= near


@settings(deadline=None)
@given(seed=st.integers(0, 1000), bits=st.integers(2, 8), one_a_layer=st.booleans())
def test_weights_and_their_thresholds_get_the_gradients_of_the_paper(
    seed: int, bits: int, one_a_layer: bool
) -> None:
    rng, limit = np.random.default_rng(seed), 2 ** (bits - 1) - 1
    fracs = np.full(4, 3) if one_a_layer else rng.integers(-2, 6, 4)
    steps = 2.0 ** -fracs[:, np.newaxis, np.newaxis, np.newaxis]
    x, gradient = rng.normal(0, limit * steps, (4, 3, 2, 2)), rng.normal(size=(4, 3, 2, 2))
    weight = torch.tensor(x, requires_grad=True)
    log2_t = torch.zeros(1 if one_a_layer else 4, dtype=torch.float64, requires_grad=True)
    found = weight_codes(weight, log2_t, torch.tensor(1 / steps), limit)
    found.backward(torch.tensor(gradient * steps))
    rows = [written_out(*row, -limit, limit) for row in zip(x, gradient, steps.flat, strict=True)]
    assert np.array_equal(found.detach().numpy(), [row[0] for row in rows])
    assert weight.grad is not None and np.array_equal(weight.grad.numpy(), [row[1] for row in rows])
    by_channel = np.array([row[2].sum() for row in rows])
    wanted = by_channel.sum(keepdims=True) if one_a_layer else by_channel
    parts = log(2) * np.abs(gradient) * (np.abs(np.stack([row[0] for row in rows])) * steps + np.abs(x))
    near = sum_tolerance(2 * x.size, parts.sum(), torch.float64)
    assert log2_t.grad is not None and np.abs(log2_t.grad.numpy() - wanted).max() <= near


def test_a_clamp_of_the_network_itself_moves_no_threshold() -> None:
    log2_t = torch.zeros((), requires_grad=True)
    codes(torch.tensor([0.5, 9.5]), log2_t, 0, 6, clips=False).sum().backward()
    assert log2_t.grad is not None and float(log2_t.grad) == 0.0


def test_rounding_goes_up_at_halves_and_passes_gradients() -> None:
    v = torch.tensor([-0.5, 0.5, 1.49], requires_grad=True)
    found = rounded(v)
    found.sum().backward()
    assert found.tolist() == [0.0, 1.0, 1.0]
    assert v.grad is not None and v.grad.tolist() == [1.0, 1.0, 1.0]
