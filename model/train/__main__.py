"""Train a network of the zoo: `python -m bitlathe.model.train --help`."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn

from bitlathe.model.data import dataset_names
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.train.config import Precision, Schedule, TrainConfig
from bitlathe.model.train.loop import TrainResult, train
from bitlathe.model.train.weights import WeightsMetadata, save_weights
from bitlathe.model.zoo import NETWORKS

_DEFAULTS = TrainConfig()
WEIGHTS_NAME = "weights.pt"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the training ended, 1 when it could not."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        result = _train(options)
    except BitlatheError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    weights = options.out / WEIGHTS_NAME
    save_weights(weights, result.model, _metadata(result, _config(options), repeatable_command(given)))
    print(f"{weights}: test accuracy {100 * result.accuracy:.2f} %")
    return 0


def repeatable_command(arguments: Sequence[str]) -> str:
    """Command line that repeats the training: without the paths and flags of one machine."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--data")
    parser.add_argument("--resume", action="store_true")
    _, kept = parser.parse_known_args(arguments)
    return shlex.join(["python", "-m", "bitlathe.model.train", *kept])


def _train(options: argparse.Namespace) -> TrainResult:
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        return train(_config(options), options.data, options.out, options.resume, progress)


def _config(options: argparse.Namespace) -> TrainConfig:
    return TrainConfig(
        network=options.network,
        dataset=options.dataset or NETWORKS[options.network].dataset,
        epochs=options.epochs,
        batch_size=options.batch_size,
        lr=options.lr,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        schedule=Schedule(options.schedule),
        label_smoothing=options.label_smoothing,
        augment=options.augment,
        precision=Precision(options.precision),
        seed=options.seed,
        threads=options.threads,
    )


def _metadata(result: TrainResult, config: TrainConfig, command: str) -> WeightsMetadata:
    return WeightsMetadata(
        network=config.network,
        dataset=config.dataset,
        accuracy=result.accuracy,
        num_classes=result.dataset.num_classes,
        in_channels=result.dataset.in_channels,
        input_size=result.dataset.input_size,
        epochs=config.epochs,
        seed=config.seed,
        command=command,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bitlathe.model.train",
        description="Train a network of the zoo and keep a checkpoint of every epoch.",
        allow_abbrev=False,
    )
    _add_places(parser.add_argument_group("what and where"))
    _add_settings(parser.add_argument_group("settings"))
    _add_choices(parser.add_argument_group("choices"))
    return parser


def _add_places(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--network", choices=list(NETWORKS), default=_DEFAULTS.network, help="network of the zoo")
    add("--dataset", choices=dataset_names(), help="data set; the network's usual one when not given")
    add("--data", type=Path, help="folder of the data sets; BITLATHE_DATA when not given")
    add("--out", type=Path, default=Path("build/train"), help="folder of the checkpoint and weights")
    add("--resume", action="store_true", help="continue from the checkpoint in --out")


def _add_settings(group: argparse._ArgumentGroup) -> None:
    for name, kind, text in (
        ("epochs", int, "passes over the training images"),
        ("batch_size", int, "images a step"),
        ("lr", float, "highest learning rate"),
        ("momentum", float, "Nesterov momentum"),
        ("weight_decay", float, "decay of weights"),
        ("label_smoothing", float, "share of the target spread over all classes"),
        ("seed", int, "seed of weights, order and augmentation"),
    ):
        default = getattr(_DEFAULTS, name)
        flag = "--" + name.replace("_", "-")
        group.add_argument(flag, type=kind, default=default, help=f"{text} (default: {default})")
    group.add_argument("--threads", type=int, help="processor threads; PyTorch's choice when not given")


def _add_choices(group: argparse._ArgumentGroup) -> None:
    schedules, precisions = [s.value for s in Schedule], [p.value for p in Precision]
    add = group.add_argument
    add("--augment", action="store_true", help="shift and mirror the training images")
    add("--schedule", choices=schedules, default=_DEFAULTS.schedule.value, help="course of the rate")
    add("--precision", choices=precisions, default=_DEFAULTS.precision.value, help="of the forward pass")


if __name__ == "__main__":
    sys.exit(main())
