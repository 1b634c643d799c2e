"""The trained network a command works on: which one, with whose weights, for which data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import torch
from torch import nn

from bitlathe.flow.datasets import image_shape, read_dataset
from bitlathe.flow.errors import UsageError
from bitlathe.flow.output import note
from bitlathe.flow.own_network import (
    check_trains,
    how_it_was_read,
    is_own,
    make_own,
    onnx_file,
    own_name,
    own_outputs,
)
from bitlathe.flow.request import NetworkRequest, Normalization
from bitlathe.model.data import Dataset
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.train.outputs import unlike_classes
from bitlathe.model.train.weights import is_foreign_state, load_weights
from bitlathe.model.zoo import Normalize, build, checkpoint_path, network_spec

PUBLISHED = ("resnet20", "resnet56", "resnet110")  # by the repository that the CIFAR weights come from


class WeightsSource(Enum):
    """Where weights come from."""

    FILE = "file"
    CHECKPOINT = "committed checkpoint"
    ONNX = "as the ONNX file has them"
    FUNCTION = "as the function made them"  # random or read: only the user's own code knows
    RANDOM = "seeded random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Origin of a network's weights."""

    source: WeightsSource
    path: Path | None = None  # of a file or a checkpoint
    seed: int | None = None  # of the random numbers that others were drawn from
    normalization: Normalization = Normalization.NONE  # what they were trained to see

    @property
    def file(self) -> str | None:
        """The file as a person knows it: the path given, or the name of one that comes with the package."""
        if self.path is None:
            return None
        return str(self.path) if self.source is WeightsSource.FILE else self.path.name

    def describe(self) -> str:
        """One phrase for a person.

        >>> Weights(source=WeightsSource.RANDOM, seed=3).describe()
        'seeded random (seed 3)'
        """
        seen = (
            "" if self.normalization is Normalization.NONE else f", normalised as {self.normalization.value}"
        )
        origin = self.file or ("" if self.seed is None else f"seed {self.seed}")
        return self.source.value + (f" ({origin})" if origin else "") + seen

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "source": self.source.value,
            "file": self.file,
            "seed": self.seed,
            "normalization": self.normalization.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A network in evaluation mode and the data set it is judged on."""

    network: str
    requested: str  # the same, or FILE.py:FUNCTION, or FILE.onnx
    model: nn.Module
    dataset: Dataset
    weights: Weights
    outputs: tuple[int, ...]  # shape of what it makes of an image

    @property
    def input_shape(self) -> Shape:
        """(C, H, W) of an image."""
        return image_shape(self.dataset)

    def check_classifies(self) -> None:
        """Raise UsageError unless it has an output a class, which training and a search judge it by."""
        if unlike := unlike_classes(self.outputs, self.dataset):
            raise UsageError(f"{self.requested}: {unlike}; give it one output a class")

    def check_trains(self) -> None:
        """Raise UsageError unless its accuracy can be trained."""
        self.check_classifies()
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise UsageError(f"{self.requested}: has no weights to train; give it some that want a gradient")
        if is_own(self.requested):
            check_trains(self.requested, self.model, self.input_shape)


def find_subject(request: NetworkRequest) -> Subject:
    """Build the network and load its weights: those given, else the package's own, else seeded random ones.

    Raises UnsupportedLayer, UsageError, DataError or MissingData.
    """
    if request.network is None:
        raise UsageError("no network: give --network")
    dataset = read_dataset(_dataset_name(request.network, request.dataset), request.data)
    found = _weights(request.network, request, dataset.name)
    weights = replace(found, normalization=_normalization(request, found))
    model = _model(request.network, request, dataset, weights.normalization)
    for line in how_it_was_read(request.network, image_shape(dataset)):
        note(line)
    if weights.path is not None:
        for line in load_weights(model, weights.path, torch.zeros(1, *image_shape(dataset))):
            note(line)
    outputs: tuple[int, ...] = (dataset.num_classes,)
    if is_own(request.network):
        outputs = own_outputs(request.network, model, image_shape(dataset))
    return Subject(
        network=own_name(request.network),
        requested=request.network,
        model=model.eval(),
        dataset=dataset,
        weights=weights,
        outputs=outputs,
    )


def _dataset_name(network: str, chosen: str | None) -> str:
    if is_own(network) and chosen is None:
        raise UsageError(f"{network}: give --dataset; only networks of the zoo have a usual one")
    return chosen or network_spec(network).dataset


def _weights(network: str, request: NetworkRequest, dataset: str) -> Weights:
    own = checkpoint_path(network, dataset)
    if request.weights is not None:
        return Weights(source=WeightsSource.FILE, path=request.weights)
    if own.exists() and request.normalization is not Normalization.IMAGENET:
        return Weights(source=WeightsSource.CHECKPOINT, path=own)
    if onnx_file(network) is not None:
        return Weights(source=WeightsSource.ONNX)
    source = WeightsSource.FUNCTION if is_own(network) else WeightsSource.RANDOM
    return Weights(source=source, seed=request.seed)


def _normalization(request: NetworkRequest, weights: Weights) -> Normalization:
    """What the weights were trained to see, where the user leaves it open.

    The published CIFAR ResNets come as state dicts of another tool and were trained on ImageNet's constants.
    """
    if request.normalization is not Normalization.AUTO:
        return request.normalization
    published = (
        weights.path is not None and (request.network or "") in PUBLISHED and is_foreign_state(weights.path)
    )
    return Normalization.IMAGENET if published else Normalization.NONE


def _model(
    network: str, request: NetworkRequest, dataset: Dataset, normalization: Normalization
) -> nn.Module:
    normalize = _normalize(normalization, dataset)
    if is_own(network):
        return make_own(network, request.seed, image_shape(dataset), normalize)
    return build(
        network,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
        input_size=dataset.input_size,
        seed=request.seed,
        normalize=normalize,
    )


def _normalize(normalization: Normalization, dataset: Dataset) -> Normalize | None:
    if normalization is not Normalization.IMAGENET:
        return None
    normalize = Normalize.imagenet()
    if dataset.in_channels != len(normalize.scale):
        raise UsageError(
            f"--normalize imagenet: is for images of {len(normalize.scale)} channels, "
            f"those of {dataset.name} have {dataset.in_channels}; leave it out"
        )
    return normalize
