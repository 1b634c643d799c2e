"""`bitlathe compress` and `bitlathe sensitivity` on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bitlathe.flow.cli.options import (
    BudgetCyclesOption,
    BudgetMsOption,
    JsonOption,
    LossOption,
    MetricOption,
    TargetOption,
    TeacherOption,
    TeacherShareOption,
    TeacherTemperatureOption,
    TeacherWeightsOption,
    takes_float_network,
)
from bitlathe.flow.cli.output import print_json, show
from bitlathe.flow.network.request import NetworkRequest, teacher_request
from bitlathe.hls.target.config import find_target


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(takes_float_network(compress))
    app.command()(takes_float_network(sensitivity))


def compress(
    request: NetworkRequest,
    method: Annotated[
        list[str],
        typer.Option("--method", metavar="NAME:KEY=VALUE,...", help="Method, in order; may be repeated."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the network and of the state to resume.")],
    target: TargetOption = "pynq-z2",
    budget_ms: BudgetMsOption = None,
    budget_cycles: BudgetCyclesOption = None,
    metric: MetricOption = None,
    loss: LossOption = None,
    teacher: TeacherOption = None,
    teacher_weights: TeacherWeightsOption = None,
    teacher_share: TeacherShareOption = None,
    teacher_temperature: TeacherTemperatureOption = None,
    lr: Annotated[float, typer.Option("--lr", help="Highest learning rate.")] = 0.01,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images a step.")] = 128,
    augment: Annotated[bool, typer.Option("--augment", help="Shift and mirror the training images.")] = False,
    epoch_images: Annotated[
        int | None,
        typer.Option("--epoch-images", min=1, help="Training images of an epoch; all if not given."),
    ] = None,
    held_out: Annotated[
        int, typer.Option("--held-out", min=1, help="Training images no method sees.")
    ] = 1000,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Test images; all if not given.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the state in --out.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Prune and quantize a network by methods one after the other; sizes before and after in one table."""
    from bitlathe.flow.cli.tables import show_compression
    from bitlathe.flow.compress.run import CompressOptions, compress
    from bitlathe.flow.hardware.latency import budget_of
    from bitlathe.flow.network.quantize_settings import quantize_config
    from bitlathe.flow.network.subject import find_subject
    from bitlathe.flow.network.teacher import find_teacher, with_teacher

    options = CompressOptions(
        methods=tuple(method),
        lr=lr,
        batch_size=batch_size,
        augment=augment,
        epoch_images=epoch_images,
        held_out=held_out,
        images=images,
        seed=request.seed,
        resume=resume,
    )
    budget = budget_of(budget_ms, budget_cycles)
    board, config = find_target(target), quantize_config(request)
    wanted = teacher_request(teacher, teacher_weights, teacher_share, teacher_temperature)
    subject = find_subject(replace(request, metric=metric, loss=loss), show)
    if wanted is not None:
        subject = with_teacher(subject, find_teacher(wanted, subject.dataset, request.data, show))
    result = compress(subject, config, options, board, out, show, budget)
    if as_json:
        print_json(result.to_json())
    else:
        show_compression(result)
    result.check()


def sensitivity(
    request: NetworkRequest,
    criterion: Annotated[str, typer.Option("--criterion", help="What ranks a layer's channels.")] = "l2",
    shares: Annotated[
        str, typer.Option("--shares", help="Shares of a layer's channels that go, with a comma between.")
    ] = "0.25,0.5,0.75",
    scope: Annotated[str, typer.Option("--scope", help="Which channels: internal or all.")] = "internal",
    images: Annotated[int, typer.Option("--images", min=1, help="Last training images to judge by.")] = 1000,
    metric: MetricOption = None,
    loss: LossOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prune each layer alone and tell what accuracy, or other metric, that costs: which layers to skip."""
    from bitlathe.flow.cli.tables import show_sensitivity
    from bitlathe.flow.compress.sensitivity import measure_sensitivity, sensitivity_options
    from bitlathe.flow.network.subject import find_subject

    options = sensitivity_options(criterion=criterion, shares=shares, scope=scope, images=images)
    subject = find_subject(replace(request, metric=metric, loss=loss), show)
    result = measure_sensitivity(subject, options, show)
    if as_json:
        print_json(result.to_json())
    else:
        show_sensitivity(result)
