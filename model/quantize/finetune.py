"""Quantization-aware training: the training loop on the view of a live module."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional

from bitlathe.model.data import Dataset
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.view import QuantizedView
from bitlathe.model.train.checkpoint import History
from bitlathe.model.train.config import TrainConfig
from bitlathe.model.train.loop import CHECKPOINT_NAME, Objective, Trainer, cross_entropy, weight_optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions:
    """What training under a quantizer adds to training; BitlatheError for a value outside its range."""

    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    threshold_lr: float = 0.01  # highest rate of the thresholds' Adam; 0 holds the calibrated ones
    distill: float = 0.0  # share, 0..1, of the loss that asks for the float parent's logits
    temperature: float = 4.0  # of the distilled logits

    def __post_init__(self) -> None:
        if not (self.threshold_lr >= 0 and 0 <= self.distill <= 1 and self.temperature > 0):
            raise BitlatheError(
                f"finetune: threshold_lr {self.threshold_lr}, distill {self.distill}, temperature "
                f"{self.temperature}; give 0 or more, 0 to 1, and more than 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finetuned:
    """A trained view of the module, which is trained in place, and what each epoch measured as integers."""

    view: QuantizedView
    history: History


def finetune(
    model: nn.Module,
    dataset: Dataset,
    config: TrainConfig,
    options: FinetuneOptions,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Finetuned:
    """Train `model` in place as quantized; every epoch leaves a checkpoint in `out`.

    Equal settings, data and weights give equal results, resumed or not. Raises BitlatheError when the loss
    leaves the finite numbers; the checkpoint is then the last good one.
    """
    teacher = deepcopy(model).eval() if options.distill else None
    view = QuantizedView.of(model, dataset.train_images, options.quantize)
    view.requires_grad_(options.threshold_lr > 0)
    trainee = _Trainee(view)
    trainer = Trainer(
        config,
        dataset,
        out / CHECKPOINT_NAME,
        trainee,
        optimizer=_optimizers(view, config, options),
        objective=None if teacher is None else _distilled(teacher, config, options),
    )
    if resume and trainer.checkpoint.exists():
        trainer.resume()
    trainer.run(progress if progress is not None else Progress(disable=True))
    return Finetuned(view=view, history=trainer.history)


class _Trainee(nn.Module):
    """Module and thresholds in one state, computing as the view."""

    def __init__(self, view: QuantizedView) -> None:
        super().__init__()
        self.model, self.view = view.model, view

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W)."""
        logits: Tensor = self.view(x)
        return logits


class _Together:
    """Optimizers that step together."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of all of them."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> None:
        """Move all parameters."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """State of each, by number."""
        return {str(number): optimizer.state_dict() for number, optimizer in enumerate(self.optimizers)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        for number, optimizer in enumerate(self.optimizers):
            optimizer.load_state_dict(state[str(number)])


def _optimizers(view: QuantizedView, config: TrainConfig, options: FinetuneOptions) -> _Together:
    weights = weight_optimizer(view.model, config)
    if options.threshold_lr == 0:
        return _Together(weights)
    # log2 of a threshold has no scale of its own; Adam's steps have none either (TQT, section 5.2)
    group = {"params": view.parameters_learned(), "rate_scale": options.threshold_lr / config.lr}
    return _Together(weights, torch.optim.Adam([group], lr=options.threshold_lr))


def _distilled(teacher: nn.Module, config: TrainConfig, options: FinetuneOptions) -> Objective:
    """Cross-entropy mixed with divergence from a teacher. Source: Hinton et al. 2015, arXiv:1503.02531."""
    heat, share = options.temperature, options.distill

    def objective(images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = functional.log_softmax(teacher(images).float() / heat, dim=1)
        found = functional.log_softmax(logits / heat, dim=1)
        divergence = functional.kl_div(found, wanted, log_target=True, reduction="batchmean") * heat**2
        return share * divergence + (1 - share) * cross_entropy(logits, labels, config)

    return objective
