"""`bitlathe compress` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bitlathe.flow.options import JsonOption, TargetOption, takes_network
from bitlathe.flow.output import print_json
from bitlathe.flow.request import NetworkRequest
from bitlathe.hls.config import target as find_target


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(takes_network(compress))


def compress(
    request: NetworkRequest,
    method: Annotated[
        list[str],
        typer.Option("--method", metavar="NAME:KEY=VALUE,...", help="Method, in order; may be repeated."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the network and of the state to resume.")],
    target: TargetOption = "pynq-z2",
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
    from bitlathe.flow.compression import CompressOptions, compress
    from bitlathe.flow.reports import show_compression

    options = CompressOptions(
        methods=tuple(method),
        lr=lr,
        batch_size=batch_size,
        augment=augment,
        epoch_images=epoch_images,
        held_out=held_out,
        images=images,
        resume=resume,
    )
    result = compress(request, options, find_target(target), out)
    if as_json:
        print_json(result.to_json())
    else:
        show_compression(result)
