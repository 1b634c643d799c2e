"""Cycles of networks on every target: simulated RTL, cycle model, bounds; and the same under random stalls.

python benchmarks/cycles.py --networks resnet8 resnet20 --targets pynq-z2

Prints a row for each network and target and writes them to build/bench/cycles.json after each. A row is kept
while program, images, memory and engine are what they were. Cycles are of one start with one image,
batch 1, transfers included, weights resident from the start before where they fit. The engine in HLS C++
computes the first image too. Exit status 1 where an integer differs or a rule of AXI is broken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from cases import CASES, Case, Subject, add_targets

from bitlathe import hls
from bitlathe.flow.cli.output import note, print_table
from bitlathe.flow.files import write_json
from bitlathe.flow.wording import percent
from bitlathe.hls.compile import Compiled
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.cycles.bounds import bounds, is_lanewise
from bitlathe.hls.cycles.model import DdrModel, exec_cycles, predict
from bitlathe.hls.emit import engine_sources
from bitlathe.hls.program import Exec
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.sim.build import HARNESS
from bitlathe.hls.sim.engine import OutputCodes, RunResult
from bitlathe.hls.target.config import TARGETS, Target
from bitlathe.hls.vitis.csim import HlsEngine
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.native.cache import digest_of

OUT = Path(__file__).resolve().parents[1] / "build" / "bench" / "cycles.json"
STALL_PERCENT = 30  # chance that each channel of the memory pauses in a cycle
STALL_SEED = 1
MODELS = tuple(
    Path(hls.__path__[0], name) for name in ("cycles/bounds.py", "cycles/model.py", "program/skipping.py")
)
OTHER_MEMORIES = (DdrModel(busy=0.4, latency=80), DdrModel(busy=1.0, latency=20))  # for the cycle model alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network on one target."""

    network: str
    bits: int  # of weights and activations
    variant: str
    target: str
    weights: str  # where they come from
    images: int
    cycles: int  # of the last image, simulated
    cycles_first: int  # of the first, whose start loads the weights
    ideal: float  # of an array whose multipliers all work on useful products that cannot be left out
    efficiency: float  # ideal / cycles
    array_bound: float  # of all products; depthwise layers and pools by the scratchpad's lanes
    lanes_bound: float  # their part of it
    lanes_cycles: int  # that the array takes for those layers, by the cycle model
    ddr_bound: float  # words that memory moves for an image
    bound_ratio: float  # cycles / the larger bound
    predicted: int  # by the cycle model
    model_error: float  # predicted / cycles - 1
    model_error_worst: float  # in size, of first and later images, on this memory and on OTHER_MEMORIES
    mismatches: int  # output integers that differ from the reference's: RTL, stalled RTL, HLS C++
    violations: int  # of AXI rules, in all runs
    cycles_stalled: int  # of one image while memory pauses at random
    latency_ms: float  # at the clock the target is meant for
    macs: int
    seconds: float  # wall time
    digest: str  # of all that it depends on

    @property
    def head(self) -> tuple[str, ...]:
        """The measured rows."""
        name = f"{self.network}, {self.variant}" if self.variant else self.network
        return name, str(self.bits), self.target

    def cycles_cells(self) -> tuple[str, ...]:
        """Cells by CYCLES."""
        return (
            *self.head,
            f"{self.cycles:,}",
            f"{self.ideal:,.0f}",
            percent(self.efficiency),
            f"{self.latency_ms:.4f}",
            str(self.mismatches),
            str(self.violations),
        )

    def bounds_cells(self) -> tuple[str, ...]:
        """Cells by BOUNDS."""
        return (
            *self.head,
            f"{self.array_bound:,.0f}",
            f"{self.ddr_bound:,.0f}",
            f"{self.bound_ratio:.2f}",
            f"{100 * self.model_error:+.2f} %",
            f"{100 * self.model_error_worst:.2f} %",
            f"{self.cycles_stalled:,}",
        )


_HEAD = ("network", "bits", "target")
CYCLES = (*_HEAD, "cycles", "ideal", "efficiency", "ms", "mismatches", "violations")
BOUNDS = (*_HEAD, "array bound", "DDR bound", "of bound", "model", "at worst", "stalled")


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 1 when an integer differed, after all rows were measured."""
    arguments = _parse(words)
    wanted = [case for case in CASES if not arguments.networks or case.network in arguments.networks]
    known = {(row.network, row.bits, row.variant, row.target): row for row in read_rows(arguments.out)}
    shown: list[Row] = []
    for case in wanted:
        for row in _rows(case, arguments, tuple(known.values())):
            known[row.network, row.bits, row.variant, row.target] = row
            write_json(arguments.out, [asdict(each) for each in known.values()])
            shown.append(row)
    print_table("cycles an image, batch 1", CYCLES, [row.cycles_cells() for row in shown])
    print_table(
        "the same: cycles at least, error of the cycle model, cycles while memory stalls at random",
        BOUNDS,
        [row.bounds_cells() for row in shown],
    )
    return int(any(row.mismatches or row.violations for row in shown))


def read_rows(path: Path) -> list[Row]:
    """Rows of an earlier run; none where the file is absent or of another version."""
    try:
        return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def _rows(case: Case, arguments: argparse.Namespace, known: Sequence[Row]) -> Iterator[Row]:
    """Rows of a network; what cannot be run is reported on stderr."""
    try:
        subject = case.make(arguments.images, arguments.data)
    except BitlatheError as error:
        note(f"{case.name} is left out: {error}")
        return
    for name in arguments.targets:
        target = TARGETS[name]
        try:
            compiled = compile_for(subject.graph, target)
        except BitlatheError as error:
            note(f"{case.name} on {name}: {error}")
            continue
        digest = _digest(subject, compiled, target)
        kept = next((row for row in known if row.digest == digest and _is_of(row, case, name)), None)
        yield kept or measure(case, subject, compiled, target, digest)


def _is_of(row: Row, case: Case, target: str) -> bool:
    return (row.network, row.bits, row.variant, row.target) == (
        case.network,
        case.bits,
        case.variant,
        target,
    )


def measure(case: Case, subject: Subject, compiled: Compiled, target: Target, digest: str) -> Row:
    """Simulate all images, one per start, then the first one again with random stalls."""
    started = time.monotonic()
    ddr, model = SimulatedDdr.of(target), DdrModel.of(target)
    stalling = replace(ddr, stall_percent=STALL_PERCENT, seed=STALL_SEED)
    result = _run(compiled, subject, target, ddr)
    errors = [_model_errors(compiled, subject, target, memory) for memory in OTHER_MEMORIES]
    with closing(SimulatedEngine(target.engine, stalling)) as engine:
        stalled = engine.run(compiled, subject.codes[:1])
    in_cpp = HlsEngine(target).run_outputs(compiled, subject.codes[:1])
    expected = evaluate_outputs(subject.graph, subject.codes)
    least = bounds(subject.graph, compiled.program, model)
    later = predict(compiled.program, model, weights_resident=True).cycles
    cycles = result.cycles[-1]
    return Row(
        network=case.network,
        bits=case.bits,
        variant=case.variant,
        target=target.name,
        weights=subject.weights,
        images=len(subject.codes),
        cycles=cycles,
        cycles_first=result.cycles[0],
        ideal=round(least.peak, 1),
        efficiency=least.peak / cycles,
        array_bound=round(least.array, 1),
        lanes_bound=round(least.lanes, 1),
        lanes_cycles=_lanes_cycles(subject, compiled),
        ddr_bound=round(least.ddr, 1),
        bound_ratio=cycles / least.cycles,
        predicted=later,
        model_error=later / cycles - 1,
        model_error_worst=max(_worst(compiled, model, result.cycles), *errors),
        mismatches=sum(_mismatches(each, expected) for each in (result.outputs, stalled.outputs, in_cpp)),
        violations=sum(result.counters.violations.values()) + sum(stalled.counters.violations.values()),
        cycles_stalled=stalled.cycles[0],
        latency_ms=cycles / (1000 * target.clock_mhz),
        macs=subject.macs,
        seconds=round(time.monotonic() - started, 1),
        digest=digest,
    )


def _mismatches(made: OutputCodes, expected: Sequence[IntArray]) -> int:
    """Integers of the first images, as many as were made, that differ."""
    return sum(int((one != wanted[: len(one)]).sum()) for one, wanted in zip(made, expected, strict=True))


def _lanes_cycles(subject: Subject, compiled: Compiled) -> int:
    lanewise = {node.name for node in subject.graph.nodes if is_lanewise(subject.graph, node)}
    done = (each for each in compiled.program.descriptors if isinstance(each, Exec))
    return sum(exec_cycles(each) for each in done if each.node in lanewise)


def _run(compiled: Compiled, subject: Subject, target: Target, ddr: SimulatedDdr) -> RunResult:
    with closing(SimulatedEngine(target.engine, ddr)) as engine:
        return engine.run(compiled, subject.codes)


def _model_errors(compiled: Compiled, subject: Subject, target: Target, model: DdrModel) -> float:
    """The cycle model's largest error on another memory."""
    ddr = SimulatedDdr(latency=model.latency, busy=model.busy)
    return _worst(compiled, model, _run(compiled, subject, target, ddr).cycles)


def _worst(compiled: Compiled, model: DdrModel, cycles: tuple[int, ...]) -> float:
    """Size of the larger error, of the first and of the last start."""
    pairs = ((False, cycles[0]), (True, cycles[-1]))
    return max(abs(predict(compiled.program, model, resident).cycles / true - 1) for resident, true in pairs)


def _digest(subject: Subject, compiled: Compiled, target: Target) -> str:
    contents = hashlib.sha256(compiled.program.encode())
    contents.update(compiled.weights)
    contents.update(np.ascontiguousarray(subject.codes).tobytes())
    words = [contents.hexdigest(), repr(target), subject.weights, f"{STALL_PERCENT} {STALL_SEED}"]
    return digest_of(words, [*engine_sources(), *HARNESS, *MODELS, Path(__file__)])


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    names = list(dict.fromkeys(case.network for case in CASES))
    add("--networks", nargs="+", choices=names, help="all by default")
    add_targets(parser)
    add("--images", type=int, default=2, help="images a network, at least 2 (default: 2)")
    add("--data", type=Path, help="folder of the data sets; BITLATHE_DATA when not given")
    add("--out", type=Path, default=OUT, help="where the rows go")
    arguments = parser.parse_args(words)
    if arguments.images < 2:
        parser.error("--images: the first image's start loads the weights, so there must be a second")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
