"""Options that several commands share, and the way a command takes all those that name a network at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated

import typer

from bitlathe.flow.network.request import (
    AUTO,
    CALIBRATION_IMAGES,
    NetworkRequest,
    image_size_of,
    read_normalization,
)
from bitlathe.hls.target.board_files import listed_boards
from bitlathe.model.graph.files.settings import MAX_SEED
from bitlathe.model.graph.normalization import GRAMMAR

Command = Callable[..., None]

# Arguments whose option is not simply their name with dashes.
_OPTIONS = {
    "normalization": "--normalize",
    "per_channel": "--per-layer",
    "calibration_images": "--calibration",
    "layers": "--layer",
    "methods": "--method",
    "boards": "--board",
    "bundles": "--bundle",
    "reuse_factor": "--reuse",
    "stall_percent": "--stalls",
}
_ARGUMENT = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")

DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Name, folder of pictures, FILE.npz or FILE.py:FUNCTION; the network's usual one if not given.",
    ),
]
ImageSizeOption = Annotated[
    str | None,
    typer.Option(
        "--image-size", metavar="HxW", help="Size of a folder's pictures; that of most if not given."
    ),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of the data sets; BITLATHE_DATA if not given.")
]
TargetOption = Annotated[
    str,
    typer.Option(
        "--target", help=f"Board: {' or '.join(listed_boards())}; NAME:ENGINE for another engine on it."
    ),
]
BudgetMsOption = Annotated[
    float | None,
    typer.Option("--budget-ms", help="Most milliseconds an image may take; exit status 1 if missed."),
]
BudgetCyclesOption = Annotated[
    int | None, typer.Option("--budget-cycles", help="The same in cycles; give one of the two.")
]
NormalizeOption = Annotated[
    str, typer.Option("--normalize", help=f"What the network was trained to see: {AUTO}, {GRAMMAR}.")
]
MetricOption = Annotated[
    str | None,
    typer.Option("--metric", help="What judges: top1, top5, mse, miou or FILE.py:FUNCTION(outputs, labels)."),
]
LossOption = Annotated[
    str | None,
    typer.Option("--loss", help="What trains: cross_entropy, mse, l1, bce or FILE.py:FUNCTION."),
]
TeacherOption = Annotated[
    str | None,
    typer.Option("--teacher", help="Trained network of the same classes, whose answers are learned too."),
]
TeacherWeightsOption = Annotated[
    Path | None, typer.Option("--teacher-weights", help="Its weight file; else the package's own.")
]
TeacherShareOption = Annotated[
    float | None, typer.Option("--teacher-share", help="Its share of the loss; 0.5 if not given.")
]
TeacherTemperatureOption = Annotated[
    float | None,
    typer.Option("--teacher-temperature", help="What scores are divided by; 4 if not given."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Simulated engines side by side.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout instead.")]


def as_options(message: str) -> str:
    """A message of the functions behind the commands, its arguments in backquotes as the options they are
    here.

    >>> as_options("`images=9`: digits has 5; give `calibration_images`, or continue it with `resume=True`")
    '--images 9: digits has 5; give --calibration, or continue it with --resume'
    """

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        words = [
            _OPTIONS.get(name, f"--{name.replace('_', '-')}"),
            *([] if value in (None, "True") else [value]),
        ]
        return " ".join(words)

    return _ARGUMENT.sub(option, message)


def network_request(
    graph: Annotated[
        Path | None, typer.Argument(help="Integer graph (.blg) to take instead of a network.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option("--network", help="Network of the zoo, FILE.py:FUNCTION that makes one, or FILE.onnx."),
    ] = None,
    dataset: DatasetOption = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Weight file; else the package's own, else seeded random ones."),
    ] = None,
    data: DataOption = None,
    image_size: ImageSizeOption = None,
    normalize: NormalizeOption = AUTO,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of random weights, training, memory stalls."),
    ] = 0,
    weight_bits: Annotated[int, typer.Option("--weight-bits", help="Bits of a weight, 2 to 16.")] = 8,
    activation_bits: Annotated[
        int, typer.Option("--activation-bits", help="Bits of an activation, 2 to 16.")
    ] = 8,
    per_channel: Annotated[
        bool,
        typer.Option("--per-channel/--per-layer", help="One binary point per output channel, or per layer."),
    ] = True,
    calibration: Annotated[
        int, typer.Option("--calibration", min=1, help="Training images that choose the binary points.")
    ] = CALIBRATION_IMAGES,
    rounding: Annotated[
        str, typer.Option("--rounding", help="Halves of a requantization: half_up, or half_even.")
    ] = "half_up",
    search_formats: Annotated[
        bool,
        typer.Option("--search-formats", help="Choose binary points by the outputs' error; takes longer."),
    ] = False,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="NAME=W[,A]", help="Other bits of one layer; may be repeated."),
    ] = None,
) -> NetworkRequest:
    """The request made of the options that name a network."""
    return NetworkRequest(
        graph=graph,
        network=network,
        dataset=dataset,
        weights=weights,
        data=data,
        image_size=image_size_of(image_size),
        normalization=read_normalization(normalize),
        seed=seed,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        per_channel=per_channel,
        calibration_images=calibration,
        rounding=rounding,
        search_formats=search_formats,
        layers=tuple(layer or ()),
    )


def takes_network(command: Command) -> Command:
    """The command with the options of `network_request` in place of its parameter `request`.

    Typer reads a function's signature, and every such command would else repeat a dozen parameters.
    """
    return _taking(signature(network_request, eval_str=True).parameters, command)


def takes_float_network(command: Command) -> Command:
    """As `takes_network`, without --graph: its weights are integers, which cannot be trained or ranked."""
    shared = signature(network_request, eval_str=True).parameters
    return _taking({name: p for name, p in shared.items() if name != "graph"}, command)


def _taking(shared: Mapping[str, Parameter], command: Command) -> Command:
    own = {name: p for name, p in signature(command, eval_str=True).parameters.items() if name != "request"}

    def run(**options: object) -> None:
        values = {name: options.pop(name) for name in shared}
        command(request=network_request(**values), **options)  # type: ignore[arg-type]

    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*shared.values(), *own.values())]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return run
