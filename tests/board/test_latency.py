"""Graphs measured on boards, as a search asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import needs
import numpy as np
import pytest

from bitlathe.board.errors import EngineHung
from bitlathe.board.measurement import Measurement
from bitlathe.flow.boards import latency
from bitlathe.flow.boards.latency import BoardLatency, board_latency, random_vectors
from bitlathe.flow.errors import CheckFailed, UsageError
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.target.config import find_target
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.rtl_tb.random_networks.graphs import random_graph
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

needs.package("pynq")
BOARD = "pynq-z2"
SIMULATED = f"sim://{BOARD}"


@pytest.fixture(scope="module")
def two() -> Iterator[BoardLatency]:
    """Two simulated boards."""
    with board_latency([SIMULATED, SIMULATED]) as boards:
        yield boards


@pytest.fixture(scope="module")
def graphs() -> list[Graph]:
    """Candidates of different cost."""
    widths = ((8, 8, 8), (16, 8, 8), (8, 16, 16), (16, 16, 16))
    return [random_resnet(np.random.default_rng(3), blocks=1, channels=width) for width in widths]


def test_two_boards_give_the_cycles_that_one_gives(two: BoardLatency, graphs: list[Graph]) -> None:
    with board_latency([SIMULATED]) as one:
        alone = [one.measure(graph).cycles for graph in graphs]
    assert [each.cycles for each in two.measure_all(graphs)] == alone
    assert len(set(alone)) == len(graphs)


def test_cycles_are_near_the_cycle_models(two: BoardLatency, graphs: list[Graph]) -> None:
    measured, board = two.measure(graphs[-1]), find_target(BOARD)
    program = compile_for(graphs[-1], board).program
    predicted = predict(program, DdrModel.of(board), weights_resident=True).cycles
    assert (measured.predicted_cycles, measured.mismatches) == (predicted, 0)
    assert abs(measured.cycles - predicted) <= 0.01 * predicted
    assert measured.latency_ms == measured.cycles / (1000 * measured.clock_mhz)


def test_the_vectors_hold_a_graphs_own_input_codes() -> None:
    graphs = [random_graph(np.random.default_rng(seed)) for seed in range(20)]
    assert {(graph.input.format.signed, graph.input.format.bits) for graph in graphs} >= {
        (False, 8),
        (True, 8),
    }
    for graph in graphs:
        expected = random_inputs(np.random.default_rng(latency.SEED), graph, latency.IMAGES)
        assert np.array_equal(random_vectors(graph).codes(graph.input.format), expected)


class _Answers:
    """In a pool's place: gives or raises what it was told."""

    size = 1

    def __init__(self, answer: Measurement | Exception) -> None:
        self._answer = answer

    def measure(self, bundle: object, images: int) -> Measurement:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_wrong_integers_are_no_latency(two: BoardLatency, graphs: list[Graph]) -> None:
    wrong = replace(two.measure(graphs[0]), mismatches=3)
    boards = BoardLatency(_Answers(wrong), two.target, two._overlay)  # type: ignore[arg-type]
    with pytest.raises(CheckFailed, match="3 output integers differ from the reference's, so its cycles"):
        boards.measure(graphs[0])


def test_a_run_that_fails_says_why(two: BoardLatency, graphs: list[Graph]) -> None:
    boards = BoardLatency(_Answers(EngineHung("engine hangs")), two.target, two._overlay)  # type: ignore[arg-type]
    with pytest.raises(CheckFailed, match="engine hangs"):
        boards.measure_all(graphs[:1])


def test_boards_that_differ_are_no_pool() -> None:
    with (
        pytest.raises(UsageError, match="sim://zcu104 is zcu104; boards that share work must be equal"),
        board_latency([SIMULATED, "sim://zcu104"]),
    ):
        pass


def test_no_board_an_unknown_one_and_one_without_a_token_are_named(tmp_path: Path) -> None:
    for addresses, message in (
        ([], "give `boards`"),
        (["sim://pynq-z9"], "no simulated board 'pynq-z9'"),
        (["192.0.2.1"], "asks for a token; give its file with `token_file`"),
    ):
        with pytest.raises(ToolError, match=message), board_latency(addresses):
            pass


def test_real_and_simulated_boards_take_different_overlays() -> None:
    with pytest.raises(UsageError, match="give one kind"):
        latency.overlay_of([SIMULATED, "board"], find_target(BOARD), None)
    with pytest.raises(UsageError, match="`overlay`: name the folder"):
        latency.overlay_of(["board"], find_target(BOARD), None)
