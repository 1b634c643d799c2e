"""The commands that touch a board: agent, measure, deploy."""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bitlathe.board.agent import DEFAULT_PORT, LOOPBACK, add_agent_options, read_token, run_agent
from bitlathe.board.bundle import Bundle, find_bundle
from bitlathe.board.client import Agent
from bitlathe.board.errors import AgentError, BoardError, BundleError, DeviceError
from bitlathe.board.local import SCHEME, agents_at
from bitlathe.board.measurement import Measurement
from bitlathe.flow.errors import CheckFailed, UsageError
from bitlathe.flow.options import JsonOption, takes_network
from bitlathe.flow.output import note, print_json, print_table
from bitlathe.flow.request import NetworkRequest
from bitlathe.hls.config import target as find_target
from bitlathe.model.graph.errors import BitlatheError, FormatError, ToolError

# The first class that fits decides; whatever is not listed is a check that failed.
_FAMILY: tuple[tuple[type[BoardError], type[BitlatheError]], ...] = (
    (BundleError, FormatError),
    (DeviceError, ToolError),
    (AgentError, ToolError),
)
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
    board: Annotated[str, typer.Option("--board", help="HOST[:PORT] of an agent, or sim://pynq-z2.")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Bundle to run; else one is made of the network.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", help="Folder of a real board's .bit and .hwh.")
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="Test images, the first ones.")] = 16,
    token_file: TokenOption = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundles it makes.")] = Path("build/board"),
    as_json: JsonOption = False,
) -> None:
    """Run test images on a board, compare every output integer, and print the measured latency."""
    with board_errors(), tempfile.TemporaryDirectory(prefix="bitlathe-") as folder:
        token = read_token(token_file) if token_file else None
        with agents_at([board], token) as (agent,):
            found = (
                find_bundle(bundle, Path(folder))
                if bundle
                else _made(request, board, agent, overlay, images, out)
            )
            measured = agent.measure(found, images)
    if as_json:
        print_json(measured.to_json())
    else:
        _show(measured)
    if measured.mismatches:
        raise CheckFailed(f"{measured.mismatches} output integers differ from the reference's")


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


@contextmanager
def board_errors() -> Iterator[None]:
    """Turn the board's errors into those of the command line, their words unchanged."""
    try:
        yield
    except BoardError as error:
        family = next((ours for theirs, ours in _FAMILY if isinstance(error, theirs)), CheckFailed)
        raise family(str(error)) from error


def _made(
    request: NetworkRequest, board: str, agent: Agent, overlay: Path | None, images: int, out: Path
) -> Bundle:
    """A bundle of the network asked for, for the board that the agent has."""
    from bitlathe.flow.board_bundle import Vectors, make_bundle, read_overlay, simulated_overlay
    from bitlathe.flow.integer_network import obtain

    is_simulated = board.startswith(SCHEME)
    if not is_simulated and overlay is None:
        raise UsageError("--overlay: name the folder of the board's .bit and .hwh, or give a whole --bundle")
    target = find_target(board.removeprefix(SCHEME) if is_simulated else agent.status().board)
    network = obtain(request)
    pictures, labels = network.test_images(images)
    files = simulated_overlay(target) if overlay is None else read_overlay(overlay, target)
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
