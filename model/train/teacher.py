"""Distillation: a student learns what a trained network says of an image, beside its label.

Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.files.settings import demand
from bitlathe.model.zoo.outputs import class_scores, float_outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """How much a teacher counts, and how soft its answers are made."""

    share: float = 0.5  # of the loss; the labels have the rest
    temperature: float = 4.0  # that scores of classes are divided by before they become probabilities

    def __post_init__(self) -> None:
        demand(self, "share", 0 < self.share <= 1, "more than 0 and at most 1")
        demand(self, "temperature", 0 < self.temperature < math.inf, "more than 0")

    def __str__(self) -> str:
        return f"share {self.share:g}, temperature {self.temperature:g}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Teacher:
    """A trained classifier, of images or of their pixels, that takes the images its student takes."""

    name: str  # tells it from others, its weights included
    model: nn.Module  # in evaluation mode
    teaching: Teaching

    @property
    def identity(self) -> str:
        """Plain words that tell what it teaches from what others do."""
        return f"{self.name}, {self.teaching}"

    def loss(self, label_loss: Tensor, outputs: Any, images: Tensor) -> Tensor:
        """The loss of labels and teacher together, a scalar in nats.

        The teacher's part is the divergence of the student's softened probabilities from its own, times the
        temperature's square, so that its gradient does not vanish with it. DataError for other classes.
        """
        with torch.no_grad():
            wanted = class_scores(float_outputs(self.model(images))).detach()
        said = class_scores(outputs)
        if said.shape != wanted.shape:
            raise DataError(
                f"the teacher {self.name} says {tuple(wanted.shape)}, its student {tuple(said.shape)}; "
                "give one with the same classes"
            )
        heat = self.teaching.temperature
        apart = functional.kl_div(
            functional.log_softmax(said / heat, 1),
            functional.log_softmax(wanted.to(said.dtype) / heat, 1),
            reduction="none",
            log_target=True,
        )
        taught = heat**2 * apart.sum(1).mean()
        return (1 - self.teaching.share) * label_loss + self.teaching.share * taught
