"""The commands that make networks: train, quantize."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bitlathe.flow.cli.options import (
    DataOption,
    DatasetOption,
    ImageSizeOption,
    JsonOption,
    LossOption,
    MetricOption,
    NormalizeOption,
    TeacherOption,
    TeacherShareOption,
    TeacherTemperatureOption,
    TeacherWeightsOption,
    takes_network,
)
from bitlathe.flow.cli.output import log_to_stderr, print_json, show
from bitlathe.flow.network.request import (
    AUTO,
    NetworkRequest,
    image_size_of,
    read_normalization,
    teacher_request,
)
from bitlathe.model.graph.files.settings import MAX_SEED


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(train)
    app.command()(takes_network(quantize))


def train(
    network: Annotated[
        str, typer.Option("--network", help="Network of the zoo, FILE.py:FUNCTION or FILE.onnx.")
    ],
    dataset: DatasetOption = None,
    data: DataOption = None,
    image_size: ImageSizeOption = None,
    normalize: NormalizeOption = AUTO,
    metric: MetricOption = None,
    loss: LossOption = None,
    teacher: TeacherOption = None,
    teacher_weights: TeacherWeightsOption = None,
    teacher_share: TeacherShareOption = None,
    teacher_temperature: TeacherTemperatureOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of checkpoint and weights; else build/train/NETWORK-DATASET."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the training images.")] = 40,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images a step.")] = 64,
    lr: Annotated[float, typer.Option("--lr", help="Highest learning rate.")] = 0.05,
    momentum: Annotated[float, typer.Option("--momentum", help="Nesterov momentum.")] = 0.9,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Decay of weights.")] = 5e-4,
    schedule: Annotated[str, typer.Option("--schedule", help="one-cycle or cosine.")] = "one-cycle",
    label_smoothing: Annotated[
        float, typer.Option("--label-smoothing", help="Share of the target spread over all classes.")
    ] = 0.0,
    augment: Annotated[bool, typer.Option("--augment", help="Shift and mirror the training images.")] = False,
    precision: Annotated[str, typer.Option("--precision", help="float32 or bfloat16.")] = "float32",
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of weights, order and augmentation."),
    ] = 0,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Processor threads; PyTorch's choice if not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network in float; a checkpoint is kept after every epoch."""
    from bitlathe.flow.network.training import run_training, training_config

    config = training_config(
        network=network,
        dataset=dataset,
        schedule=schedule,
        precision=precision,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        augment=augment,
        seed=seed,
        threads=threads,
    )
    log_to_stderr()
    trained = run_training(
        config,
        data,
        out,
        resume,
        image_size=image_size_of(image_size),
        normalization=read_normalization(normalize),
        metric=metric,
        loss=loss,
        teacher=teacher_request(teacher, teacher_weights, teacher_share, teacher_temperature),
        progress=show,
    )
    if as_json:
        print_json(trained.to_json())
    else:
        judged = trained.result.metric
        print(f"{trained.weights}: test {judged.title} {judged.said(trained.result.score)}")


def quantize(
    request: NetworkRequest,
    images: Annotated[int | None, typer.Option("--images", help="Test images; all if not given.")] = None,
    metric: MetricOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="File of the integer graph (.blg).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Quantize a trained network and compare its accuracy, or another metric, before and after."""
    from bitlathe.flow.cli.tables import show_quantization
    from bitlathe.flow.network.obtain import obtain
    from bitlathe.flow.network.quantization import judge

    network = obtain(replace(request, metric=metric), show)
    result = judge(network, images, out)
    if out is not None:
        network.save(out, show)
    if as_json:
        print_json(result.to_json())
    else:
        show_quantization(result)
