"""Every board of the package: its engine fits and computes the reference's integers, at its clock."""

from __future__ import annotations

import warnings

import needs
import numpy as np
import pytest
from board_bundles import BOARDS, bundle_folder

from bitlathe.board.bundle import Bundle, open_bundle
from bitlathe.board.errors import ClockError, EngineFault, EngineHung
from bitlathe.board.overlay import LoadedOverlay
from bitlathe.board.runner import RunSettings, measure
from bitlathe.board.sim.boards import board_model
from bitlathe.board.sim.settings import Faults, MemoryChannel, SimulationSettings
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.functional.run import FunctionalEngine
from bitlathe.hls.target.area import check_fits
from bitlathe.hls.target.board_files import PACKAGED
from bitlathe.hls.target.config import TARGETS, Target, reference_targets
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

needs.package("pynq")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that x86 is no Zynq
    from bitlathe.board.sim.device import activate

pytestmark = [
    pytest.mark.usefixtures("without_a_device"),
    pytest.mark.filterwarnings(
        "ignore:Setting frequency to the closest", "ignore::DeprecationWarning", "ignore::ResourceWarning"
    ),
]
ALL = tuple(path.stem for path in sorted(PACKAGED.glob("*.toml")))
MODEL_ERROR = 0.01  # of the cycle model, relative
QUICK = RunSettings(deadline_factor=1, deadline_floor=30_000)


def _shared(name: str) -> bool:
    """Whether a reference board has the same engine, whose simulator other tests compile anyway."""
    return TARGETS[name].engine in {target.engine for target in reference_targets().values()}


OTHERS = tuple(name for name in ALL if name not in BOARDS and _shared(name))
DISTINCT = tuple({TARGETS[name].engine: TARGETS[name] for name in ALL if not _shared(name)}.values())


def test_the_reference_boards_are_those_of_the_suite() -> None:
    assert tuple(reference_targets()) == BOARDS


@pytest.mark.parametrize("name", ALL)
def test_a_boards_engine_fits_its_part_and_its_clock_is_a_fraction_of_its_pll(name: str) -> None:
    board = TARGETS[name]
    check_fits(board)
    assert board.clock_pll_mhz is not None  # which BoardFacts holds the clock to
    model = board_model(name)
    assert model.registers != model.interrupts and model.memory_bytes <= board.ddr_window_mib << 20


def test_boards_of_one_part_state_it_once() -> None:
    for path in PACKAGED.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        assert "\nlut" not in text and "[engine]" not in text


@pytest.mark.parametrize("target", DISTINCT, ids=lambda target: target.name)
def test_an_engine_of_its_own_computes_the_references_integers(
    target: Target, rng: np.random.Generator
) -> None:
    graph = random_resnet(rng, blocks=1)
    codes = random_inputs(rng, graph, 1)
    network = compile_for(graph, target)
    (made,) = FunctionalEngine.of(network).run(network.input_layout.pack(codes), rng)
    assert np.array_equal(network.output_layouts[0].unpack(made[np.newaxis]), evaluate(graph, codes))


@pytest.mark.parametrize("name", OTHERS)
def test_a_board_of_a_known_engine_runs_a_bundle_at_its_clock(name: str) -> None:
    activate(name)
    check_measured(open_bundle(bundle_folder(name)), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_a_board_runs_resnet_8_survives_faults_and_keeps_its_clock(name: str) -> None:
    bundle = open_bundle(bundle_folder(name))
    device = activate(name)
    check_measured(bundle, name)
    plain, broken = device.engine.counts()
    assert not any(broken.values()) and plain["outstanding"] == 0
    activate(name, SimulationSettings(faults=Faults(refuse_reads=(0, 64 << 20))))
    with pytest.raises(EngineFault, match="AXI_READ"):
        measure(bundle, 1)
    activate(name, SimulationSettings(faults=Faults(hang=(MemoryChannel.R, 900), hang_loads=1)))
    with pytest.raises(EngineHung):
        measure(bundle, 1, settings=QUICK)
    assert measure(bundle, 1).mismatches == 0  # loaded again
    activate(name, SimulationSettings(faults=Faults(clock_stuck=True)))
    if TARGETS[name].clock_mhz < 100:
        with pytest.raises(ClockError):
            LoadedOverlay(bundle)
    else:
        assert LoadedOverlay(bundle).clock_mhz == pytest.approx(100, rel=1e-3)  # as it was booted


def check_measured(bundle: Bundle, name: str) -> None:
    measured = measure(bundle, 2)
    assert (measured.board, measured.images, measured.mismatches) == (name, 2, 0)
    assert measured.clock_mhz == pytest.approx(TARGETS[name].clock_mhz, rel=1e-6)
    assert abs(measured.cycles / measured.predicted_cycles - 1) <= MODEL_ERROR
