"""The latency of a graph on a board: compiled, bundled, run there, every output integer compared.

    with board_latency(["sim://pynq-z2", "sim://pynq-z2"]) as boards:
        boards.measure(graph).cycles
        [each.latency_ms for each in boards.measure_all(graphs)]

The agents live as long as the block. A candidate goes to whichever board is free, and nothing shows which:
equal boards give equal cycles, so a search chooses the same with one board or several.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bitlathe.board.agent import read_token
from bitlathe.board.client import Agent
from bitlathe.board.errors import AgentError
from bitlathe.board.local import SCHEME, agents_at
from bitlathe.board.measurement import Measurement
from bitlathe.board.pool import Pool
from bitlathe.flow.boards.bundle import OverlayFiles, Vectors, make_bundle, read_overlay, simulated_overlay
from bitlathe.flow.boards.errors import board_errors
from bitlathe.flow.errors import CheckFailed, UsageError
from bitlathe.hls.target.config import Target, find_target
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs

IMAGES = 2  # of a candidate: cycles do not depend on pixels, its integers do
SEED = 0  # of their pixels


class BoardLatency:
    """Equal boards that measure graphs. Its methods may be called from several threads."""

    def __init__(self, pool: Pool, target: Target, overlay: OverlayFiles) -> None:
        self.target = target
        self._pool = pool
        self._overlay = overlay

    def measure(self, graph: Graph) -> Measurement:
        """Cycles of one input, the clock read back, latency by both, on the next free board.

        Raises what compiling raises, ToolError for boards that are gone, and CheckFailed for a run that
        fails or for integers that are not the reference's.
        """
        with tempfile.TemporaryDirectory(prefix="bitlathe-") as folder, board_errors():
            vectors = random_vectors(graph)
            bundle = make_bundle(graph, self.target, self._overlay, vectors, Path(folder), name="candidate")
            measured = self._pool.measure(bundle, IMAGES)
        if measured.mismatches:
            raise CheckFailed(
                f"{graph.name} on {measured.board}: {measured.mismatches} output integers differ from the "
                "reference's, so its cycles mean nothing; report it with this graph"
            )
        return measured

    def measure_all(self, graphs: Sequence[Graph]) -> list[Measurement]:
        """Measurements in the order of `graphs`, as many at a time as boards; raises as `measure`."""
        with ThreadPoolExecutor(self._pool.size) as threads:
            return list(threads.map(self.measure, graphs))


@contextmanager
def board_latency(
    addresses: Sequence[str], *, token_file: Path | None = None, overlay: Path | None = None
) -> Iterator[BoardLatency]:
    """Boards at addresses, HOST[:PORT] or sim://BOARD, the simulated ones started for the time of the block.

    A real board needs its token's file and the folder of its overlay. UsageError where boards differ.
    """
    with board_errors():
        token = read_token(token_file) if token_file else None
        with agents_at(addresses, token) as agents:
            target = common_target(addresses, agents)
            yield BoardLatency(Pool(agents), target, overlay_of(addresses, target, overlay))


def refuse_unread(addresses: Sequence[str], **arguments: object) -> None:
    """Raise UsageError for an argument that is given (not None) where all boards are simulated.

    >>> refuse_unread(["sim://pynq-z2"], overlay=None)
    """
    given = [name for name, value in arguments.items() if value is not None]
    if given and addresses and all(address.startswith(SCHEME) for address in addresses):
        raise UsageError(f"`{given[0]}`: is for real boards, and {addresses[0]} is simulated; leave it out")


def common_target(addresses: Sequence[str], agents: Sequence[Agent]) -> Target:
    """The target that all boards are of; UsageError where they differ."""
    names = {address: _board_at(address, agent) for address, agent in zip(addresses, agents, strict=True)}
    if not names:
        raise AgentError("no board to measure on; give `boards`")
    if len(set(names.values())) > 1:
        found = ", ".join(f"{address} is {name}" for address, name in names.items())
        raise UsageError(f"`boards`: {found}; boards that share work must be equal")
    return find_target(next(iter(names.values())))


def overlay_of(addresses: Sequence[str], target: Target, folder: Path | None) -> OverlayFiles:
    """The overlay in a folder, or the simulated one; UsageError where boards cannot share it."""
    kinds = {address.startswith(SCHEME) for address in addresses}
    if len(kinds) > 1:
        raise UsageError("`boards`: real and simulated boards take different overlays; give one kind")
    if kinds == {False} and folder is None:
        raise UsageError("`overlay`: name the folder of the board's .bit and .hwh, or give whole `bundles`")
    return simulated_overlay(target) if folder is None else read_overlay(folder, target)


def random_vectors(graph: Graph) -> Vectors:
    """A few random images for a graph; a pixel is the byte of its input code."""
    codes = random_inputs(np.random.default_rng(SEED), graph, IMAGES)
    images = codes.astype(np.uint8).transpose(0, 2, 3, 1)
    column = np.arange(256, dtype=np.uint8).view(np.int8)
    table = np.repeat(column[:, np.newaxis], codes.shape[1], axis=1)
    return Vectors(images=images, labels=np.zeros(IMAGES, np.int32), table=table)


def _board_at(address: str, agent: Agent) -> str:
    return address.removeprefix(SCHEME) if address.startswith(SCHEME) else agent.status().board
