"""The trained network a command works on: which one, with whose weights, for which data set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bitlathe.flow.errors import UsageError
from bitlathe.flow.network.own_data import find_dataset
from bitlathe.flow.network.own_file import label, naming
from bitlathe.flow.network.own_network import (
    NetworkSource,
    check_trains,
    is_own,
    make_own,
    onnx_file,
    own_name,
    own_outputs,
)
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.flow.network.task import FunctionSource, Known, find_loss, find_metric
from bitlathe.flow.progress import Note, Progress, silent
from bitlathe.model.compress.weight_files import is_foreign_state, known_normalization, load_weights
from bitlathe.model.data import Dataset, Images, Labels, load_dataset, to_input
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.graph.normalization import IMAGENET, NONE, UNIT, Normalization
from bitlathe.model.onnx import OnnxNetwork, file_outputs
from bitlathe.model.train import METRICS, Task, TaskLoss, TaskMetric, score, usual_task
from bitlathe.model.train.losses import CROSS_ENTROPY
from bitlathe.model.train.teacher import Teacher
from bitlathe.model.zoo import NETWORKS, NetworkSpec, Normalize, build, checkpoint_path, network_spec
from bitlathe.model.zoo.folding import folded

RANKING = ("top1", "top5")  # metrics of the largest outputs
_EXAMPLES = 3  # images that a task is tried with
# by the repository that the CIFAR weights come from
PUBLISHED = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")


class WeightsSource(Enum):
    """Where weights come from."""

    FILE = "file"
    CHECKPOINT = "committed checkpoint"
    ONNX = "as the ONNX file has them"
    MODULE = "as the module has them"
    FUNCTION = "as the function made them"  # random or read: only the user's own code knows
    RANDOM = "seeded random"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsOrigin:
    """Origin of a network's weights."""

    source: WeightsSource
    path: Path | None = None  # of a file or a checkpoint
    seed: int | None = None  # of the random numbers that others were drawn from
    normalization: Normalization = NONE  # what they were trained to see

    @property
    def file(self) -> str | None:
        """The file as a person knows it: the path given, or the name of one that comes with the package."""
        if self.path is None:
            return None
        return str(self.path) if self.source is WeightsSource.FILE else self.path.name

    def describe(self) -> str:
        """One phrase for a person.

        >>> WeightsOrigin(source=WeightsSource.RANDOM, seed=3).describe()
        'seeded random (seed 3)'
        """
        seen = "" if self.normalization == NONE else f", normalised as {self.normalization}"
        origin = self.file or ("" if self.seed is None else f"seed {self.seed}")
        return self.source.value + (f" ({origin})" if origin else "") + seen

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "source": self.source.value,
            "file": self.file,
            "seed": self.seed,
            "normalization": str(self.normalization),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Subject:
    """A network in evaluation mode and the data set it is judged on."""

    network: str
    requested: NetworkSource  # the same, FILE.py:FUNCTION, FILE.onnx, or the user's module
    model: nn.Module
    dataset: Dataset
    weights: WeightsOrigin
    outputs: tuple[tuple[int, ...], ...]  # shape of each output of an image
    loss: TaskLoss | None  # what trains it; None: none was given, and none suits labels and outputs
    metric: TaskMetric | None  # what judges it; the same
    teacher: Teacher | None = None  # whose answers it learns beside the labels

    @property
    def input_shape(self) -> Shape:
        """(C, H, W) of an image."""
        return self.dataset.image_shape

    @property
    def fastest_model(self) -> nn.Module:
        """The model, of the zoo's networks a copy: batch norm folded, maps with channels last in memory.

        A network of the user's own may flatten maps by `.view`, which takes contiguous ones alone, and need
        not be one that torch.fx can trace.
        """
        if zoo_entry(self.requested) is None:
            return self.model
        made: nn.Module = folded(self.model)
        return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    @property
    def identity(self) -> dict[str, str]:
        """Plain values that tell it from others."""
        return {
            "name": self.network,
            "dataset": self.dataset.identity,
            "weights": self.digest,
            "normalize": str(self.weights.normalization),
            **self.task.named,
            **self.task.shaping,
        }

    @property
    def classifies(self) -> bool:
        """Whether the largest of its outputs is what counts."""
        return self.metric is not None and self.metric.name in RANKING

    @property
    def quantized_file(self) -> Path | None:
        """The ONNX file that it is, if that is quantized and the weights are its own."""
        found = onnx_file(self.requested)
        if found is None or self.weights.source is not WeightsSource.ONNX:
            return None
        return found[0] if isinstance(self.model, OnnxNetwork) and self.model.rounds else None

    def score(self, images: Images, labels: Labels, metric: TaskMetric) -> float:
        """What a metric says of the float network; of a quantized ONNX file, of that in ONNX Runtime."""
        file = self.quantized_file
        if file is None or not isinstance(self.model, OnnxNetwork):
            return score(self.fastest_model, images, labels, metric)
        seen, shape = Normalize.of(self.weights.normalization) or nn.Identity(), self.input_shape
        given = (seen(to_input(image[None])).numpy().reshape(1, *shape) for image in images)
        made = file_outputs(self.model, file, given)
        outputs = tuple(
            one.reshape(len(labels), *sizes) for one, sizes in zip(made, self.outputs, strict=True)
        )
        return metric(outputs if len(outputs) > 1 else outputs[0], labels)

    @property
    def task(self) -> Task:
        """Loss and metric; UsageError where one must be given."""
        return Task(loss=self._needed("loss", self.loss), metric=self.judge, teacher=self.teacher)

    @property
    def judge(self) -> TaskMetric:
        """The metric; UsageError where it must be given."""
        return self._needed("metric", self.metric)

    def with_task(self, metric: FunctionSource | None, loss: FunctionSource | None = None) -> Subject:
        """The same, judged and trained by what is given; UsageError for what does not fit its outputs."""
        found = replace(
            self,
            metric=self.metric if metric is None else find_metric(metric),
            loss=self.loss if loss is None else find_loss(loss),
        )
        if isinstance(metric, str) and metric in METRICS:
            labels = self.dataset.test_labels[:_EXAMPLES]
            zeros = tuple(np.zeros((len(labels), *output), np.float32) for output in self.outputs)
            with naming(self.requested):
                found.judge(zeros[0] if len(zeros) == 1 else zeros, labels)
        return found

    def _needed(self, argument: str, found: Known | None) -> Known:
        if found is not None:
            return found
        unlike = self.dataset.unlike_classes(*self.outputs)
        mend = "give it one output per class, or" if self.dataset.classifies else "give"
        raise UsageError(f"{label(self.requested)}: {unlike}; {mend} `{argument}`")

    @property
    def digest(self) -> str:
        """Digest of its parameters and buffers."""
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return f"sha256 {digest.hexdigest()[:16]}"

    def __repr__(self) -> str:
        return f"{self.network} on {self.dataset.name}: weights are {self.weights.describe()}"

    def check_trains(self) -> None:
        """Raise UsageError unless its loss can be trained and its metric judge it."""
        task = self.task
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise UsageError(
                f"{label(self.requested)}: has no weights to train; give it some that want a gradient"
            )
        if zoo_entry(self.requested) is None or task.loss != CROSS_ENTROPY:
            images, labels = self.dataset.train_images[:_EXAMPLES], self.dataset.train_labels[:_EXAMPLES]
            check_trains(self.requested, self.model, images, labels, task.loss)


def find_subject(request: NetworkRequest, progress: Progress = silent) -> Subject:
    """Build the network and load its weights: those given, else the package's own, else seeded random ones.

    A module is copied. `progress` is called with how an ONNX file and a foreign weight file were read, and
    where the weights come from.

    Raises UnsupportedLayer, ShapeError, UsageError, DataError or MissingData.
    """
    if request.network is None:
        raise UsageError("no network: give `network`")
    if isinstance(request.network, str) and request.network.endswith(".tflite"):
        raise UsageError(
            f"{request.network}: is for TensorFlow Lite; convert it by "
            "python -m tf2onnx.convert --tflite FILE --output FILE.onnx, and give that"
        )
    spec = zoo_entry(request.network)
    dataset = _dataset(spec, request, progress)
    found = _weights(request.network, request, dataset.name)
    weights = replace(found, normalization=_normalization(request, found, dataset, progress))
    model = _of_zoo(spec, request, dataset, weights) if spec else _own(request, dataset, weights, progress)
    if weights.path is not None:
        for line in load_weights(model, weights.path, torch.zeros(1, *dataset.image_shape)):
            progress(Note(line))
    outputs: tuple[tuple[int, ...], ...] = ((dataset.num_classes,),)
    if spec is None or not spec.classifies:
        outputs = own_outputs(request.network, model, dataset.image_shape)
    subject = Subject(
        network=spec.name if spec else own_name(request.network),
        requested=request.network,
        model=model.eval(),
        dataset=dataset,
        weights=weights,
        outputs=outputs,
        **_usual(dataset, outputs),
    ).with_task(request.metric, request.loss)
    progress(Note(str(subject)))
    return subject


def zoo_entry(network: NetworkSource) -> NetworkSpec | None:
    """What the zoo knows of a network, None of the user's own; UnsupportedLayer for a name of neither."""
    if isinstance(network, str) and network in NETWORKS:
        return NETWORKS[network]
    return None if is_own(network) else network_spec(str(network))


def tells_classes(network: NetworkSource) -> bool:
    """Whether it is a network of the zoo whose output is one value a class."""
    spec = zoo_entry(network)
    return spec is not None and spec.classifies


def check_classes(network: str, dataset: Dataset) -> None:
    """Raise UsageError where labels are not classes, which networks of the zoo tell apart."""
    if not dataset.classifies:
        raise UsageError(
            f"{network}: tells classes apart, {dataset.name} has {dataset.label_kind}; give a network "
            "of your own"
        )


def check_normalization(normalization: Normalization, dataset: Dataset) -> None:
    """Raise UsageError where it has constants of other channels than the images."""
    try:
        normalization.check_channels(dataset.in_channels, f"images of {dataset.name} have")
    except FormatError as error:
        raise UsageError(f"`normalization={normalization}`: {error}") from error


def _usual(dataset: Dataset, outputs: tuple[tuple[int, ...], ...]) -> dict[str, Any]:
    """Loss and metric where nobody says what they are."""
    task = usual_task(dataset, outputs)
    return {"loss": None if task is None else task.loss, "metric": None if task is None else task.metric}


def _dataset(spec: NetworkSpec | None, request: NetworkRequest, progress: Progress) -> Dataset:
    source = request.dataset
    if isinstance(source, Dataset):
        return source
    if source is None:
        if spec is None:
            raise UsageError(
                f"{label(request.network)}: give `dataset`; only networks of the zoo have a usual one"
            )
        source = spec.dataset
        if request.image_size is None:
            return load_dataset(source, request.data)
    return find_dataset(source, request.data, image_size=request.image_size, progress=progress)


def _weights(network: NetworkSource, request: NetworkRequest, dataset: str) -> WeightsOrigin:
    if request.weights is not None:
        return WeightsOrigin(source=WeightsSource.FILE, path=request.weights)
    if isinstance(network, nn.Module):
        return WeightsOrigin(source=WeightsSource.MODULE)
    own = checkpoint_path(network, dataset)
    if own.exists() and request.normalization in (None, NONE):
        return WeightsOrigin(source=WeightsSource.CHECKPOINT, path=own)
    if onnx_file(network) is not None:
        return WeightsOrigin(source=WeightsSource.ONNX)
    source = WeightsSource.FUNCTION if is_own(network) else WeightsSource.RANDOM
    return WeightsOrigin(source=source, seed=request.seed)


def _normalization(
    request: NetworkRequest, weights: WeightsOrigin, dataset: Dataset, progress: Progress
) -> Normalization:
    """The normalization that the weights were trained with, where the user does not say.

    A weight file of `train` names its own; a line says where the user says another.
    The published CIFAR ResNets come as state dicts of another tool and were trained on ImageNet's constants.
    The user's own network was trained on the values that the user's own data set gives.
    """
    known = None if weights.path is None else known_normalization(weights.path)
    asked = request.normalization
    if asked is not None:
        if known is not None and not asked.equals(known):
            seen = f"its weights were trained with normalization {known}"
            progress(Note(f"{weights.file}: {seen}, which `normalization={asked}` replaces"))
        return asked
    if known is not None:
        return known
    if dataset.gives_floats and request.network is not None and zoo_entry(request.network) is None:
        return UNIT
    published = weights.path is not None and request.network in PUBLISHED and is_foreign_state(weights.path)
    return IMAGENET if published else NONE


def _own(request: NetworkRequest, dataset: Dataset, weights: WeightsOrigin, progress: Progress) -> nn.Module:
    assert request.network is not None
    check_normalization(weights.normalization, dataset)
    return make_own(request.network, request.seed, dataset.image_shape, weights.normalization, progress)


def _of_zoo(
    spec: NetworkSpec, request: NetworkRequest, dataset: Dataset, weights: WeightsOrigin
) -> nn.Module:
    if spec.classifies:
        check_classes(spec.name, dataset)
    return build(
        spec.name,
        num_classes=dataset.num_classes if spec.classifies else None,
        in_channels=dataset.in_channels,
        input_size=dataset.input_size,
        seed=request.seed,
        normalize=_seen(weights.normalization, dataset),
    )


def _seen(normalization: Normalization, dataset: Dataset) -> Normalize | None:
    """What shows images to a network of the zoo; None where it sees them as they are."""
    if normalization == NONE:
        return None
    check_normalization(normalization, dataset)
    return Normalize.of(normalization)
