"""A tie: codewords are the means of their members, and descent moves them so."""

from __future__ import annotations

import numpy as np
import torch
from tolerances import sum_tolerance

from bitlathe.model.product.tie import Tie
from bitlathe.model.product.vectors import WeightVectors


def tie(*, zero: bool = False) -> tuple[Tie, torch.Tensor]:
    """Weights of 6 x 5 channels and 3x3 kernels at binary points of their own, in 8 codewords of 3."""
    generator = torch.Generator().manual_seed(0)
    layout = WeightVectors(shape=(6, 5, 3, 3), length=3)
    made = Tie(
        layout,
        torch.randint(0, 8, (layout.vectors,), generator=generator),
        8,
        fracs=(3, 4, 5, 6, 7, 8),
        importance=torch.rand(layout.vectors, generator=generator) + 0.5,
        zero=zero,
        limit=127,
    )
    return made, torch.randn(6, 5, 3, 3, generator=generator)


def test_a_step_of_descent_moves_a_codeword_by_the_mean_of_its_members_gradients() -> None:
    made, free = tie()
    before = made.means(free)
    free.requires_grad_()
    (made(free) * torch.linspace(-1, 1, free.numel()).view_as(free)).sum().backward()
    assert free.grad is not None
    gradients = made.layout.split(free.grad)  # of values, where codewords are codes
    with torch.no_grad():
        free -= 0.01 * free.grad
    for codeword in range(made.codewords):
        chosen = made.members == codeword
        present = made.layout.present()[chosen] * made.importance[chosen, None]
        weight = present.sum(0).clamp(min=1e-30)
        step = (gradients[chosen] * made.scale[chosen] * present).sum(0) / weight
        expected = before[codeword] - 0.01 * step
        sizes = ((made.codes(free)[chosen].abs() + 0.02 * gradients[chosen].abs()) * present).sum(0) / weight
        near = sum_tolerance(2 * int(chosen.sum()) + 4, sizes.max())
        torch.testing.assert_close(made.means(free)[codeword], expected, rtol=0, atol=near)


def test_tied_weights_are_what_the_codebook_decodes_to_before_it_is_rounded() -> None:
    made, free = tie()
    present = made.layout.present()
    assert torch.equal(made.layout.split(made(free)) * made.scale, made.means(free)[made.members] * present)
    book = made.codebook(free)
    assert np.array_equal(book.values, torch.floor(made.means(free) + 0.5).clamp(-127, 127).numpy())
    assert np.array_equal(book.indices.reshape(-1), made.members.numpy())


def test_vectors_of_the_zero_codeword_are_zero_and_get_no_gradient() -> None:
    made, free = tie(zero=True)
    free.requires_grad_()
    tied = made(free)
    tied.sum().backward()
    assert free.grad is not None
    zero = made.members == 0
    assert zero.any() and not made.layout.split(tied)[zero].any()
    assert not made.layout.split(free.grad)[zero].any()
    assert (free.grad == 1).sum() == made.layout.present()[~zero].sum()
    assert not made.codebook(free).values[0].any()
