"""Networks on boards, real or simulated: measured there, or put into a folder that runs there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bitlathe.board.agent import read_token
from bitlathe.board.bundle import Bundle, find_bundle
from bitlathe.board.check_report import CheckReport
from bitlathe.board.fields import JsonFields
from bitlathe.board.local import agents_at
from bitlathe.board.measurement import Measurement
from bitlathe.board.pool import Pool
from bitlathe.flow.api.hardware import TARGET
from bitlathe.flow.boards.bundle import OverlayFiles, Vectors, make_bundle, read_overlay, simulated_overlay
from bitlathe.flow.boards.deploy import Deployment
from bitlathe.flow.boards.deploy import deploy as fill_folder
from bitlathe.flow.boards.errors import board_errors
from bitlathe.flow.boards.latency import common_target, overlay_of, refuse_unread
from bitlathe.flow.errors import UsageError
from bitlathe.flow.hardware.compilation import NetworkProgram
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.hls.target.config import Target, find_target

SIMULATED = "simulated"  # in the place of an overlay's folder


def measure(
    network: NetworkProgram | IntegerNetwork,
    boards: str | Sequence[str] = f"sim://{TARGET}",
    images: int | None = None,
    *,
    overlay: str | Path | None = None,
    token_file: str | Path | None = None,
    out: str | Path | None = None,
) -> Measurement:
    """Run test images on a board: cycles by its own counter, latency in milliseconds, integers that differ.

    Args:
        network: an integer network, or its program for the target that the boards are of.
        boards: HOST[:PORT] of an agent, or sim://BOARD, a simulated one started meanwhile; several share the
            work.
        images: of the test split, the first ones; None: 16, or all where there are fewer.
        overlay: folder of a real board's .bit, .hwh and overlay.json.
        token_file: file with the agents' token, for real boards.
        out: folder that keeps the bundle; else it is removed.

    Raises:
        UsageError: boards that differ, or are not of the program's target; no overlay for a real board,
            or one for a simulated one.
        ToolError: a board that does not answer, or pynq missing for a simulated one.
        CheckFailed: a run that fails. Differing integers are counted in `mismatches`, not raised.
    """
    addresses = [boards] if isinstance(boards, str) else list(boards)
    refuse_unread(addresses, overlay=overlay, token_file=token_file)
    with ExitStack() as stack:
        stack.enter_context(board_errors())
        folder = Path(out or stack.enter_context(tempfile.TemporaryDirectory(prefix="bitlathe-")))
        agents = stack.enter_context(agents_at(addresses, _token(token_file)))
        target = common_target(addresses, agents)
        if isinstance(network, NetworkProgram) and network.target != target:
            raise UsageError(f"`boards`: are {target.name}, the program is for {network.target.name}")
        files = overlay_of(addresses, target, None if overlay is None else Path(overlay))
        return Pool(agents).measure(_bundle(network, target, files, images, folder), images)


def measure_bundles(
    bundles: Sequence[str | Path],
    boards: str | Sequence[str],
    images: int | None = None,
    *,
    token_file: str | Path | None = None,
) -> list[Measurement]:
    """As `measure`, of bundles that are there, on all their images unless `images` says how many."""
    addresses = [boards] if isinstance(boards, str) else list(boards)
    refuse_unread(addresses, token_file=token_file)
    with ExitStack() as stack:
        stack.enter_context(board_errors())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bitlathe-"))
        agents = stack.enter_context(agents_at(addresses, _token(token_file)))
        found = [find_bundle(Path(path), Path(folder)) for path in bundles]
        return Pool(agents).measure_all(found, images)


def check_board(
    network: NetworkProgram | IntegerNetwork | str | Path,
    board: str = f"sim://{TARGET}",
    images: int | None = None,
    *,
    overlay: str | Path | None = None,
    token_file: str | Path | None = None,
) -> CheckReport:
    """Look at a board, line by line: what simulation cannot show of it, by the engine's own counters.

    Args:
        network: an integer network, its program, or the path of a bundle that is there.
        board: HOST[:PORT] of an agent, or sim://BOARD.
        images: of the test split or the bundle, the first ones; as in `measure`.
        overlay, token_file: as in `measure`.

    Returns:
        The report; the first of its lines `failed` names what is wrong.

    Raises:
        UsageError, ToolError: as `measure`; a line that fails is not raised.
    """
    refuse_unread([board], overlay=overlay, token_file=token_file)
    with ExitStack() as stack:
        stack.enter_context(board_errors())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bitlathe-")))
        agents = stack.enter_context(agents_at([board], _token(token_file)))
        if isinstance(network, (str, Path)):
            return agents[0].check(find_bundle(Path(network), folder), images)
        target = common_target([board], agents)
        files = overlay_of([board], target, None if overlay is None else Path(overlay))
        return agents[0].check(_bundle(network, target, files, images, folder), images)


def read_report(path: str | Path) -> CheckReport:
    """The report that `bitlathe board-check --out` wrote; FormatError where it is none."""
    with board_errors():
        try:
            return CheckReport.from_json(JsonFields.parse(Path(path).read_bytes(), str(path)))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror}); name a report") from error


def deploy(
    network: NetworkProgram | IntegerNetwork | str | Path,
    out: str | Path,
    *,
    overlay: str | Path | None = None,
    target: str | None = None,
    images: int | None = None,
) -> Deployment:
    """Put all that a board needs into a folder, whole or not at all: bundle, Python files, notebook, token.

    Args:
        network: an integer network, its program, or the path of a bundle that is there.
        out: folder to fill; one of an earlier call is replaced, its token kept.
        overlay: folder of the board's .bit, .hwh and overlay.json, or "simulated" for the simulated board; a
            bundle has its own.
        target: the board of a network that is not compiled; pynq-z2 if not given.
        images: of the test split, the first ones, which the board checks itself with; as in `measure`.

    Returns:
        The folder, its bundle, and `commands(host)`, which bring it to the board and run it there.

    Raises:
        UsageError: no overlay, or a folder that holds other files.
        FormatError: an overlay that is incomplete, or of another engine.
    """
    with board_errors(), tempfile.TemporaryDirectory(prefix="bitlathe-") as folder:
        if isinstance(network, (str, Path)):
            return fill_folder(Path(network), Path(out))
        if overlay is None:
            raise UsageError("give `overlay`, the folder of the board's .bit and .hwh, or a bundle")
        board = network.target if isinstance(network, NetworkProgram) else find_target(target or TARGET)
        files = simulated_overlay(board) if str(overlay) == SIMULATED else read_overlay(Path(overlay), board)
        return fill_folder(_bundle(network, board, files, images, Path(folder)).folder, Path(out))


def _token(path: str | Path | None) -> str | None:
    return None if path is None else read_token(Path(path))


def _bundle(
    network: NetworkProgram | IntegerNetwork,
    target: Target,
    files: OverlayFiles,
    images: int | None,
    folder: Path,
) -> Bundle:
    source = network.network if isinstance(network, NetworkProgram) else network
    if not isinstance(source, IntegerNetwork):
        raise UsageError(f"{source.name}: has no test images; read it with its data set")
    pictures, labels = source.some_images(images)
    if source.unlike_classes:
        labels = np.full(len(labels), -1)
    vectors = Vectors(
        images=pictures, labels=labels, table=source.preprocess.signed_bytes, judged=source.judged or 0
    )
    return make_bundle(source.graph, target, files, vectors, folder, name=source.name)
