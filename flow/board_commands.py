"""The commands that touch a board: agent, measure, deploy."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bitlathe.board.agent import DEFAULT_PORT, LOOPBACK, add_agent_options, read_token, run_agent
from bitlathe.board.bundle import Bundle, find_bundle
from bitlathe.board.client import Agent
from bitlathe.board.local import agents_at
from bitlathe.board.measurement import Measurement
from bitlathe.board.pool import Pool
from bitlathe.flow.board_errors import board_errors
from bitlathe.flow.errors import CheckFailed
from bitlathe.flow.options import JsonOption, takes_network
from bitlathe.flow.output import note, print_json, print_table
from bitlathe.flow.request import NetworkRequest

TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="File with the agent's token; not needed for sim://.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (agent, takes_network(measure), deploy):
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
        str | None, typer.Option("--simulated", help="Serve a simulated board: pynq-z2 or zcu104.")
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
    overlay: Annotated[
        Path | None, typer.Option("--overlay", help="Folder of a real board's .bit and .hwh.")
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="Test images, the first ones.")] = 16,
    token_file: TokenOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundles it makes.")] = Path("build/board"),
    as_json: JsonOption = False,
) -> None:
    """Run test images on boards, compare every output integer, and print the measured latency."""
    with board_errors(), tempfile.TemporaryDirectory(prefix="bitlathe-") as folder:
        token = read_token(token_file) if token_file else None
        with agents_at(board, token) as agents:
            found = [find_bundle(path, Path(folder)) for path in bundle or ()]
            if not found:
                found = [_made(request, board, agents, overlay, images, out)]
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
    bundle: Annotated[Path, typer.Option("--bundle", help="Bundle that goes along.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to fill; one of an earlier run is replaced.")],
    to: Annotated[str | None, typer.Option("--to", help="USER@HOST: copy it there too, over ssh.")] = None,
) -> None:
    """Put all that a board needs into a folder, and print the commands that run it there."""
    from bitlathe.flow.deploy import copy_to
    from bitlathe.flow.deploy import deploy as fill_folder

    with board_errors():
        deployment = fill_folder(bundle, out)
    if to is not None:
        copy_to(deployment, to)
        note(f"copied to {to}")
    commands = deployment.commands(to or "xilinx@BOARD")
    print("\n".join(commands[1:] if to else commands))


def _made(
    request: NetworkRequest,
    addresses: list[str],
    agents: list[Agent],
    overlay: Path | None,
    images: int,
    out: Path,
) -> Bundle:
    """A bundle of the network asked for, for the boards that the agents have."""
    from bitlathe.flow.board_bundle import Vectors, make_bundle
    from bitlathe.flow.board_latency import common_target, overlay_of
    from bitlathe.flow.integer_network import obtain

    target = common_target(addresses, agents)
    files = overlay_of(addresses, target, overlay)
    network = obtain(request)
    pictures, labels = network.test_images(images)
    vectors = Vectors(images=pictures, labels=labels, table=network.preprocess.table)
    return make_bundle(network.graph, target, files, vectors, out, name=network.name)


def _show(measured: Measurement) -> None:
    kind = "simulated " if measured.simulated else ""
    rows = [
        ("test images", f"{measured.images:,}"),
        ("output integers that differ", f"{measured.mismatches:,}"),
        ("right answers", f"{measured.correct:,}"),
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
