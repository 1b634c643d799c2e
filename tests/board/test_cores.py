"""The one runner drives every core that an overlay may hold: RTL, the engine by HLS, one network's kernel."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import needs
import numpy as np
import pytest
from board_bundles import bundle_folder

from bitlathe.board.bundle import Bundle, open_bundle
from bitlathe.board.errors import BundleError, EngineHung
from bitlathe.board.runner import RunSettings, measure
from bitlathe.board.sim.boards import board_model
from bitlathe.board.sim.hwh import ENGINE, hwh_text
from bitlathe.board.sim.settings import Faults, MemoryChannel, SimulationSettings
from bitlathe.flow.boards.bundle import OverlayFiles, make_bundle, read_overlay, simulated_overlay
from bitlathe.flow.boards.latency import random_vectors
from bitlathe.hls.program.registers import HLS_OFFSETS, KERNEL_OFFSETS, OFFSETS
from bitlathe.hls.target.config import PROGRAM_VERSION, find_target
from bitlathe.hls.tools.scripts import EngineKind
from bitlathe.model.graph.errors import FormatError
from bitlathe.rtl_tb.random_networks.graphs import random_graph
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

needs.package("pynq")
from bitlathe.board.sim.device import activate

BOARD = find_target("pynq-z2")
SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture
def by_hls(tmp_path: Path) -> Bundle:
    """A bundle for the engine by HLS; the engine in SystemVerilog answers, which has all its registers."""
    overlay = replace(simulated_overlay(BOARD), kind=EngineKind.HLS)
    graph = random_resnet(np.random.default_rng(5), blocks=1, channels=(8, 8, 8))
    return make_bundle(graph, BOARD, overlay, random_vectors(graph), tmp_path)


def test_an_engine_by_hls_is_measured_without_what_it_lacks(by_hls: Bundle) -> None:
    assert set(OFFSETS) - set(by_hls.manifest.engine.registers) == set(OFFSETS) - set(HLS_OFFSETS) != set()
    activate("pynq-z2")
    measured = measure(by_hls)
    assert (measured.mismatches, measured.layers, measured.profiled_cycles) == (0, (), 0)
    predicted = measured.predicted_cycles
    assert abs(measured.cycles - predicted) <= 0.01 * predicted


def test_a_hang_is_noticed_where_no_counter_can_be_read(by_hls: Bundle) -> None:
    activate("pynq-z2", SimulationSettings(faults=Faults(hang=(MemoryChannel.R, 400))))
    with pytest.raises(EngineHung, match=r"not done after 0\.5 s \(CTRL 0x1, ERROR 0x0\); load the bundle"):
        measure(by_hls, settings=RunSettings(deadline_factor=0.0, deadline_floor=1, deadline_seconds=0.5))


@pytest.mark.parametrize(
    ("name", "begins"),
    [("n" * 73, "n" * 48), ("-my network (2)", "_my_network__2_"), ("caf\u00e9", "caf_"), ("..a", "_.a")],
)
def test_a_name_that_no_bundle_takes_is_shortened_and_stays_its_own(
    tmp_path: Path, name: str, begins: str
) -> None:
    graph = replace(random_resnet(np.random.default_rng(5), blocks=1, channels=(8, 8, 8)), name="n" * 73)
    vectors, overlay = random_vectors(graph), simulated_overlay(BOARD)

    def named(name: str | None) -> str:
        return make_bundle(graph, BOARD, overlay, vectors, tmp_path, name=name).manifest.network

    assert named(name) == named(name) != named(f"{name}x")
    assert named(name).rpartition("_")[0] == begins
    assert (named(None), named("candidate")) == (named("n" * 73), "candidate")


def _overlay_folder(folder: Path, **facts: object) -> Path:
    values = {"engine": "rtl", "ip": "engine", "address": 0x4000_0000, "clock_mhz": 142.8, **facts}
    folder.mkdir()
    (folder / "overlay.json").write_text(json.dumps({"identity": BOARD.engine.identity, **values}))
    (folder / "bitlathe.bit").write_bytes(b"\x00\x09")
    (folder / "bitlathe.hwh").write_text("<EDKSYSTEM/>")
    return folder


@pytest.mark.parametrize("kind", EngineKind)
def test_an_overlay_says_which_core_it_holds(tmp_path: Path, kind: EngineKind) -> None:
    found = read_overlay(_overlay_folder(tmp_path / "o", engine=kind.value), BOARD)
    assert (found.kind, found.overlay.clock_mhz, found.overlay.ip) == (kind, 142.8, "engine")


@pytest.mark.parametrize(
    ("facts", "kind", "message"),
    [
        ({"engine": "abacus"}, FormatError, "engine 'abacus' is none of hls, rtl, hls4ml"),
        ({"identity": 1}, FormatError, "holds another engine than pynq-z2's"),
        ({"engine": 3}, BundleError, "engine"),
        ({"ip": "a\nb"}, BundleError, r"overlay: 'a\\nb' cannot be the instance of a core: it must be"),
        ({"clock_mhz": "fast"}, BundleError, r"overlay\.json: field clock_mhz is 'fast', needed a positive"),
    ],
)
def test_an_overlay_whose_facts_do_not_hold_is_refused(
    tmp_path: Path, facts: dict[str, object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_overlay(_overlay_folder(tmp_path / "o", **facts), BOARD)


def test_a_kernel_of_another_network_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    needs.package("hls4ml")
    graph = random_resnet(rng, blocks=1, channels=(8, 8, 8))
    overlay = replace(simulated_overlay(BOARD), kind=EngineKind.HLS4ML, identity=7)
    with pytest.raises(FormatError, match="hls4ml core answers 0x00000007, needed is"):
        make_bundle(graph, BOARD, overlay, random_vectors(graph), tmp_path)


@pytest.mark.slow
def test_a_networks_kernel_is_bit_exact_through_the_same_runner(tmp_path: Path) -> None:
    hls4ml = needs.package("bitlathe.hls.hls4ml")
    graph = _small_network(hls4ml)
    overlay = _kernel_overlay(graph, tmp_path)
    bundle = make_bundle(graph, BOARD, overlay, random_vectors(graph), tmp_path / "bundles")
    assert bundle.manifest.engine.registers == KERNEL_OFFSETS
    activate("pynq-z2")
    measured = measure(bundle)
    assert (measured.mismatches, measured.images, measured.cycles) == (0, 2, 1000)


def _small_network(hls4ml):
    """A random network that hls4ml can express."""
    from bitlathe.model.graph.errors import CapacityError, UnsupportedLayer

    for seed in range(100):
        graph = random_graph(np.random.default_rng(seed), budget=30_000)
        try:
            hls4ml.make_plan(graph, BOARD)
        except (UnsupportedLayer, CapacityError):
            continue
        return graph
    raise AssertionError("hls4ml can express none of them")


def _kernel_overlay(graph, folder: Path) -> OverlayFiles:
    """An overlay of a simulated board that holds the C simulation of the graph's kernel."""
    from bitlathe.hls.hls4ml import make_plan
    from bitlathe.hls.hls4ml.project import csim
    from bitlathe.hls.hls4ml.project.emit import element, identity_of, write

    project, plan, identity = folder / "project", make_plan(graph, BOARD), identity_of(graph)
    write(graph, BOARD, project)
    defines = {
        "INPUT_ELEMENT": element(plan.layers[0].types["result"]),
        "OUTPUT_ELEMENT": element(plan.last.types["result"]),
        "IDENTITY": f"{identity}U",
        "VERSION": f"{PROGRAM_VERSION}U",
        "WEIGHTS_DIR": f'"{project}/firmware/weights"',
    }
    words = [f"-D{name}={value}" for name, value in defines.items()]
    sources = ["firmware/network_kernel.cpp", str(SUPPORT / "kernel_fabric.cpp")]
    command = ["g++", *csim.FLAGS, *words, "-fPIC", "-shared", "-o", "kernel.so", *sources]
    subprocess.run(command, cwd=project, check=True)
    base, library = simulated_overlay(BOARD), (project / "kernel.so").read_bytes()
    stem = f"kernel_{identity:08x}"
    text = base.files[base.overlay.bit].decode().replace(f"{Path(base.overlay.bit).stem}.so", f"{stem}.so")
    return OverlayFiles(
        overlay=replace(base.overlay, bit=f"{stem}.bit", hwh=f"{stem}.hwh", ip=ENGINE),
        files={
            f"{stem}.bit": text.encode(),
            f"{stem}.hwh": hwh_text(board_model("pynq-z2"), KERNEL_OFFSETS),
            f"{stem}.so": library,
        },
        kind=EngineKind.HLS4ML,
        identity=identity,
    )


def test_a_bundle_of_before_still_opens() -> None:
    assert open_bundle(bundle_folder("pynq-z2")).manifest.engine.registers == OFFSETS
