"""`bitlathe train`: a training run, its weight file, and the command that repeats it."""

from __future__ import annotations

import dataclasses
import shlex
from enum import Enum
from pathlib import Path

from bitlathe.flow.errors import UsageError, argument_errors, member_of
from bitlathe.flow.network.own_data import find_dataset
from bitlathe.flow.network.own_network import own_name
from bitlathe.flow.network.request import ImageSize, NetworkRequest, TeacherRequest
from bitlathe.flow.network.sight import tell_normalization
from bitlathe.flow.network.subject import (
    check_classes,
    check_normalization,
    find_subject,
    tells_classes,
    zoo_entry,
)
from bitlathe.flow.network.task import FunctionSource, find_task
from bitlathe.flow.network.teacher import check_learns_classes, find_teacher
from bitlathe.flow.progress import Advance, Progress, silent
from bitlathe.model.compress.architecture import Architecture, GivenNetwork
from bitlathe.model.compress.training import CHECKPOINT_NAME, TrainResult, train
from bitlathe.model.compress.weight_files import WeightsMetadata, save_weights
from bitlathe.model.data import Dataset
from bitlathe.model.graph.normalization import NONE, Normalization
from bitlathe.model.train import Precision, Schedule, Task, TrainConfig
from bitlathe.model.train.task import CLASSIFICATION

WEIGHTS_NAME = "weights.pt"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingRun:
    """A finished training and the path of its weights."""

    result: TrainResult
    metadata: WeightsMetadata
    weights: Path

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {**dataclasses.asdict(self.metadata), "out": str(self.weights)}


def training_config(
    network: str, dataset: str | None, schedule: str, precision: str, **settings: int | float | None
) -> TrainConfig:
    """Settings of a run; the data set is the usual one of the zoo's network when None.

    Raises UnsupportedLayer for an unknown name, UsageError for a value out of its range or no data set.
    """
    spec = zoo_entry(network)
    chosen = dataset or (spec.dataset if spec else None)
    if chosen is None:
        raise UsageError(f"{network}: give `dataset`; only networks of the zoo have a usual one")
    with argument_errors():
        return TrainConfig(
            network=network,
            dataset=chosen,
            schedule=member_of(Schedule, "schedule", schedule),
            precision=member_of(Precision, "precision", precision),
            **settings,  # type: ignore[arg-type]
        )


def run_training(
    config: TrainConfig,
    data: Path | None,
    out: Path | None,
    resume: bool,
    *,
    image_size: ImageSize | None = None,
    normalization: Normalization | None = None,
    metric: FunctionSource | None = None,
    loss: FunctionSource | None = None,
    teacher: TeacherRequest | None = None,
    progress: Progress = silent,
) -> TrainingRun:
    """Train, and write checkpoint and weights into `out`, by default a folder named after the run.

    The network is trained to see images by `normalization`, else as `load_network` says of "auto". `metric`
    judges and `loss` trains, else what suits labels and outputs, and the answers of a `teacher` are learned
    too. UsageError where the folder holds another training, unless it is to be resumed.
    """
    request = NetworkRequest(
        network=config.network,
        dataset=config.dataset,
        data=data,
        image_size=image_size,
        normalization=normalization,
        seed=config.seed,
        metric=metric,
        loss=loss,
    )
    architecture, dataset, task, seen = _what(request, progress)
    if teacher is not None:
        check_learns_classes(config.network, task.loss)
        task = dataclasses.replace(task, teacher=find_teacher(teacher, dataset, data, progress))
    name = own_name(config.network)
    folder = out or Path("build/train") / f"{name}-{dataset.name}"
    if (folder / CHECKPOINT_NAME).exists() and not resume:
        raise UsageError(
            f"{folder}: holds a training; continue it with `resume=True`, or name another folder with `out`"
        )

    def stepped(done: int, steps: int) -> None:
        progress(Advance(f"{name}: training", done, steps))

    result = train(config, dataset, folder, resume, stepped, architecture, task, normalization)
    command = repeating_command(config, image_size, task, normalization, teacher)
    metadata = _metadata(name, result, config, command, seen)
    weights = folder / WEIGHTS_NAME
    save_weights(weights, result.model, metadata)
    return TrainingRun(result=result, metadata=metadata, weights=weights)


def _what(
    request: NetworkRequest, progress: Progress
) -> tuple[Architecture | None, Dataset, Task, Normalization]:
    """A network as it is made, None for a classifier of the zoo; its images, task and normalization."""
    assert isinstance(request.network, str) and isinstance(request.dataset, str)
    if not tells_classes(request.network):
        subject = find_subject(request, progress)
        subject.check_trains()
        tell_normalization(subject, progress)  # of an ONNX file's weights, which it goes on from
        seen = subject.weights.normalization
        return GivenNetwork(model=subject.model), subject.dataset, subject.task, seen
    dataset = find_dataset(request.dataset, request.data, image_size=request.image_size, progress=progress)
    check_classes(request.network, dataset)
    seen = request.normalization or NONE
    check_normalization(seen, dataset)
    return None, dataset, find_task(request.metric, request.loss, CLASSIFICATION), seen


def repeating_command(
    config: TrainConfig,
    image_size: ImageSize | None = None,
    task: Task = CLASSIFICATION,
    normalization: Normalization | None = None,
    teacher: TeacherRequest | None = None,
) -> str:
    """Command that repeats a training: every setting that is not the default, but no folder.

    >>> repeating_command(TrainConfig(network="resnet8", dataset="cifar10", epochs=2, augment=True))
    'bitlathe train --network resnet8 --dataset cifar10 --epochs 2 --augment'
    """
    words = ["bitlathe", "train", "--network", config.network, "--dataset", config.dataset]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in ("network", "dataset") and value != field.default:
            words += [f"--{field.name.replace('_', '-')}", *_words_of(value)]
    size = () if image_size is None else ("--image-size", "x".join(map(str, image_size)))
    seen = () if normalization is None else ("--normalize", str(normalization))
    named = (word for kind, name in task.named.items() for word in (f"--{kind}", name))
    taught = () if teacher is None else teacher.words
    return shlex.join([*words, *size, *seen, *named, *taught])


def _words_of(value: object) -> list[str]:
    if value is True:
        return []
    return [str(value.value if isinstance(value, Enum) else value)]


def _metadata(
    network: str, result: TrainResult, config: TrainConfig, command: str, seen: Normalization
) -> WeightsMetadata:
    return WeightsMetadata(
        network=network,
        dataset=result.dataset.name,
        accuracy=result.accuracy,
        num_classes=result.dataset.num_classes,
        in_channels=result.dataset.in_channels,
        input_size=result.dataset.input_size,
        epochs=config.epochs,
        seed=config.seed,
        command=command,
        metric=result.metric.name,
        score=result.score,
        normalization=str(seen),
    )
