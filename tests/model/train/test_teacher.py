"""What a student is taught: the divergence from its teacher's softened answers, beside the labels' loss."""

import math

import pytest
import torch
from torch import nn

from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.files.settings import WrongValue
from bitlathe.model.train.teacher import Teacher, Teaching

IMAGES = torch.linspace(-1, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)


class Says(nn.Module):
    """A network that always says the same."""

    def __init__(self, said: torch.Tensor) -> None:
        super().__init__()
        self.said = said

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores of classes."""
        return self.said


def teacher(said: torch.Tensor, share: float = 0.5, temperature: float = 4.0) -> Teacher:
    """A teacher that says so of any images."""
    return Teacher(name="it", model=Says(said), teaching=Teaching(share=share, temperature=temperature))


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3, 3)], ids=["vectors", "maps"])
@pytest.mark.parametrize("heat", [1.0, 4.0])
def test_the_loss_is_the_softened_divergence(shape: tuple[int, ...], heat: float) -> None:
    rng = torch.Generator().manual_seed(1)
    wanted, said = (3 * torch.randn(shape, generator=rng, dtype=torch.float64) for _ in range(2))
    p, q = (torch.softmax(scores / heat, 1) for scores in (wanted, said))
    by_hand = heat**2 * (p * (p / q).log()).sum(1).mean()
    label = torch.tensor(2.0, dtype=torch.float64)
    found = teacher(wanted, 0.25, heat).loss(label, said, IMAGES)
    assert math.isclose(float(found), 0.75 * 2.0 + 0.25 * float(by_hand), rel_tol=1e-9)


def test_a_student_that_says_the_same_learns_nothing_more() -> None:
    said = torch.randn(2, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
    teacher(said.detach().clone(), share=1.0).loss(torch.tensor(0.0), said, IMAGES).backward()
    assert said.grad is not None and float(said.grad.abs().max()) < 1e-6  # rounding of float32 probabilities


def test_the_teacher_gets_no_gradient() -> None:
    taught, said = (torch.ones(2, 5, requires_grad=True) for _ in range(2))
    teacher(taught).loss(said.sum(), said, IMAGES).backward()
    assert taught.grad is None and said.grad is not None


def test_other_classes_are_refused() -> None:
    with pytest.raises(DataError, match=r"says \(2, 5\), its student \(2, 4\); give one with the same"):
        teacher(torch.ones(2, 5)).loss(torch.tensor(0.0), torch.ones(2, 4), IMAGES)


@pytest.mark.parametrize(
    "wrong", [{"share": 0.0}, {"share": 1.5}, {"temperature": 0.0}, {"temperature": math.inf}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(WrongValue, match=next(iter(wrong))):
        Teaching(**wrong)
