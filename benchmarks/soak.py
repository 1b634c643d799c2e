"""Differential runs at scale: random networks and damaged programs through every implementation.

python benchmarks/soak.py --networks 10000 --programs 1000

Each network, of all nodes, encodings and roundings, is computed by the reference, fake-quantized PyTorch, the
functional model in a random legal order, the RTL and the engine in HLS C++, every integer compared, on one of
nine engines and under a memory of its own: stalls on every channel, any order of writes that AXI allows, late
and bunched responses. Then the RTL meets an error response at a random word, an abort and a reset at random
cycles, each with a correct run behind it.

A damaged program has some bits of its descriptors flipped. The RTL must end it within its deadline, break no
rule of the bus and write nowhere else; an illegal descriptor must be an error, and where every legal order of
the functional model gives one result, the RTL and the HLS C++ must give it too.

What is done is kept in build/bench/soak-COMMIT.jsonl: the same command goes on after it. Writes the sums to
build/bench/soak.json. Exit status 1 where anything is wrong; the seed repeats it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from reference import machine

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.files import write_json
from bitlathe.hls.checks import check
from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.functional.run import FunctionalEngine
from bitlathe.hls.program import DESCRIPTOR_BYTES, ErrorCode
from bitlathe.hls.program.decode import decode_program
from bitlathe.hls.program.format import Header
from bitlathe.hls.program.registers import OFFSETS, START
from bitlathe.hls.sim import EngineStopped, Response, SimulatedDdr, SimulatedEngine, WriteOrder
from bitlathe.hls.sim.engine import POISON
from bitlathe.hls.sim.memory import WRITABLE, RunBuffer
from bitlathe.hls.target.config import TARGETS, Target, configuration, reference_targets
from bitlathe.hls.vitis.csim import Arguments, HlsEngine, aligned
from bitlathe.model.graph.errors import BitlatheError, CapacityError, FormatError
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.model.quantize.exact_network import ExactNetwork
from bitlathe.rtl_tb.random_networks.graphs import random_graph, with_zeros

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "build" / "bench"
ODD_ENGINES = (
    *("8x16x3-7x1024-512", "8x8x1-8x1024-512", "8x16x1-3x1024-1024", "8x32x4-11x1024-1024"),
    *("8x8x5-5x1024-1024", "16x32x3-5x1024-1024", "16x16x1-5x1024-1024"),
)
ENGINES = (
    *reference_targets().values(),
    *(
        replace(TARGETS["pynq-z2"], name=each.split("-")[0], engine=configuration(each))
        for each in ODD_ENGINES
    ),
)
ORDERS = 3  # in which the functional model runs a damaged program
MOST_FLIPS = 3
MOST_CYCLES = 2_000_000  # of a damaged program, beyond which it hangs


class Wrong(Exception):
    """What must not happen, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one seed."""

    kind: str
    seed: int
    engine: str
    ends: Mapping[str, int] = field(default_factory=dict)  # how often each kind of end came up
    wrong: str = ""


# ---- random networks


def soak_network(seed: int) -> Done:
    """One random network through every implementation, then through faults of its memory."""
    target, rng = ENGINES[seed % len(ENGINES)], np.random.default_rng([seed, 1])
    graph = random_graph(
        rng,
        product=bool(rng.random() < 0.4),
        half_even=bool(rng.random() < 0.3),
        several=bool(rng.random() < 0.5),
        others=bool(rng.random() < 0.8),
    )
    if rng.random() < 0.4:
        graph = with_zeros(rng, graph)
    codes = np.concatenate([random_inputs(rng, graph, 1), corner_inputs(graph)])
    try:
        network = compile_graph(graph, target.engine)
    except CapacityError:
        return Done(kind="network", seed=seed, engine=target.name, ends={"does not fit": 1})
    ends: Counter[str] = Counter({"images": len(codes)})
    wanted = evaluate_outputs(graph, codes)
    with torch.no_grad():
        _equal("fake-quantized PyTorch", ExactNetwork(graph).output_codes(codes), wanted)
    data = FunctionalEngine.of(network).run(network.input_layout.pack(codes), rng)
    _equal("functional model", [one.unpack(data) for one in network.output_layouts], wanted)
    _equal("HLS C++", _hls(target).run_outputs(network, codes, inputs_per_start=2), wanted)
    with closing(SimulatedEngine(target.engine, random_memory(rng), random_seed=seed)) as engine:
        starts = int(rng.integers(1, 3))
        cycles = engine.run(network, codes, inputs_per_start=starts)
        _equal("RTL", cycles.outputs, wanted)
        _meet_faults(engine, network, codes[:1], [one[:1] for one in wanted], max(cycles.cycles), rng, ends)
    return Done(kind="network", seed=seed, engine=target.name, ends=dict(ends))


def random_memory(rng: np.random.Generator) -> SimulatedDdr:
    """A memory as slow, as reordering and as unsteady as AXI and patience allow."""
    outstanding = int(rng.integers(1, 17))
    return SimulatedDdr(
        latency=int(rng.integers(1, 80)),
        busy=float(rng.uniform(0.2, 1.0)),
        write_latency=int(rng.integers(1, 80)),
        outstanding=outstanding,
        write_order=WriteOrder(int(rng.integers(len(WriteOrder)))),
        response_bunch=int(rng.integers(1, outstanding + 1)),
        stall_percent=int(rng.integers(0, 50)),
        seed=int(rng.integers(1 << 30)),
    )


def _meet_faults(
    engine: SimulatedEngine,
    network: Compiled,
    codes: IntArray,
    wanted: Sequence[IntArray],
    cycles: int,
    rng: np.random.Generator,
    ends: Counter[str],
) -> None:
    """An error response, an abort, a reset; a right run after each."""
    buffer = list(RunBuffer)[int(rng.integers(5))]
    low, size = engine.span(buffer)
    if size:
        low += int(rng.integers(-(-size // 16))) * 16
        kind = Response(int(rng.choice([each.value for each in Response])))
        engine.model.inject(kind, low, low + 16, write=buffer in WRITABLE)
        try:
            _equal("RTL, past an error response", engine.run(network, codes).outputs, wanted)
            ends["untouched error"] += 1
        except EngineStopped as stopped:
            if stopped.code not in (ErrorCode.AXI_READ, ErrorCode.AXI_WRITE):
                raise Wrong(f"an error response became {stopped.code.name}") from stopped
            ends[stopped.code.name] += 1
        engine.model.clear_injections()
        _equal("RTL, after an error response", engine.run(network, codes).outputs, wanted)
    for end, act in (("abort", engine.abort), ("reset", engine.reset)):
        engine.model.write(OFFSETS["CTRL"], START)
        engine.model.run(int(rng.integers(1, max(2, cycles))))
        if act() is False:
            raise Wrong("an abort does not end")
        _equal(f"RTL, after {end}", engine.run(network, codes).outputs, wanted)
        ends[end] += 1


def _equal(who: str, made: Sequence[IntArray], wanted: Sequence[IntArray]) -> None:
    if len(made) != len(wanted) or not all(map(np.array_equal, made, wanted)):
        raise Wrong(f"{who} differs from the reference")


@cache
def _hls(target: Target) -> HlsEngine:
    return HlsEngine(target)


# ---- damaged programs


def soak_program(seed: int) -> Done:
    """One program with some bits of its descriptors flipped, on the RTL and in HLS C++."""
    target, rng = ENGINES[seed % len(ENGINES)], np.random.default_rng([seed, 2])
    network = None
    while network is None:
        graph = random_graph(rng, budget=20_000, product=bool(rng.random() < 0.4), others=True)
        graph = with_zeros(rng, graph) if rng.random() < 0.4 else graph
        with suppress(CapacityError):
            network = compile_graph(graph, target.engine)
    codes = random_inputs(rng, graph, 1)
    program = _damaged(network.program.encode(), rng)
    packed = network.input_layout.pack(codes)
    allowed = _specified(network, program, packed, rng)
    with closing(SimulatedEngine(target.engine, random_memory(rng), random_seed=seed)) as engine:
        engine.load(network)
        engine.bytes_of(RunBuffer.PROGRAM)[:] = np.frombuffer(program, np.uint8)
        hardware = _end(lambda: engine.run(network, codes, deadline=MOST_CYCLES))
        made = {"RTL": (hardware, engine.bytes_of(RunBuffer.OUTPUT).copy())}
        engine.bytes_of(RunBuffer.PROGRAM)[:] = np.frombuffer(network.program.encode(), np.uint8)
        engine.reset()
        wanted = evaluate_outputs(graph, codes)
        _equal("RTL, after a damaged program", engine.run(network, codes).outputs, wanted)
    made["HLS C++"] = _hls_end(target, network, program, packed)
    for who, (end, output) in made.items():
        _within(who, end, output, allowed)
    return Done(kind="program", seed=seed, engine=target.name, ends={_name_of(hardware, allowed): 1})


def _damaged(program: bytes, rng: np.random.Generator) -> bytes:
    """A program with some bits of its descriptors flipped, under a checksum that fits again."""
    body = bytearray(program[DESCRIPTOR_BYTES:])
    for _ in range(rng.integers(1, MOST_FLIPS + 1)):
        body[int(rng.integers(len(body)))] ^= 1 << int(rng.integers(8))
    return replace(Header.decode(program[:DESCRIPTOR_BYTES]), crc=crc32(body)).encode() + bytes(body)


Allowed = NDArray[np.uint8] | FormatError | None  # the output, a refusal, or anything that ends


def _specified(
    network: Compiled, program: bytes, packed: NDArray[np.uint8], rng: np.random.Generator
) -> Allowed:
    """What the specification says of a damaged program: one output, a refusal, or nothing."""
    engine = replace(FunctionalEngine.of(network), program=program)
    try:
        decoded = decode_program(program, engine.configuration)
        for descriptor in decoded.descriptors:
            check(descriptor, engine.configuration)
    except FormatError as refused:
        return refused
    try:
        outputs = [engine.run(packed, order) for order in (None, *[rng] * ORDERS)]
    except FormatError:
        return None  # reads what nothing wrote, or past a buffer
    return outputs[0].ravel() if all(np.array_equal(one, outputs[0]) for one in outputs) else None


def _end(run: Callable[[], object]) -> ErrorCode:
    """How a run ends; what hangs or breaks a rule of the bus is raised."""
    try:
        run()
    except EngineStopped as stopped:
        return stopped.code
    return ErrorCode.NONE


def _hls_end(
    target: Target, network: Compiled, program: bytes, packed: NDArray[np.uint8]
) -> tuple[ErrorCode, NDArray[np.uint8]]:
    """How the engine in HLS C++ ends a program, and its output's bytes."""
    sizes = Arguments.of(network)
    read = [aligned(program), aligned(network.weights), aligned(packed.tobytes())]
    output, scratch = (aligned(bytes([POISON]) * size) for size in (sizes.output_bytes, sizes.scratch_bytes))
    status = _hls(target).start(*read, output, scratch, sizes)
    return ErrorCode(status.error), output


def _within(who: str, end: ErrorCode, output: NDArray[np.uint8], allowed: Allowed) -> None:
    if isinstance(allowed, FormatError) and end is ErrorCode.NONE:
        raise Wrong(f"{who} runs what is refused: {allowed}")
    if isinstance(allowed, np.ndarray):
        if end is not ErrorCode.NONE:
            raise Wrong(f"{who} stops with {end.name} at what the functional model runs")
        if not np.array_equal(output[: allowed.size], allowed):
            raise Wrong(f"{who} differs from the functional model")


def _name_of(end: ErrorCode, allowed: Allowed) -> str:
    if end is not ErrorCode.NONE:
        return end.name
    return "as specified" if isinstance(allowed, np.ndarray) else "unspecified"


# ---- all of them


KINDS: Mapping[str, Callable[[int], Done]] = {"network": soak_network, "program": soak_program}


def guarded(kind: str, seed: int) -> Done:
    """Run one seed; a failure is part of what it returns, and is not raised."""
    torch.set_num_threads(1)
    try:
        return KINDS[kind](seed)
    except (Wrong, BitlatheError) as error:
        words = f"{type(error).__name__}: {error}"
    except Exception as error:  # a defect of the tools under test is a finding too
        words = f"{type(error).__name__}: {error}"
    return Done(kind=kind, seed=seed, engine=ENGINES[seed % len(ENGINES)].name, wrong=words)


def main(words: Sequence[str] | None = None) -> int:
    """Run what is not done yet; exit status 1 where anything is wrong."""
    arguments = _parse(words)
    counts = {"network": arguments.networks, "program": arguments.programs}
    commit = _commit()
    log = BENCH / f"soak-{commit}.jsonl"
    done = {(one.kind, one.seed): one for one in _read(log)}
    wanted = [(kind, seed) for kind, count in counts.items() for seed in range(count)]
    if arguments.seed is not None:
        wanted = [(kind, arguments.seed) for kind, count in counts.items() if count]
        done = {}
    left = [each for each in wanted if each not in done]
    print(f"{len(wanted) - len(left)} of {len(wanted)} were done before", flush=True)
    BENCH.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("a", encoding="utf-8") as file:
        print(file=file)  # ends a line that was cut off
        for number, one in enumerate(_all_of(left, arguments.jobs), 1):
            done[one.kind, one.seed] = one
            print(json.dumps(asdict(one)), file=file, flush=True)
            if one.wrong:
                print(f"{one.kind} {one.seed} on {one.engine}: {one.wrong}", flush=True)
            if number % 100 == 0:
                print(f"{number} of {len(left)}, {time.monotonic() - began:.0f} s", flush=True)
    rows = [_row(kind, commit, [done[each] for each in wanted if each[0] == kind]) for kind in counts]
    rows = [row for row in rows if row.count]
    print_table("what was run, and what was wrong", HEAD, [row.cells() for row in rows])
    write_json(arguments.out, {**machine(), "rows": [asdict(row) for row in rows]})
    return int(any(row.wrong for row in rows))


def _all_of(left: Sequence[tuple[str, int]], jobs: int) -> Iterator[Done]:
    """What becomes of each; in this process where there are no jobs."""
    if not jobs:
        yield from (guarded(*each) for each in left)
        return
    with ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(guarded, *each) for each in left]
        yield from (one.result() for one in as_completed(running))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The sums of one kind."""

    kind: str
    count: int  # seeds 0 to count - 1
    engines: int
    wrong: int
    ends: Mapping[str, int]  # how often each end came up
    commit: str

    def cells(self) -> tuple[str, ...]:
        """Cells by HEAD."""
        ends = ", ".join(f"{end} {count:,}" for end, count in self.ends.items())
        return self.kind, f"{self.count:,}", str(self.engines), str(self.wrong), ends


HEAD = ("kind", "count", "engines", "wrong", "ends")


def _row(kind: str, commit: str, done: Sequence[Done]) -> Row:
    ends: Counter[str] = Counter()
    for one in done:
        ends.update(one.ends)
    return Row(
        kind=kind,
        count=len(done),
        engines=len({one.engine for one in done}),
        wrong=sum(bool(one.wrong) for one in done),
        ends=dict(sorted(ends.items())),
        commit=commit,
    )


def _commit() -> str:
    """The commit that is tried, with a mark where files differ from it."""
    text = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    return text.strip()


def _read(log: Path) -> Iterator[Done]:
    """What an earlier run of the same commit has done; a line that was cut off is done again."""
    if log.exists():
        for line in filter(None, log.read_text(encoding="utf-8").splitlines()):
            with suppress(json.JSONDecodeError):
                yield Done(**json.loads(line))


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=10_000, help="random networks")
    parser.add_argument("--programs", type=int, default=1_000, help="damaged programs")
    parser.add_argument("--seed", type=int, help="only this one, again")
    parser.add_argument("--jobs", type=int, default=2, help="processes; 0: in this one")
    parser.add_argument("--out", type=Path, default=BENCH / "soak.json")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
