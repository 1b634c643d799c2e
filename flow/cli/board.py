"""The commands that touch a board: agent, measure, deploy."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bitlathe.board.agent import DEFAULT_PORT, LOOPBACK, add_agent_options, run_agent
from bitlathe.flow.boards.errors import board_errors
from bitlathe.flow.cli.options import JsonOption, TargetOption, takes_network
from bitlathe.flow.cli.output import note, print_json, show
from bitlathe.flow.cli.tables import show_check, show_differences, show_measurement
from bitlathe.flow.errors import CheckFailed, UsageError
from bitlathe.flow.files import write_json
from bitlathe.flow.network.request import SOME_IMAGES, NetworkRequest
from bitlathe.hls.target.board_files import listed_boards
from bitlathe.hls.target.config import find_target

TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="File with the agent's token; not needed for sim://.")
]


ImagesOption = Annotated[
    int | None,
    typer.Option(
        "--images",
        min=1,
        help=f"Test images, the first ones; else a bundle's all, a new one's {SOME_IMAGES}.",
    ),
]
OverlayOption = Annotated[
    Path | None, typer.Option("--overlay", help="Folder of a real board's .bit, .hwh and overlay.json.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (agent, takes_network(measure), takes_network(deploy)):
        app.command()(command)
    app.command("board-check")(takes_network(board_check))


def agent(
    bind: Annotated[str, typer.Option("--bind", help="Address to listen on.")] = LOOPBACK,
    port: Annotated[int, typer.Option("--port", help="0: any free one.")] = DEFAULT_PORT,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Made if it is not there; else ~/.bitlathe/token.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where files are kept; else ~/.bitlathe/agent.")
    ] = None,
    simulated: Annotated[
        str | None,
        typer.Option("--simulated", help=f"Serve a simulated board: {' or '.join(listed_boards())}."),
    ] = None,
) -> None:
    """Serve this board, or a simulated one, to a search: bundles in, measurements out."""
    parser = argparse.ArgumentParser()
    add_agent_options(parser)
    given = {
        "--bind": bind,
        "--port": port,
        "--token-file": token_file,
        "--folder": folder,
        "--simulated": simulated,
    }
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    with board_errors():
        run_agent(parser.parse_args(words))


def measure(
    request: NetworkRequest,
    board: Annotated[
        list[str],
        typer.Option("--board", help="HOST[:PORT] of an agent, or sim://pynq-z2; several share the bundles."),
    ],
    bundle: Annotated[
        list[Path] | None,
        typer.Option("--bundle", help="Bundle to run, or several; else one is made of the network."),
    ] = None,
    overlay: OverlayOption = None,
    images: ImagesOption = None,
    token_file: TokenOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundles it makes.")] = Path("build/board"),
    against: Annotated[
        Path | None, typer.Option("--against", help="Report of board-check to compare the first one with.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run test images on boards, compare every output integer, and print the measured latency."""
    from bitlathe.flow.api.boards import measure as measure_network
    from bitlathe.flow.api.boards import measure_bundles, read_report
    from bitlathe.flow.network.obtain import obtain

    _check_one_source(request, bundle, {"overlay": overlay})
    report = None if against is None else read_report(against)
    if bundle:
        measured = measure_bundles(bundle, board, images, token_file=token_file)
    else:
        network = obtain(request, show)
        made = {"overlay": overlay, "token_file": token_file, "out": out}
        measured = [measure_network(network, board, images, **made)]
    if as_json:
        rows = [each.to_json() for each in measured]
        print_json({"measurements": rows} if len(rows) > 1 else rows[0])
    else:
        for each in measured:
            show_measurement(each)
        if report is not None:
            show_differences(report, measured[0])
    if wrong := sum(each.mismatches for each in measured):
        raise CheckFailed(f"{wrong} output integers differ from the reference's")


def board_check(
    request: NetworkRequest,
    board: Annotated[str, typer.Option("--board", help="HOST[:PORT] of an agent, or sim://pynq-z2.")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Bundle to run; else one is made of the network.")
    ] = None,
    overlay: OverlayOption = None,
    images: ImagesOption = None,
    token_file: TokenOption = None,
    out: Annotated[Path, typer.Option("--out", help="File of the report.")] = Path("build/board/check.json"),
    as_json: JsonOption = False,
) -> None:
    """Look at a board, line by line: clock, coherency, memory, reset, interrupt, abort, images."""
    from bitlathe.flow.api.boards import check_board
    from bitlathe.flow.network.obtain import obtain

    _check_one_source(request, bundle, {"overlay": overlay})
    network = bundle or obtain(request, show)
    report = check_board(network, board, images, overlay=overlay, token_file=token_file)
    write_json(out, report.to_json())
    if as_json:
        print_json(report.to_json())
    else:
        show_check(report)
        note(f"the report is in {out}")
    if report.failed:
        raise CheckFailed(f"{report.failed[0].name}: {report.failed[0].says}")


def deploy(
    request: NetworkRequest,
    out: Annotated[Path, typer.Option("--out", help="Folder to fill; one of an earlier run is replaced.")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Bundle that goes along; else one is made of the network.")
    ] = None,
    target: TargetOption = "pynq-z2",
    overlay: OverlayOption = None,
    images: Annotated[
        int | None,
        typer.Option("--images", min=1, help=f"Test images of a new bundle; {SOME_IMAGES} if not given."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="USER@HOST: copy it there too, over ssh.")] = None,
) -> None:
    """Put all that a board needs into a folder, and print the commands that run it there."""
    from bitlathe.flow.api.boards import deploy as fill_folder
    from bitlathe.flow.boards.deploy import copy_to
    from bitlathe.flow.network.obtain import obtain

    _check_one_source(request, bundle, {"overlay": overlay, "images": images})
    if bundle is None and overlay is None:
        raise UsageError("give `bundle`, or a network and `overlay`, the folder of the board's .bit and .hwh")
    find_target(target)
    network = bundle or obtain(request, show)
    deployment = fill_folder(network, out, overlay=overlay, target=target, images=images)
    if to is not None:
        copy_to(deployment, to)
        note(f"copied to {to}")
    commands = deployment.commands(to or "xilinx@BOARD")
    print("\n".join(commands[1:] if to else commands))


def _check_one_source(request: NetworkRequest, bundle: object, others: Mapping[str, object]) -> None:
    """Raise UsageError for options whose values the bundle itself holds."""
    idle = [f"`{name}`" for name, value in others.items() if value is not None]
    if bundle and (idle or request != NetworkRequest()):
        what = ", ".join(["what names a network", *idle])
        raise UsageError(f"`bundle`: holds network, images and overlay of its own; leave out {what}")
