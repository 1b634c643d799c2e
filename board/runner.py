"""The runner: images through a bundle's engine, on a board and on the simulated device alike.

It needs Python 3.10, NumPy and pynq 3.1 or 4.0. Every wait has a deadline, in the engine's own cycles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.bundle import PROGRAM, WEIGHTS, Bundle
from bitlathe.board.codes import BundleLayout
from bitlathe.board.errors import BundleError, EngineFault, EngineHung
from bitlathe.board.manifest import Manifest
from bitlathe.board.measurement import Labels, Measurement, OutputCheck, digest_of, layers_of, steady_cycles
from bitlathe.board.overlay import LoadedOverlay

START, IDLE, ABORT, WEIGHTS_RESIDENT = 1, 4, 1 << 16, 1  # bits of CTRL, and of FLAGS
POISON = 0xA5  # outputs before a run, so that none can pass for a new one
COUNTER_RANGE = 1 << 32
STANDSTILL_SECONDS = 5.0  # after which a counter that does not move means a dead clock
BUFFERS = ("PROGRAM", "WEIGHTS", "INPUT", "OUTPUT", "SCRATCH", "PROFILE")
REST_SECONDS = 1.0  # that an aborted run is given to end: what it has asked of memory is finished first
ABORTED = "ABORTED"  # the error of a run that was ended from outside
LATENCY_RUNS = 2  # of one image, at least: the first also loads the weights

Heard = Callable[[int], None]
CodeArray = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How patient a run is."""

    deadline_factor: float = 8.0  # times the predicted cycles
    deadline_floor: int = 200_000  # cycles
    deadline_seconds: float = 60.0  # where the engine has no counter to read while it runs

    def deadline(self, predicted: int) -> int:
        """Cycles after which a start counts as hung."""
        return min(COUNTER_RANGE // 2, self.deadline_floor + round(self.deadline_factor * predicted))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunOutcome:
    """The results of a run of images."""

    outputs: tuple[NDArray[np.int32], ...]  # codes (N, C, H, W) of each output
    cycles: tuple[int, ...]  # of each image's start; the first of a loaded bundle also loads the weights
    wall_seconds: float  # of all images: packed, run, unpacked

    @property
    def codes(self) -> NDArray[np.int32]:
        """Codes of the one output; BundleError where there are several."""
        if len(self.outputs) > 1:
            raise BundleError(f"the bundle has {len(self.outputs)} outputs; take `outputs`")
        return self.outputs[0]


class Runner:
    """An engine loaded with a bundle. Close it, or use it in a `with`."""

    def __init__(
        self, bundle: Bundle, settings: RunSettings | None = None, overlay: LoadedOverlay | None = None
    ) -> None:
        """Load overlay and program; DeviceError, ClockError or BundleError say why that fails.

        An `overlay` that is loaded already must fit the bundle.
        """
        self.bundle = bundle
        self._settings = settings or RunSettings()
        self._codes = BundleLayout.of(bundle)
        self._buffers: dict[str, Any] = {}
        self._resident = False
        self._busy = False  # a run was started, and its end not seen
        self._overlay = overlay or LoadedOverlay(bundle)
        try:
            self._fill()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the buffers back, once the engine is done with them; no other overlay can be loaded before."""
        if self._busy and not self._abort():
            self._overlay.program_again()  # a run that never ends, a new bitstream ends
            self._busy = False
        for buffer in self._buffers.values():
            buffer.freebuffer()
        self._buffers.clear()

    @property
    def clock_mhz(self) -> float:
        """The fabric's clock as read back."""
        return self._overlay.clock_mhz

    def labels(self) -> Labels:
        """Where results are from; ClockError where the engine's counter contradicts the clock read back."""
        return self._overlay.labels(self.bundle.manifest, self._overlay.check_clock())

    def packed(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bytes (N, input bytes) that the engine reads of images (N, H, W, C)."""
        return self._codes.pack(images)

    @property
    def output_bytes(self) -> NDArray[np.int64]:
        """Which bytes of an image's outputs hold codes."""
        return np.concatenate([places.index for places in self._codes.outputs])

    def run(self, images: NDArray[np.uint8], heard: Heard | None = None) -> RunOutcome:
        """Run images (N, H, W, C), one per start; `heard` is called with how many are done.

        Raises EngineFault, after which the next run works, or EngineHung, after which the bundle must be
        loaded again.
        """
        if not len(images):
            raise BundleError("no images to run; give at least one")
        began = time.monotonic()
        outputs, cycles = [], []
        for number, data in enumerate(self._codes.pack(images), 1):
            outputs.append(self.run_packed(data))
            cycles.append(self._pair("CYCLES"))
            if heard is not None:
                heard(number)
        codes = self._codes.unpack(np.stack(outputs))
        return RunOutcome(outputs=codes, cycles=tuple(cycles), wall_seconds=time.monotonic() - began)

    def profile(self, image: NDArray[np.uint8]) -> tuple[list[list[int]], int] | None:
        """First and last cycle of each descriptor for one image (H, W, C), and the cycles of the whole.

        None for an engine that writes no profile.
        """
        if not self._overlay.has("PROFILE_LO"):
            return None
        profile = self._buffers["PROFILE"]
        self._write_address("PROFILE", profile.physical_address)
        try:
            self.run_packed(self._codes.pack(image[np.newaxis])[0])
        finally:
            self._write_address("PROFILE", 0)
        profile.invalidate()
        words = np.array(profile).view(np.uint32).reshape(len(self.bundle.manifest.descriptors), -1)
        return words[:, :2].tolist(), self._pair("CYCLES")

    # ---- memory

    def _fill(self) -> None:
        manifest = self.bundle.manifest
        given = {
            name: np.frombuffer(self.bundle.bytes(file), np.uint8)
            for name, file in (("PROGRAM", PROGRAM), ("WEIGHTS", WEIGHTS))
            if self._overlay.has(f"{name}_LO")
        }
        sizes = {
            **{name: len(data) for name, data in given.items()},
            "INPUT": manifest.input_stride,
            "OUTPUT": manifest.output_stride,
            "SCRATCH": manifest.scratch_bytes,
            "PROFILE": len(manifest.descriptors) * manifest.engine.word_bytes,
        }
        for name in BUFFERS:  # a buffer each: caches are flushed a whole buffer at a time
            if self._overlay.has(f"{name}_LO"):
                self._buffers[name] = self._overlay.allocate(sizes[name])
        for name, data in given.items():
            self._send(name, data)
        self._write_arguments(sizes)

    def _write_arguments(self, sizes: dict[str, int]) -> None:
        for name, buffer in self._buffers.items():
            self._write_address(name, 0 if name == "PROFILE" else buffer.physical_address)
            if self._overlay.has(f"{name}_BYTES"):
                self._overlay.write(f"{name}_BYTES", sizes[name])
        self._overlay.write("INPUTS", 1)

    def _send(self, name: str, data: NDArray[np.uint8]) -> None:
        buffer = self._buffers[name]
        buffer[: len(data)] = data
        buffer.flush()

    def _write_address(self, name: str, address: int) -> None:
        self._overlay.write(f"{name}_LO", address & 0xFFFF_FFFF)
        self._overlay.write(f"{name}_HI", address >> 32)

    def _pair(self, name: str) -> int:
        return self._overlay.read(f"{name}_LO") | self._overlay.read(f"{name}_HI") << 32

    # ---- one start

    def run_packed(self, data: NDArray[np.uint8], before: int = POISON) -> NDArray[np.uint8]:
        """Output bytes of one packed input, all of which were `before`."""
        output = self._buffers["OUTPUT"]
        output[:] = before
        output.flush()
        self._send("INPUT", data)
        self._start()
        output.invalidate()
        return np.array(output)

    def abort_run(self) -> str | None:
        """Start, and end the run at once: the engine's error, None where it does not end."""
        self._resident, self._busy = False, True
        self._overlay.write("CTRL", START)
        return self._error() if self._abort() else None

    def _start(self) -> None:
        manifest = self.bundle.manifest
        predicted = manifest.predicted_cycles if self._resident else manifest.predicted_cycles_first
        if self._overlay.has("FLAGS"):
            self._overlay.write("FLAGS", WEIGHTS_RESIDENT if self._resident else 0)
        self._resident = False
        self._busy = True
        if self._overlay.has("RUNS"):
            runs = self._overlay.read("RUNS")
            self._overlay.write("CTRL", START)
            self._wait(runs, self._settings.deadline(predicted))
        else:
            self._overlay.write("CTRL", START)
            self._wait_idle(self._settings.deadline(predicted))
        self._busy = False
        if self._overlay.has("ERROR"):
            self._check()
        self._resident = True

    def _wait(self, runs: int, deadline: int) -> None:
        """Wait until the count of completed runs moves; it is sticky, unlike the done bit."""
        began = last = self._overlay.read("CYCLE_COUNTER")
        moved = time.monotonic()
        while self._overlay.read("RUNS") == runs:
            counter = self._overlay.read("CYCLE_COUNTER")
            if counter != last:
                last, moved = counter, time.monotonic()
            is_late = (counter - began) % COUNTER_RANGE > deadline
            stands_still = time.monotonic() - moved > STANDSTILL_SECONDS
            if is_late or stands_still:
                if self._overlay.read("RUNS") != runs:  # this process slept, the engine did not
                    return
                self._stop(f"not done after {deadline} cycles" if is_late else "its clock stands still")
                return

    def _wait_idle(self, deadline: int) -> None:
        """Wait for an engine that has no count of runs and no counter: by the wall clock, patiently."""
        seconds = max(self._settings.deadline_seconds, deadline / (1e6 * self.clock_mhz))
        began = time.monotonic()
        while not self._overlay.read("CTRL") & IDLE:
            is_late = time.monotonic() - began > seconds
            if is_late and not self._overlay.read("CTRL") & IDLE:  # asked again for the same reason
                self._stop(f"not done after {seconds:g} s")
                return

    def _stop(self, why: str) -> None:
        """End a run past its deadline; returns normally if it has finished meanwhile.

        EngineFault where the engine has stopped, EngineHung where it does not.
        """
        place = ""
        if self._overlay.has("EXEC_INDEX"):
            place = f", its array at {self.bundle.manifest.describe(self._overlay.read('EXEC_INDEX'))}"
        if not self._abort():
            said = ", ".join(
                f"{name} {self._overlay.read(name):#x}"
                for name in ("CTRL", "ERROR")
                if self._overlay.has(name)
            )
            raise EngineHung(
                f"engine hangs: {why}{place} ({said}); load the bundle again, and if that hangs too switch "
                "the board off and on"
            )
        if self._overlay.has("ERROR") and self._error() == ABORTED:
            raise EngineFault(
                f"engine stopped: {why}{place}; free the memory from what else uses it, or give RunSettings "
                "a longer deadline"
            )

    def _abort(self) -> bool:
        """Ask the engine to end its run and to drain the bus; whether it is idle before long."""
        own = self._overlay.has("ABORT")
        self._overlay.write(*(("ABORT", 1) if own else ("CTRL", ABORT)))
        began = time.monotonic()
        while not self._overlay.read("CTRL") & IDLE:
            if time.monotonic() - began > REST_SECONDS:
                return False
        if own:
            self._overlay.write("ABORT", 0)
        self._busy = False
        return True

    def _error(self) -> str:
        """Name of the last run's error."""
        return self.bundle.manifest.error_name(self._overlay.read("ERROR"))

    def _check(self) -> None:
        if self._overlay.read("ERROR"):
            place = self.bundle.manifest.describe(self._overlay.read("ERROR_INDEX"))
            raise EngineFault(
                f"engine stopped with {self._error()} at {place}; the memory refused an access, or the "
                "program is damaged: load the bundle again"
            )


def measure(
    bundle: Bundle,
    images: int | None = None,
    *,
    settings: RunSettings | None = None,
    overlay: LoadedOverlay | None = None,
    heard: Heard | None = None,
) -> Measurement:
    """Run the bundle's first `images` test images (None: all), compare every output, measure.

    Raises what `Runner` and its `run` raise. Differing outputs are counted, not raised.
    """
    pictures, labels, expected = bundle.test_images(images)
    with Runner(bundle, settings, overlay) as runner:
        outcome = runner.run(_at_least(pictures, LATENCY_RUNS), heard)
        profile = runner.profile(pictures[0])
        outputs = [codes[: len(pictures)] for codes in outcome.outputs]
        checks = _checks(bundle.manifest, outputs, expected)
        cycles = steady_cycles(outcome.cycles)
        manifest = bundle.manifest
        return Measurement(
            **asdict(runner.labels()),
            images=len(pictures),
            mismatches=sum(check.mismatches for check in checks),
            correct=_correct(outputs[manifest.judged], labels),
            cycles=cycles,
            cycles_first=outcome.cycles[0],
            predicted_cycles=manifest.predicted_cycles,
            latency_ms=cycles / (1000 * runner.clock_mhz),
            wall_ms=None
            if manifest.overlay.is_simulation
            else 1000 * outcome.wall_seconds / len(outcome.cycles),
            layers=layers_of(manifest, *profile) if profile else (),
            profiled_cycles=profile[1] if profile else 0,
            outputs_sha256=digest_of(outputs),
            outputs=checks,
        )


def _checks(
    manifest: Manifest, outputs: Sequence[CodeArray], expected: Sequence[CodeArray]
) -> tuple[OutputCheck, ...]:
    return tuple(
        OutputCheck(name=entry.name, mismatches=int((made != wanted).sum()))
        for entry, made, wanted in zip(manifest.outputs, outputs, expected, strict=True)
    )


def _correct(codes: CodeArray, labels: CodeArray) -> int | None:
    """Images whose largest output is their label's; None where they have no label."""
    if (labels < 0).any():
        return None
    return int((codes.reshape(len(codes), -1).argmax(axis=1) == labels).sum())


def _at_least(pictures: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """The pictures, the last one again where there are fewer than `count`."""
    missing = max(0, count - len(pictures))
    return np.concatenate([pictures, *[pictures[-1:]] * missing])
