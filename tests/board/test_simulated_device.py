"""The unmodified runner, through pynq's own API, gives the reference's integers on the simulated boards."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import needs
import numpy as np
import pytest
from board_bundles import BOARDS, bundle_folder

from bitlathe.board.bundle import EXPECTED, IMAGES, Bundle, open_bundle
from bitlathe.board.errors import BundleError, ClockError, DeviceError, EngineFault, EngineHung
from bitlathe.board.overlay import LoadedOverlay, import_pynq
from bitlathe.board.runner import Runner, RunSettings, measure
from bitlathe.board.sim.boards import BoardModel, board_model
from bitlathe.board.sim.options import add_options, settings_of
from bitlathe.board.sim.settings import Faults, MemoryChannel, MemoryTiming, SimulationSettings

needs.package("pynq")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that x86 is no Zynq
    from pynq.buffer import PynqBuffer

    from bitlathe.board.sim.device import SimulatedDevice, activate

pytestmark = [
    pytest.mark.usefixtures("without_a_device"),
    pytest.mark.filterwarnings(
        "ignore:Setting frequency to the closest", "ignore::DeprecationWarning", "ignore::ResourceWarning"
    ),
]
QUICK = RunSettings(deadline_factor=1, deadline_floor=30_000)


@pytest.fixture(params=BOARDS)
def board(request: pytest.FixtureRequest) -> str:
    """Each of the boards."""
    return str(request.param)


@pytest.fixture
def bundle(board: str) -> Bundle:
    """ResNet-8 for the board."""
    return open_bundle(bundle_folder(board))


@pytest.fixture
def z2() -> Bundle:
    """ResNet-8 for the PYNQ-Z2."""
    return open_bundle(bundle_folder("pynq-z2"))


def copied(bundle: Bundle, folder: Path) -> Path:
    return Path(shutil.copytree(bundle.folder, folder / bundle.folder.name))


def broken_rules(device: SimulatedDevice) -> dict[str, int]:
    """Violations of the bus rules, accesses that were never answered among them."""
    plain, broken = device.engine.counts()
    return {name: count for name, count in {**broken, "outstanding": plain["outstanding"]}.items() if count}


# ---- what it must do


@pytest.mark.parametrize("network", ["resnet8", "resnet20"])
def test_a_network_is_bit_exact_and_keeps_the_bus_rules(board: str, network: str) -> None:
    device = activate(board)
    bundle = open_bundle(bundle_folder(board, network))
    measured = measure(bundle, 2)
    assert (measured.images, measured.mismatches) == (2, 0)
    assert broken_rules(device) == {}
    assert measured.simulated and measured.wall_ms is None
    assert measured.cycles <= measured.cycles_first
    assert sum(row.cycles for row in measured.layers) == measured.profiled_cycles
    assert measured.latency_ms == measured.cycles / (1000 * measured.clock_mhz)


def test_outputs_are_returned_as_codes(bundle: Bundle) -> None:
    activate(bundle.manifest.board)
    with Runner(bundle) as runner:
        outcome = runner.run(bundle.array(IMAGES))
        assert np.array_equal(outcome.codes, bundle.array(EXPECTED))
        assert len(outcome.cycles) == len(bundle.array(IMAGES))


def test_equal_jobs_take_equal_cycles_whatever_ran_before(z2: Bundle) -> None:
    device = activate("pynq-z2")
    overlay = LoadedOverlay(z2)
    first = measure(z2, 2, overlay=overlay)
    for idle in (1, 2):  # an even and an odd gap
        device.run(idle)
        assert measure(z2, 2, overlay=overlay) == first
    assert measure(z2, 2, overlay=LoadedOverlay(z2)) == first


def test_an_option_of_the_memory_changes_nothing_else_of_it() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    overlay = MemoryTiming(latency=60, outstanding=4)
    stalls = settings_of(parser.parse_args(["--stall-percent", "30"])).memory_of(overlay)
    assert stalls == MemoryTiming(latency=60, outstanding=4, stall_percent=30)
    latency = settings_of(parser.parse_args(["--latency", "9"])).memory_of(overlay)
    assert latency == MemoryTiming(latency=9, outstanding=4)


def test_stalls_and_latency_change_cycles_and_no_output(z2: Bundle) -> None:
    activate("pynq-z2")
    calm = measure(z2, 2)
    device = activate(
        "pynq-z2", SimulationSettings(memory=MemoryTiming(latency=90, stall_percent=40, seed=3))
    )
    stalled = measure(z2, 2, settings=RunSettings(deadline_factor=50))
    assert stalled.outputs_sha256 == calm.outputs_sha256
    assert stalled.cycles > calm.cycles
    assert broken_rules(device) == {}


def test_the_clock_is_the_fastest_at_or_below_the_closed_one(bundle: Bundle) -> None:
    known = {"pynq-z2": 142.857143, "zcu104": 249.9975}
    closed = bundle.manifest.overlay.clock_mhz
    activate(bundle.manifest.board)
    clock = LoadedOverlay(bundle).clock_mhz
    assert clock == known.get(bundle.manifest.board, clock) and 0.9 * closed < clock <= closed


def with_clocks(registers: dict[int, int]) -> BoardModel:
    """PYNQ-Z2 as another boot image leaves its clocks."""
    model = board_model("pynq-z2")
    clocks = {**model.processor.clock_registers, **registers}
    return replace(model, processor=replace(model.processor, clock_registers=clocks))


def test_another_pll_of_the_boot_image_gives_another_safe_clock(
    z2: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    faster = with_clocks({0xF800_0108: 32 << 12})
    monkeypatch.setattr("bitlathe.board.sim.device.board_model", lambda _: faster)
    activate("pynq-z2")
    assert LoadedOverlay(z2).clock_mhz == pytest.approx(1600 / 12)


def test_buffers_are_given_back(z2: Bundle) -> None:
    device = activate("pynq-z2")
    for _ in range(3):
        measure(z2, 1)
    assert device.default_memory._used == {}


def test_the_register_map_and_the_address_are_the_hwhs(bundle: Bundle) -> None:
    activate(bundle.manifest.board)
    overlay = import_pynq().Overlay(str(bundle.bit), download=False)
    LoadedOverlay(bundle)
    engine = overlay.engine_0
    assert overlay.ip_dict["engine_0"]["phys_addr"] == bundle.manifest.overlay.address
    assert int(engine.register_map.IDENTITY[31:0]) == bundle.manifest.engine.identity
    assert set(overlay.ip_dict["engine_0"]["registers"]) == set(bundle.manifest.engine.registers)


def test_an_interrupt_ends_a_users_own_wait(bundle: Bundle) -> None:
    activate(bundle.manifest.board)
    with Runner(bundle) as runner:
        runner.run(bundle.array(IMAGES)[:1])
        overlay = import_pynq().Overlay(str(bundle.bit), download=False)
        engine, offsets = overlay.engine_0, bundle.manifest.engine.registers
        for register in ("GIE", "IER"):
            engine.write(offsets[register], 1)
        engine.write(offsets["ISR"], engine.read(offsets["ISR"]))
        runs = engine.read(offsets["RUNS"])

        async def start_and_wait() -> None:
            engine.write(offsets["CTRL"], 1)
            await asyncio.wait_for(engine.irq_o.wait(), timeout=60)

        asyncio.run(start_and_wait())
        assert engine.read(offsets["RUNS"]) == runs + 1


def test_a_users_script_runs_as_it_is(bundle: Bundle, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nimport pynq\noverlay = pynq.Overlay(sys.argv[1], download=False)\n"
        "pynq.Bitstream.download(overlay, overlay.parser)\n"
        "buffer = pynq.allocate(16)\nbuffer[:] = 7\nbuffer.flush()\n"
        "print(overlay.engine_0.read(int(sys.argv[2])), pynq.Clocks.fclk0_mhz)\n"
    )
    offset = str(bundle.manifest.engine.registers["IDENTITY"])
    command = [sys.executable, "-W", "ignore", "-m", "bitlathe.board.sim", "--board", bundle.manifest.board]
    done = subprocess.run(
        [*command, str(script), str(bundle.bit), offset], capture_output=True, text=True, check=True
    )
    identity, clock = done.stdout.split()
    assert int(identity) == bundle.manifest.engine.identity
    assert float(clock) == pytest.approx(100, rel=1e-3)


# ---- what must fail


def test_a_forgotten_flush_fails(z2: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    activate("pynq-z2")
    monkeypatch.setattr(PynqBuffer, "flush", lambda self: None)
    with pytest.raises(EngineFault, match="engine stopped with BAD_HEADER at no descriptor"):
        measure(z2, 1)


def test_a_forgotten_flush_of_the_input_gives_the_old_inputs_integers(
    z2: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    activate("pynq-z2")
    with Runner(z2) as runner:
        sound = runner.run(z2.array(IMAGES)[:1]).codes
        monkeypatch.setattr(PynqBuffer, "flush", lambda self: None)
        assert np.array_equal(runner.run(z2.array(IMAGES)[1:2]).codes, sound)  # of the image before
    assert not np.array_equal(sound, z2.array(EXPECTED)[1:2])


def test_a_forgotten_invalidate_gives_other_integers(z2: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    activate("pynq-z2")
    with Runner(z2) as runner:
        monkeypatch.setattr(PynqBuffer, "invalidate", lambda self: None)
        codes = runner.run(z2.array(IMAGES)[:1]).codes
    assert (codes == np.int32(np.int8(0xA5 - 256))).all()  # what the runner left there


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (Faults(refuse_reads=(0, 1 << 26)), "AXI_READ at no descriptor"),
        (Faults(refuse_writes=(0, 1 << 26)), r"AXI_WRITE at descriptor \d+ \(STORE of "),
    ],
)
def test_a_refused_access_stops_the_run_and_names_its_place(z2: Bundle, faults: Faults, message: str) -> None:
    activate("pynq-z2", SimulationSettings(faults=faults))
    with pytest.raises(EngineFault, match=f"engine stopped with {message}"):
        measure(z2, 1)


def test_the_engine_works_again_after_a_refused_access(z2: Bundle) -> None:
    device = activate("pynq-z2")
    with Runner(z2) as runner:
        sound = runner.run(z2.array(IMAGES)[:1]).codes
        device.engine.inject(Faults(refuse_reads=(0, 1 << 26)), device.default_memory.base)
        with pytest.raises(EngineFault, match="AXI_READ"):
            runner.run(z2.array(IMAGES)[:1])
        device.engine.heal()
        assert np.array_equal(runner.run(z2.array(IMAGES)[:1]).codes, sound)


@pytest.mark.parametrize("channel", [MemoryChannel.AR, MemoryChannel.R, MemoryChannel.B])
def test_a_hanging_memory_ends_in_a_named_descriptor_and_a_new_load_works(
    bundle: Bundle, channel: MemoryChannel
) -> None:
    after = 0 if channel is MemoryChannel.B else 400
    faults = Faults(hang=(channel, after), hang_loads=1)
    activate(bundle.manifest.board, SimulationSettings(faults=faults))
    with pytest.raises(
        EngineHung, match=r"engine hangs: not done after \d+ cycles, its array at descriptor \d+ \("
    ):
        measure(bundle, 1, settings=QUICK)
    assert measure(bundle, 1).mismatches == 0


def test_a_run_past_its_deadline_is_aborted_and_the_next_one_works(bundle: Bundle) -> None:
    device = activate(bundle.manifest.board)
    runs_late = replace(QUICK, deadline_factor=0.0, deadline_floor=3_000)
    with Runner(bundle, runs_late) as runner:
        with pytest.raises(EngineFault, match=r"engine stopped: not done after 3000 cycles, its array at"):
            runner.run(bundle.array(IMAGES)[:1])
        assert broken_rules(device) == {}  # nothing outstanding either
        runner._settings = RunSettings()
        outcome = runner.run(bundle.array(IMAGES)[:1])
    assert np.array_equal(outcome.codes, bundle.array(EXPECTED)[:1])
    assert device.loads == 1


def test_a_run_that_is_broken_off_is_aborted_before_its_memory_is_given_back(
    z2: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = activate("pynq-z2")
    monkeypatch.setattr(Runner, "_wait", lambda *_: pytest.fail("broken off"))
    with pytest.raises(pytest.fail.Exception, match="broken off"), Runner(z2) as runner:
        runner.run(z2.array(IMAGES)[:1])
    assert broken_rules(device) == {} and device.loads == 1
    assert device.default_memory._used == {}


def test_a_clock_that_cannot_be_set_is_refused(z2: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = with_clocks({0xF800_0170: 5 << 8 | 1 << 20})
    monkeypatch.setattr("bitlathe.board.sim.device.board_model", lambda _: stuck)
    activate("pynq-z2", SimulationSettings(faults=Faults(clock_stuck=True)))
    with pytest.raises(
        ClockError, match=r"reads 200 MHz whatever is asked for, the design works up to 142\.857 MHz"
    ):
        measure(z2, 1)


def test_another_engine_in_the_overlay_is_refused(z2: Bundle) -> None:
    activate("pynq-z2", SimulationSettings(faults=Faults(identity=0x1234)))
    with pytest.raises(BundleError, match=r"the overlay's engine is 0x00001234 of version \d+, the program"):
        measure(z2, 1)


def test_another_board_is_refused(z2: Bundle) -> None:
    activate("zcu104")
    with pytest.raises(
        DeviceError, match=r"this is zcu104 \(aarch64\), the bundle is for pynq-z2 \(armv7l\)"
    ):
        measure(z2, 1)


def test_a_missing_hwh_is_named(z2: Bundle, tmp_path: Path) -> None:
    activate("pynq-z2")
    folder = copied(z2, tmp_path)
    bundle = open_bundle(folder)
    (folder / bundle.manifest.overlay.hwh).unlink()
    with pytest.raises(BundleError, match=r"\.hwh: is missing; copy the bundle again"):
        measure(bundle, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace("0x43c00000", "0x43d00000"),
            "has engine_0 at 0x43d00000, the manifest says",
        ),
        (
            lambda text: text.replace("engine_0", "other_0"),
            "has engine_0 nowhere, the manifest says 0x43c00000",
        ),
        (lambda text: text[:300], "cannot be read"),
    ],
)
def test_a_hwh_that_says_otherwise_is_refused(
    z2: Bundle, tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    activate("pynq-z2")
    folder = copied(z2, tmp_path)
    bundle = open_bundle(folder)
    path = folder / bundle.manifest.overlay.hwh
    path.write_text(change(path.read_text()))
    with pytest.raises((BundleError, DeviceError), match=message):
        measure(bundle, 1)


def test_a_real_bitstream_on_a_simulated_board_is_refused(z2: Bundle, tmp_path: Path) -> None:
    activate("pynq-z2")
    folder = copied(z2, tmp_path)
    bundle = open_bundle(folder)
    bundle.bit.write_bytes(b"\x00\x09\x0f\xf0")
    with pytest.raises(DeviceError, match="is a real bitstream, this is a simulated board"):
        measure(bundle, 1)


def test_full_memory_is_named_and_what_was_taken_is_given_back(z2: Bundle) -> None:
    device = activate("pynq-z2", SimulationSettings(memory_bytes=64 << 10))
    with pytest.raises(DeviceError, match=r"no \d+ bytes of contiguous memory \(RuntimeError: allocation of"):
        measure(z2, 1)
    assert device.default_memory._used == {}


def test_no_device_is_named_with_what_to_do(z2: Bundle) -> None:
    with pytest.raises(DeviceError, match=r"pynq finds no device .* become root in pynq's environment"):
        measure(z2, 1)


def test_missing_rights_are_named_with_what_to_do(z2: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Root permissions required.")

    activate("pynq-z2")
    monkeypatch.setattr(SimulatedDevice, "mmap", refuse)
    with pytest.raises(
        DeviceError, match=r"cannot be loaded \(OSError: Root permissions required\.\); on a board"
    ):
        measure(z2, 1)


def test_a_missing_pynq_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(DeviceError, match=r"pynq is missing .*pip install 'bitlathe\[board\]'"):
        import_pynq()


@pytest.mark.parametrize("images", [0, 4])
def test_more_images_than_the_bundle_has_are_refused(z2: Bundle, images: int) -> None:
    with pytest.raises(BundleError, match=f"{images} images asked for, the bundle has 3"):
        measure(z2, images)


def test_images_of_another_shape_are_refused(z2: Bundle) -> None:
    activate("pynq-z2")
    with Runner(z2) as runner, pytest.raises(BundleError, match=r"give uint8 \(N, 32, 32, 3\)"):
        runner.run(np.zeros((1, 3, 32, 32), np.uint8))


def test_an_address_that_nothing_answers_is_an_error_not_a_zero(z2: Bundle) -> None:
    device = activate("pynq-z2")
    with pytest.raises(RuntimeError, match="bus error: nothing answers a read of 0x50000000"):
        device.bus_read(0x5000_0000)
