"""The commands that touch a board: agent, measure, deploy."""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bitlathe.board.agent import DEFAULT_PORT, LOOPBACK, add_agent_options, read_token, run_agent
from bitlathe.board.bundle import Bundle, find_bundle
from bitlathe.board.client import Agent
from bitlathe.board.local import agents_at
from bitlathe.board.measurement import Measurement
from bitlathe.board.pool import Pool
from bitlathe.flow.board_errors import board_errors
from bitlathe.flow.errors import CheckFailed, UsageError
from bitlathe.flow.options import JsonOption, TargetOption, takes_network
from bitlathe.flow.output import note, print_json, print_table
from bitlathe.flow.request import NetworkRequest
from bitlathe.hls.config import Target, find_target
from bitlathe.hls.target.board_files import listed_boards

if TYPE_CHECKING:
    from bitlathe.flow.board_bundle import OverlayFiles

IMAGES = 16  # of a bundle that is made here
TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="File with the agent's token; not needed for sim://.")
]


ImagesOption = Annotated[
    int | None,
    typer.Option(
        "--images", min=1, help=f"Test images, the first ones; else a bundle's all, a new one's {IMAGES}."
    ),
]
OverlayOption = Annotated[
    Path | None, typer.Option("--overlay", help="Folder of a real board's .bit, .hwh and overlay.json.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (agent, takes_network(measure), takes_network(deploy)):
        app.command()(command)


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
    as_json: JsonOption = False,
) -> None:
    """Run test images on boards, compare every output integer, and print the measured latency."""
    _check_one_source(request, bundle, {"--overlay": overlay})
    with board_errors(), tempfile.TemporaryDirectory(prefix="bitlathe-") as folder:
        token = read_token(token_file) if token_file else None
        with agents_at(board, token) as agents:
            found = [find_bundle(path, Path(folder)) for path in bundle or ()]
            if not found:
                found = [_made_for(request, board, agents, overlay, images or IMAGES, out)]
            measured = Pool(agents).measure_all(found, images)
    if as_json:
        rows = [each.to_json() for each in measured]
        print_json({"measurements": rows} if len(rows) > 1 else rows[0])
    else:
        for each in measured:
            _show(each)
    if wrong := sum(each.mismatches for each in measured):
        raise CheckFailed(f"{wrong} output integers differ from the reference's")


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
        typer.Option("--images", min=1, help=f"Test images of a new bundle; {IMAGES} if not given."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="USER@HOST: copy it there too, over ssh.")] = None,
) -> None:
    """Put all that a board needs into a folder, and print the commands that run it there."""
    from bitlathe.flow.deploy import copy_to
    from bitlathe.flow.deploy import deploy as fill_folder

    _check_one_source(request, bundle, {"--overlay": overlay, "--images": images})
    with board_errors(), tempfile.TemporaryDirectory(prefix="bitlathe-") as folder:
        if bundle is None:
            bundle = _made(request, find_target(target), overlay, images or IMAGES, Path(folder)).folder
        deployment = fill_folder(bundle, out)
    if to is not None:
        copy_to(deployment, to)
        note(f"copied to {to}")
    commands = deployment.commands(to or "xilinx@BOARD")
    print("\n".join(commands[1:] if to else commands))


def _check_one_source(request: NetworkRequest, bundle: object, others: Mapping[str, object]) -> None:
    """Raise UsageError for what a bundle answers by itself."""
    idle = [option for option, value in others.items() if value is not None]
    if bundle and (idle or request != NetworkRequest()):
        what = ", ".join(["what names a network", *idle])
        raise UsageError(f"--bundle: holds network, images and overlay of its own; leave out {what}")


def _made_for(
    request: NetworkRequest,
    addresses: list[str],
    agents: list[Agent],
    overlay: Path | None,
    images: int,
    out: Path,
) -> Bundle:
    """A bundle of the network asked for, for the boards that the agents have."""
    from bitlathe.flow.board_latency import common_target, overlay_of

    target = common_target(addresses, agents)
    return _bundle(request, target, overlay_of(addresses, target, overlay), images, out)


def _made(request: NetworkRequest, target: Target, overlay: Path | None, images: int, out: Path) -> Bundle:
    """A bundle of the network asked for and of a real board's overlay."""
    from bitlathe.flow.board_bundle import read_overlay

    if overlay is None:
        raise UsageError("give --bundle, or a network and --overlay, the folder of the board's .bit and .hwh")
    return _bundle(request, target, read_overlay(overlay, target), images, out)


def _bundle(request: NetworkRequest, target: Target, files: OverlayFiles, images: int, out: Path) -> Bundle:
    from bitlathe.flow.board_bundle import Vectors, make_bundle
    from bitlathe.flow.integer_network import obtain

    network = obtain(request)
    pictures, labels = network.test_images(images)
    if network.unlike_classes:
        labels = labels * 0 - 1
    vectors = Vectors(images=pictures, labels=labels, table=network.preprocess.table)
    return make_bundle(network.graph, target, files, vectors, out, name=network.name)


def _show(measured: Measurement) -> None:
    kind = "simulated " if measured.simulated else ""
    rows = [
        ("test images", f"{measured.images:,}"),
        ("output integers that differ", f"{measured.mismatches:,}"),
        ("right answers", "-" if measured.correct is None else f"{measured.correct:,}"),
        ("cycles an image", f"{measured.cycles:,}"),
        ("cycles, weights not yet on chip", f"{measured.cycles_first:,}"),
        ("cycles, predicted", f"{measured.predicted_cycles:,}"),
        ("clock, read back", f"{measured.clock_mhz:g} MHz"),
        ("latency", f"{measured.latency_ms:.4f} ms"),
        ("images in to outputs back", "-" if measured.wall_ms is None else f"{measured.wall_ms:.4f} ms"),
    ]
    print_table(f"{measured.network} on {kind}{measured.board}, pynq {measured.pynq}", ("measured", ""), rows)
    cycles = [(row.layer, f"{row.cycles:,}") for row in measured.layers]
    print_table("cycles by layer", ("layer", "cycles"), cycles)
