"""What a simulation cannot show of a board, line by line: `check_board(bundle)`.

A line that fails says what it found and how to go on. Each line rests on those before it: where several
fail, the first names the cause. All is measured by the engine's own counters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.bundle import PROGRAM, Bundle
from bitlathe.board.check_report import CheckLine, CheckReport, Figures
from bitlathe.board.clock import COUNT_TOLERANCE, disagreement
from bitlathe.board.errors import BoardError, BundleError, EngineHung
from bitlathe.board.measurement import digest_of, steady_cycles
from bitlathe.board.overlay import LoadedOverlay
from bitlathe.board.runner import ABORTED, IDLE, Heard, Runner, RunSettings

ROUNDS = 6  # of two images in turn
ABORTS = 5  # tries: a run may end before it is aborted
INTERRUPT_SECONDS = 2.0
SLOWEST = 0.8  # share of the assumed bandwidth that memory must reach
LATEST = 2.0  # times the assumed latency that memory may take
PATTERNS = 0xA5, 0x5A  # of output buffers before a run
ENOUGH_WORDS = 256  # of a block that bandwidth is measured by
SLOWER = ": slower than the cycle model assumes; set ddr_latency and ddr_busy in the board's file"
BATCH = 256  # images whose outputs are held at a time

Bytes = NDArray[np.uint8]
Finding = tuple[bool, str, Figures]  # whether all is well, in words, in figures


@dataclass(slots=True, kw_only=True, eq=False)
class _Subject:
    """What is looked at, and what the lines leave for the report."""

    bundle: Bundle
    overlay: LoadedOverlay
    settings: RunSettings | None
    pictures: Bytes
    expected: Sequence[NDArray[np.integer[Any]]]
    heard: Heard | None
    cycles: tuple[int, ...] = ()  # of each image, once they have run
    outputs_sha256: str = ""
    counted_mhz: float | None = None

    def runner(self) -> Runner:
        return Runner(self.bundle, self.settings, self.overlay)

    def wrong(self, outputs: Sequence[NDArray[np.integer[Any]]], first: int = 0) -> int:
        """Integers that differ from those expected of the images from `first` on."""
        pairs = zip(outputs, self.expected, strict=True)
        return sum(int((made != wanted[first : first + len(made)]).sum()) for made, wanted in pairs)


def check_board(
    bundle: Bundle,
    images: int | None = None,
    *,
    settings: RunSettings | None = None,
    heard: Heard | None = None,
) -> CheckReport:
    """Look at the board that this runs on, with a bundle's first `images` test images (None: all).

    BundleError for a bundle whose images do not fit it; whatever else is wrong is a line of the report.
    """
    pictures, _, expected = bundle.test_images(images)
    try:
        overlay = LoadedOverlay(bundle, checks_clock=False)
    except BoardError as error:
        first = CheckLine(name=LOADING, passed=False, says=str(error))
        others = (CheckLine(name=name, passed=False, says="not run: no overlay") for name in CHECKS)
        return _report(bundle, None, (first, *others))
    subject = _Subject(
        bundle=bundle,
        overlay=overlay,
        settings=settings,
        pictures=pictures,
        expected=expected,
        heard=heard,
    )
    engine = bundle.manifest.engine
    loaded = f"identity {engine.identity:#010x} of version {engine.version}"
    lines = [CheckLine(name=LOADING, passed=True, says=loaded)]
    lines += [_line(name, check, subject) for name, check in CHECKS.items()]
    return _report(bundle, subject, tuple(lines))


def _report(bundle: Bundle, subject: _Subject | None, lines: tuple[CheckLine, ...]) -> CheckReport:
    manifest, cycles = bundle.manifest, subject.cycles if subject else ()
    return CheckReport(
        bundle=manifest.name,
        labels=subject.overlay.labels(manifest, subject.counted_mhz) if subject else None,
        lines=lines,
        images=len(cycles),
        cycles=steady_cycles(cycles) if cycles else 0,
        cycles_first=cycles[0] if cycles else 0,
        predicted_cycles=manifest.predicted_cycles,
        outputs_sha256=subject.outputs_sha256 if subject else "",
    )


def _line(name: str, check: Callable[[_Subject], Finding], subject: _Subject) -> CheckLine:
    try:
        passed, says, figures = check(subject)
    except BoardError as error:
        if isinstance(error, EngineHung):
            subject.overlay.program_again()
        return CheckLine(name=name, passed=False, says=str(error))
    return CheckLine(name=name, passed=passed, says=says, figures=figures)


def _reset(subject: _Subject) -> Finding:
    """An engine that has run begins from nothing when its bitstream is written again."""
    overlay = subject.overlay
    with subject.runner() as runner:
        runner.run(subject.pictures[:1])
    overlay.program_again()  # without buffers, as XRT wants it
    names = [name for name in ("RUNS", "ERROR") if overlay.has(name)]
    found = {name: overlay.read(name) for name in names} | {"idle": int(bool(overlay.read("CTRL") & IDLE))}
    clean = {**dict.fromkeys(names, 0), "idle": 1}
    said = ", ".join(f"{name} {value}" for name, value in found.items())
    mend = (
        ""
        if found == clean
        else "; the fabric's reset does not reach the engine: look at its wiring in the design"
    )
    return found == clean, f"after the bitstream is written again: {said}{mend}", found


def _clock(subject: _Subject) -> Finding:
    overlay = subject.overlay
    subject.counted_mhz = counted = overlay.count_clock()
    figures: Figures = {"asked_mhz": overlay.clock_asked_mhz, "read_mhz": overlay.clock_mhz}
    if counted is None:
        return True, f"reads {overlay.clock_mhz:g} MHz; the engine has no counter to compare it with", figures
    off = disagreement(overlay.clock_mhz, counted)
    says = f"reads {overlay.clock_mhz:g} MHz, the engine counts {counted:.2f}: {100 * off:.2f} % apart"
    if off > COUNT_TOLERANCE:
        says += "; the boot image uses another crystal or PLL than pynq assumes"
    return off <= COUNT_TOLERANCE, says, {**figures, "counted_mhz": counted}


def _from_engine(subject: _Subject) -> Finding:
    """Bytes that keep the pattern of the processor's copy, whatever it was, were never brought back."""
    with subject.runner() as runner:
        data = runner.packed(subject.pictures[:1])[0]
        made = [runner.run_packed(data, pattern) for pattern in PATTERNS]
        places = runner.output_bytes
    kept = (made[0][places] == PATTERNS[0]) & (made[1][places] == PATTERNS[1])
    stale = int(kept.sum())
    says = f"{stale:,} of {len(places):,} output bytes are not what the engine wrote"
    mend = "; the processor's cache is not invalidated: look at pynq's driver for buffers" if stale else ""
    return not stale, says + mend, {"stale_bytes": stale}


def _to_engine(subject: _Subject) -> Finding:
    """Of two images in turn, one that gives the other's outputs was never read by the engine."""
    other = _unlike_the_first(subject.expected)
    if other is None:
        return False, "not shown: all images give equal outputs; make the bundle with more images", {}
    pair, stale = [0, other], 0
    with subject.runner() as runner:
        for turn in range(2 * ROUNDS):
            number, before = pair[turn % 2], pair[1 - turn % 2]
            outputs = runner.run(subject.pictures[number : number + 1]).outputs
            stale += bool(turn) and _equals(outputs, subject.expected, before)
    says = f"{stale} of {2 * ROUNDS} runs gave the outputs of the image before"
    mend = "; the processor's cache is not flushed: look at pynq's driver for buffers" if stale else ""
    return not stale, says + mend, {"stale_runs": stale}


def _latency(subject: _Subject) -> Finding:
    _, cycles = _memory(subject)
    assumed = subject.bundle.manifest.memory
    says = f"{cycles:.0f} cycles from an address to its data, {assumed.latency if assumed else '?'} assumed"
    passed = assumed is None or cycles <= LATEST * assumed.latency
    return passed, says + ("" if passed else SLOWER), {"cycles": cycles}


def _bandwidth(subject: _Subject) -> Finding:
    """Latency above the assumed one has a line of its own: it lowers what is wanted here in proportion."""
    rate, cycles = _memory(subject)
    manifest = subject.bundle.manifest
    megabytes = rate * manifest.engine.word_bytes * subject.overlay.clock_mhz
    assumed = manifest.memory
    busy = f"{assumed.busy:g}" if assumed else "?"
    says = f"{rate:.3f} words a cycle, {busy} assumed; {megabytes:,.0f} MB/s"
    wanted = SLOWEST * assumed.busy * min(1.0, LATEST * assumed.latency / cycles) if assumed else 0.0
    passed = rate >= wanted
    figures = {"words_per_cycle": rate, "megabytes_per_second": megabytes}
    return passed, says + ("" if passed else SLOWER), figures


def _interrupt(subject: _Subject) -> Finding:
    overlay = subject.overlay
    with subject.runner() as runner:
        for register in ("IER", "GIE"):
            overlay.write(register, 1)
        overlay.write("ISR", overlay.read("ISR"))
        try:
            runner.run(subject.pictures[:1])
            raised = bool(overlay.read("ISR") & 1)
            came = asyncio.run(_comes(overlay)) if raised else False
        finally:
            overlay.write("GIE", 0)
            overlay.write("ISR", overlay.read("ISR"))
    said = {
        None: "ISR is raised; without an interrupt controller its way to the processor is not shown",
        True: "reaches the processor",
        False: "does not reach the processor: look at its way in the design",
    }
    says = said[came] if raised else "ISR stays 0 after a run: the engine raises none"
    return came is not False, says, {"raised": int(raised)}


async def _comes(overlay: LoadedOverlay) -> bool | None:
    """Whether a raised interrupt reaches pynq; None where the overlay has no controller for it."""
    line = overlay.interrupt()
    if line is None:
        return None
    try:
        await asyncio.wait_for(line.wait(), INTERRUPT_SECONDS)
    except asyncio.TimeoutError:
        return False
    return True


def _abort(subject: _Subject) -> Finding:
    """A run that is ended from outside says so, and the next one computes what the one before did."""
    with subject.runner() as runner:
        before = runner.run(subject.pictures[:1]).outputs
        errors = [runner.abort_run()]
        while errors[-1] != ABORTED and len(errors) < ABORTS:  # a short run may end before it is aborted
            errors.append(runner.abort_run())
        if errors[-1] != ABORTED:
            return False, f"{ABORTS} runs that were to be ended gave {errors[-1]}: the abort is not heard", {}
        after = runner.run(subject.pictures[:1]).outputs
    wrong = sum(int((one != other).sum()) for one, other in zip(before, after, strict=True))
    says = f"ends a run at try {len(errors)}; {wrong} integers of the next one differ"
    return not wrong, says, {"tries": len(errors), "mismatches": wrong}


def _images(subject: _Subject) -> Finding:
    made: list[tuple[NDArray[np.int32], ...]] = []
    wrong = 0
    with subject.runner() as runner:
        for first in range(0, len(subject.pictures), BATCH):
            outcome = runner.run(subject.pictures[first : first + BATCH])
            wrong += subject.wrong(outcome.outputs, first)
            subject.cycles += outcome.cycles
            made.append(outcome.outputs)
            if subject.heard is not None:
                subject.heard(first + len(outcome.cycles))
    subject.outputs_sha256 = digest_of([np.concatenate(parts) for parts in zip(*made, strict=True)])
    predicted = subject.bundle.manifest.predicted_cycles
    count, later = len(subject.cycles), subject.cycles[1:] or subject.cycles
    taken = f"{steady_cycles(subject.cycles):,} cycles, {predicted:,} predicted"
    says = f"{wrong:,} integers of {count:,} images differ; {taken}"
    figures: Figures = {"images": count, "mismatches": wrong, "least": min(later), "median": median(later)}
    return not wrong, says, {**figures, "most": max(later)}


LOADING = "overlay"
CHECKS: Mapping[str, Callable[[_Subject], Finding]] = {
    "clock": _clock,
    "coherency, to the engine": _to_engine,
    "coherency, from the engine": _from_engine,
    "reset": _reset,
    "memory's latency": _latency,
    "memory's bandwidth": _bandwidth,
    "interrupt": _interrupt,
    "abort": _abort,
    "images": _images,
}


def _memory(subject: _Subject) -> tuple[float, float]:
    """Words a cycle, and cycles from an address to its data.

    A block's loading begins before the last one's has ended, so its words pass between the ends of the two.
    Before the first block begins, the program's header and first descriptor are read, in one burst.
    """
    manifest = subject.bundle.manifest
    with subject.runner() as runner:
        profile = runner.profile(subject.pictures[0])  # of the first start, which loads all
    if profile is None:
        raise BundleError("not shown: this engine writes no profile")
    word = manifest.engine.word_bytes
    steps = zip(manifest.descriptors, profile[0], strict=True)
    loads = [(step.bytes // word, begin, end) for step, (begin, end) in steps if step.bytes]
    ends = pairwise(end for _, _, end in loads)
    gaps = [(words, end - before) for (words, _, _), (before, end) in zip(loads[1:], ends, strict=True)]
    rates = [words / gap for words, gap in gaps if words >= ENOUGH_WORDS and gap > 0]
    if not rates:
        raise BundleError(f"not shown: the profile has no block of {ENOUGH_WORDS} words that memory brought")
    descriptor = len(subject.bundle.bytes(PROGRAM)) // (len(manifest.descriptors) + 1)
    return max(rates), loads[0][1] - 2 * descriptor / word / max(rates)


def _unlike_the_first(expected: Sequence[NDArray[np.integer[Any]]]) -> int | None:
    """Number of the first image whose outputs are not those of image 0."""
    count = len(expected[0])
    return next(
        (number for number in range(1, count) if any((e[number] != e[0]).any() for e in expected)), None
    )


def _equals(made: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]], number: int) -> bool:
    return all(np.array_equal(one[0], wanted[number]) for one, wanted in zip(made, expected, strict=True))
