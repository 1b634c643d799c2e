"""`bitlathe train`: a training run, its weight file, and the command that repeats it."""

from __future__ import annotations

import dataclasses
import shlex
from enum import Enum
from pathlib import Path

from bitlathe.flow.errors import UsageError, member_of
from bitlathe.flow.progress import Advance, Progress, silent
from bitlathe.model.compress.training import CHECKPOINT_NAME, TrainResult, train
from bitlathe.model.compress.weight_files import WeightsMetadata, save_weights
from bitlathe.model.data import check_dataset, load_dataset
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.train import Precision, Schedule, TrainConfig
from bitlathe.model.zoo import network_spec

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
    """Settings of a run; the data set is the network's usual one when None.

    Raises UnsupportedLayer or DataError for an unknown name, UsageError for a value out of its range.
    """
    usual = network_spec(network).dataset
    check_dataset(dataset or usual)
    try:
        return TrainConfig(
            network=network,
            dataset=dataset or usual,
            schedule=member_of(Schedule, "schedule", schedule),
            precision=member_of(Precision, "precision", precision),
            **settings,  # type: ignore[arg-type]
        )
    except BitlatheError as error:
        raise UsageError(str(error)) from error


def run_training(
    config: TrainConfig, data: Path | None, out: Path | None, resume: bool, progress: Progress = silent
) -> TrainingRun:
    """Train, and write checkpoint and weights into `out`, by default a folder named after the run.

    UsageError where the folder holds another training, unless it is to be resumed.
    """
    folder = out or Path("build/train") / f"{config.network}-{config.dataset}"
    if (folder / CHECKPOINT_NAME).exists() and not resume:
        raise UsageError(
            f"{folder}: holds a training; continue it with `resume=True`, or name another folder with `out`"
        )
    load_dataset(config.dataset, data)  # so that missing data is reported before anything is made

    def stepped(done: int, steps: int) -> None:
        progress(Advance(f"{config.network}: training", done, steps))

    result = train(config, data, folder, resume, stepped)
    metadata = _metadata(result, config)
    weights = folder / WEIGHTS_NAME
    save_weights(weights, result.model, metadata)
    return TrainingRun(result=result, metadata=metadata, weights=weights)


def repeating_command(config: TrainConfig) -> str:
    """Command that repeats a training: every setting that is not the default, but no path.

    >>> repeating_command(TrainConfig(network="resnet8", dataset="cifar10", epochs=2, augment=True))
    'bitlathe train --network resnet8 --dataset cifar10 --epochs 2 --augment'
    """
    words = ["bitlathe", "train", "--network", config.network, "--dataset", config.dataset]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in ("network", "dataset") and value != field.default:
            words += [f"--{field.name.replace('_', '-')}", *_words_of(value)]
    return shlex.join(words)


def _words_of(value: object) -> list[str]:
    if value is True:
        return []
    return [str(value.value if isinstance(value, Enum) else value)]


def _metadata(result: TrainResult, config: TrainConfig) -> WeightsMetadata:
    return WeightsMetadata(
        network=config.network,
        dataset=config.dataset,
        accuracy=result.accuracy,
        num_classes=result.dataset.num_classes,
        in_channels=result.dataset.in_channels,
        input_size=result.dataset.input_size,
        epochs=config.epochs,
        seed=config.seed,
        command=repeating_command(config),
    )
