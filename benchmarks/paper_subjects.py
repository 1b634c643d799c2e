"""Subjects of the rows of papers.py: trained networks, their images, and states that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from bitlathe.model.compress import MethodData, ZooArchitecture
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.recipe import Recipe, follow
from bitlathe.model.compress.state import State, fresh_state, load
from bitlathe.model.compress.training import train
from bitlathe.model.compress.weight_files import load_weights
from bitlathe.model.data import Dataset, load_dataset
from bitlathe.model.graph.normalization import IMAGENET
from bitlathe.model.graph.reference import evaluate as evaluate_integers
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import QuantizedNetwork
from bitlathe.model.train import TrainConfig, evaluate
from bitlathe.model.train.config import Precision, Schedule

HELD_OUT = 5000  # training images that no method sees


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where a row finds its data and keeps its states."""

    data: Path | None
    weights: Path  # folder of the published CIFAR ResNets
    work: Path
    seed: int
    precision: Precision = Precision.FLOAT32  # of every training but a trained network's own

    def folder(self, name: str) -> Path:
        """Folder of a run, made if it is missing."""
        folder = self.work / f"{name}-{self.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A trained float network and its images."""

    architecture: ZooArchitecture
    model: nn.Module
    dataset: Dataset
    accuracy: float  # percent of the test images, in float

    @property
    def example(self) -> torch.Tensor:
        """One black image (1, C, H, W)."""
        return torch.zeros(1, *self.dataset.image_shape)

    def accuracy_of(self, model: nn.Module) -> float:
        """Percent of all test images."""
        return 100 * evaluate(model, self.dataset.test_images, self.dataset.test_labels).accuracy


def trained(bench: Bench, config: TrainConfig) -> Subject:
    """A network trained here, once a seed."""
    out = bench.folder(f"float-{config.network}-{config.dataset}")
    data = load_dataset(config.dataset, bench.data)
    result = train(config, data, out, resume=True)
    architecture = ZooArchitecture(
        network=config.network,
        num_classes=data.num_classes,
        in_channels=data.in_channels,
        input_size=data.input_size,
        seed=config.seed,
    )
    return Subject(
        architecture=architecture, model=result.model, dataset=data, accuracy=100 * result.accuracy
    )


def published(bench: Bench, network: str) -> Subject:
    """A CIFAR ResNet with its published weights."""
    architecture = ZooArchitecture(
        network=network, num_classes=10, in_channels=3, input_size=32, normalization=IMAGENET, seed=bench.seed
    )
    model = architecture.build()
    load_weights(model, bench.weights / f"{network}_cifar10.pt")
    dataset = load_dataset("cifar10", bench.data)
    top1 = 100 * evaluate(model, dataset.test_images, dataset.test_labels).accuracy
    return Subject(architecture=architecture, model=model, dataset=dataset, accuracy=top1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How long and how fast a network trains under a recipe."""

    lr: float
    batch_size: int = 128
    augment: bool = True
    epoch_images: int | None = None  # None: all training images

    def settings(self, recipe: Recipe, bench: Bench) -> TrainConfig:
        """Cosine from `lr` to 0 over the recipe."""
        return TrainConfig(
            epochs=max(1, recipe.epochs),
            batch_size=self.batch_size,
            lr=self.lr,
            schedule=Schedule.COSINE,
            augment=self.augment,
            precision=bench.precision,
            seed=bench.seed,
        )

    def images(self, dataset: Dataset) -> MethodData:
        """Training images, less those held out."""
        return MethodData.split(
            dataset,
            held_out=HELD_OUT,
            batch_size=self.batch_size,
            augment=self.augment,
            epoch_images=self.epoch_images,
        )


def carried_out(bench: Bench, name: str, subject: Subject, recipe: Recipe, tuning: Tuning) -> State:
    """The state after the recipe; continues from the state kept last."""
    path, settings = bench.folder(name) / "state.pt", tuning.settings(recipe, bench)
    if path.exists():
        state = load(path, subject.architecture, settings)
    else:
        state = fresh_state(subject.model, settings)
    return follow(recipe, state, tuning.images(subject.dataset), settings, lambda s: s.save(path))


def integers(state: State, subject: Subject, config: QuantizeConfig) -> QuantizedNetwork:
    """The state as an integer network: by its own quantizer, else calibrated."""
    return integer_view(state, Tuning(lr=0).images(subject.dataset), config).network()


def integer_accuracy(network: QuantizedNetwork, dataset: Dataset) -> float:
    """Percent of all test images, by the reference evaluator."""
    codes = network.preprocess.codes(dataset.test_images)
    scores = evaluate_integers(network.graph, codes).reshape(len(codes), -1)
    return float(100 * (scores.argmax(axis=1) == dataset.test_labels).mean())
