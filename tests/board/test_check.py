"""A board is looked at line by line, and a fault of it is named by the first line that fails."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import needs
import pytest
from board_bundles import BOARDS, bundle_folder

from bitlathe.board.bundle import PROGRAM, Bundle, open_bundle
from bitlathe.board.check import CHECKS, LOADING, check_board
from bitlathe.board.check_report import CheckReport
from bitlathe.board.errors import ClockError
from bitlathe.board.fields import JsonFields
from bitlathe.board.local import simulated_agent
from bitlathe.board.runner import measure
from bitlathe.board.sim.settings import Faults, MemoryTiming, SimulationSettings

needs.package("pynq")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that x86 is no Zynq
    from bitlathe.board.sim.device import activate
    from bitlathe.board.sim.memory import PAGE_BYTES, SMALLEST_BYTES

pytestmark = [
    pytest.mark.usefixtures("without_a_device"),
    pytest.mark.filterwarnings(
        "ignore:Setting frequency to the closest", "ignore::DeprecationWarning", "ignore::ResourceWarning"
    ),
]
WEIGHTS_START = SMALLEST_BYTES + PAGE_BYTES  # of the second buffer, behind a program of a page or two
FAULTS = {
    "overlay": SimulationSettings(faults=Faults(identity=5)),
    "clock": SimulationSettings(faults=Faults(crystal=2 / 3)),
    "coherency, to the engine": SimulationSettings(faults=Faults(lost_flushes=8)),
    "coherency, from the engine": SimulationSettings(faults=Faults(lost_invalidates=0)),
    "reset": SimulationSettings(faults=Faults(keeps_state=True)),
    "memory's latency": SimulationSettings(memory=MemoryTiming(latency=400)),
    "memory's bandwidth": SimulationSettings(memory=MemoryTiming(busy=0.2)),
    "interrupt": SimulationSettings(faults=Faults(no_interrupt=True)),
    "abort": SimulationSettings(faults=Faults(deaf_to_abort=True)),
    "images": SimulationSettings(faults=Faults(wrong_bit=WEIGHTS_START + 100)),
}


@pytest.fixture
def z2() -> Bundle:
    """ResNet-8 for the PYNQ-Z2."""
    return open_bundle(bundle_folder("pynq-z2"))


@pytest.mark.parametrize("board", BOARDS)
def test_a_sound_board_passes_every_line(board: str) -> None:
    activate(board)
    bundle = open_bundle(bundle_folder(board))
    report = check_board(bundle)
    assert [(line.name, line.says) for line in report.failed] == []
    assert [line.name for line in report.lines] == [LOADING, *CHECKS]
    assert report.labels is not None and report.labels.overlay in bundle.manifest.encode().decode()
    assert CheckReport.from_json(JsonFields.parse(json.dumps(report.to_json()), "report")) == report
    measured = measure(bundle)
    assert [row[-1] for row in report.differences(measured)] == [*["+0.00 %"] * 3, "equal"]


@pytest.mark.parametrize("name", FAULTS)
def test_the_first_line_that_fails_names_the_fault(name: str, z2: Bundle) -> None:
    assert len(z2.bytes(PROGRAM)) <= SMALLEST_BYTES
    activate("pynq-z2", FAULTS[name])
    report = check_board(z2, 3)
    assert report.failed[0].name == name, report.failed


def test_every_line_has_a_fault() -> None:
    assert set(FAULTS) == {LOADING, *CHECKS}


def test_no_latency_is_given_where_counter_and_clock_disagree(z2: Bundle) -> None:
    activate("pynq-z2", SimulationSettings(faults=Faults(crystal=0.985)))
    with pytest.raises(ClockError, match=r"reads 142\.857 MHz, but the engine counts 140\.7 million"):
        measure(z2, 1)
    activate("pynq-z2", SimulationSettings(faults=Faults(crystal=0.995)))
    assert measure(z2, 1).clock_counted_mhz == pytest.approx(142.14, rel=1e-3)


def test_a_result_says_where_it_is_from(z2: Bundle) -> None:
    activate("pynq-z2")
    measured = measure(z2, 1)
    assert (measured.image, measured.bundle) == ("simulated", z2.manifest.digest)
    assert measured.overlay == z2.manifest.files[z2.manifest.overlay.bit].sha256
    assert measured.clock_asked_mhz == measured.clock_closed_mhz == pytest.approx(measured.clock_mhz)


def test_an_agent_looks_at_its_board(z2: Bundle) -> None:
    with simulated_agent("pynq-z2") as agent:
        report = agent.check(z2, 2)
    assert (report.failed, report.images, report.bundle) == ((), 2, z2.manifest.name)


def test_without_pynqs_environment_a_board_is_told_on_the_board_itself(z2: Bundle, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bitlathe.board", "--check", z2.folder]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "bitlathe: overlay: pynq finds no device" in done.stderr
    assert not json.loads(done.stdout)["lines"][0]["passed"]
