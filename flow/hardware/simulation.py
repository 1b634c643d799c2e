"""Test images through the simulated hardware, every integer held to the reference."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from statistics import median

from bitlathe.flow.errors import CheckFailed, UsageError
from bitlathe.flow.hardware.compilation import NetworkProgram
from bitlathe.flow.hardware.profile import Profile
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.flow.network.judged import Judged
from bitlathe.flow.network.pictures import SHOWN, Gallery
from bitlathe.flow.progress import Advance, Note, Progress, silent
from bitlathe.hls.cycles.bounds import Bounds, bounds
from bitlathe.hls.cycles.model import DdrModel
from bitlathe.hls.sim.build import engine_model
from bitlathe.hls.sim.engine import OutputCodes, SimulatedEngine
from bitlathe.hls.sim.many import simulate_many
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.hls.target.config import Target
from bitlathe.model.data import Images
from bitlathe.model.native.cache import cache_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOptions:
    """How to simulate."""

    images: int | None = None  # test images; None: all
    workers: int = 1
    stall_percent: int = 0  # chance that a channel of the memory pauses in a cycle
    seed: int = 0  # of those pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedOutput:
    """One output of the simulated hardware."""

    name: str
    shape: tuple[int, ...]  # (C, H, W)
    mismatches: int  # integers that differ from the reference's, over all images


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SimulationResult(Judged):
    """The measurements of a simulation, as the row that --json prints."""

    network: str
    dataset: str
    target: str
    images: int
    mismatches: int  # output integers that differ from the reference's, over all images
    outputs: tuple[SimulatedOutput, ...]  # each of them
    macs: int  # multiply-accumulates of one image
    cycles: int  # of one image, start to done: median over images after the first
    cycles_first: int  # of the first image, whose start also loads the weights
    predicted_cycles: int  # by the cycle model, as `cycles`
    clock_mhz: float  # that the target is meant to close at
    latency_ms: float  # cycles at that clock
    array_macs_per_cycle: int
    efficiency: (
        float  # cycles of an array whose multipliers all work on what cannot be left out, of all cycles
    )
    array_bound: float  # cycles of an array without idle lanes; depthwise layers and pools by lanes
    ddr_bound: float  # cycles in which memory moves an image's words
    weight_bits: int
    activation_bits: int
    weights: Mapping[str, object]
    stall_percent: int
    seed: int
    seconds: float  # wall time of simulating, without building the simulator
    host: Mapping[str, object]
    profile: Profile = field(compare=False)  # where the cycles of one image went
    pictures: Gallery = field(compare=False)  # what the hardware found in the first images

    @property
    def score(self) -> float | None:
        """What the metric says of the hardware's outputs on these images; None without a metric."""
        return self.score_integer

    @property
    def accuracy(self) -> float | None:
        """The same where the metric is top-1, 0..1; else None."""
        return self.accuracy_integer

    @property
    def milliseconds(self) -> float:
        """Latency of one image."""
        return self.latency_ms

    def __repr__(self) -> str:
        wrong = f"{self.mismatches:,} output integers differ from the reference's"
        equal = wrong if self.mismatches else "every integer matches"
        seen = "" if self.score is None else f", {self.title} {self.said(self.score)}"
        return (
            f"{self.network} on {self.target}, simulated: {self.images:,} images{seen}, {self.cycles:,} "
            f"cycles or {self.milliseconds:.4f} ms an image, {equal}"
        )

    def check(self) -> None:
        """Raise CheckFailed unless every integer is the reference's."""
        if self.mismatches:
            raise CheckFailed(
                f"{self.network}: {self.mismatches} output integers of {self.images} images differ from the "
                "reference; the engine, the compiler or the reference is wrong: report it with this command"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outputs:
    """The outputs and cycles of the simulated hardware."""

    codes: OutputCodes
    cycles: tuple[int, ...]  # of each image, weights resident
    first_codes: OutputCodes  # of the one image of the start that loads the weights
    first_cycles: int
    profile: Profile
    seconds: float


def build_simulator(target: Target, progress: Progress = silent) -> None:
    """Compile the simulator of a target's engine where that is not done yet, with a line that says so.

    ToolError without Verilator or compiler.
    """
    said = (
        f"compiling the simulator of {target.name}'s engine, once: a minute or two, kept in {cache_folder()}"
    )
    engine_model(target.engine, building=lambda: progress(Note(said)))


def simulate(
    program: NetworkProgram, options: SimulationOptions, progress: Progress = silent
) -> SimulationResult:
    """Run test images in the simulated engine; `progress` is called with how many are done.

    Raises UsageError for a network without images, ToolError without simulator or compiler, and what
    simulating raises. Differing integers are counted, not raised.
    """
    network, target = program.network, program.target
    if not isinstance(network, IntegerNetwork):
        raise UsageError(f"{network.name}: has no test images; read it with its data set")
    images, labels = network.test_images(options.images)
    least = bounds(network.graph, program.compiled.program, DdrModel.of(target))
    outputs = _outputs(network, program, options, images, progress, least)
    compared = _compared(network, outputs, network.reference_outputs(images))
    cycles = round(median(outputs.cycles[1:] or outputs.cycles))
    return SimulationResult(
        network=network.name,
        dataset=network.dataset.name,
        target=target.name,
        images=len(images),
        mismatches=sum(output.mismatches for output in compared),
        outputs=compared,
        metric=network.metric,
        score_float=network.float_score(images, labels),
        score_integer=network.score_of(outputs.codes, labels),
        macs=network.macs,
        cycles=cycles,
        cycles_first=outputs.first_cycles,
        predicted_cycles=program.cycles,
        clock_mhz=target.clock_mhz,
        latency_ms=target.milliseconds(cycles),
        array_macs_per_cycle=target.engine.macs_per_cycle,
        efficiency=least.peak / cycles,
        array_bound=round(least.array, 1),
        ddr_bound=round(least.ddr, 1),
        weight_bits=network.weight_bits,
        activation_bits=network.activation_bits,
        weights=network.weights,
        stall_percent=options.stall_percent,
        seed=options.seed,
        seconds=round(outputs.seconds, 3),
        host=host(),
        profile=outputs.profile,
        pictures=network.drawn(images[:SHOWN], [codes[:SHOWN] for codes in outputs.codes], labels[:SHOWN]),
    )


def host() -> dict[str, object]:
    """The machine that simulates, as far as it matters to a wall time."""
    return {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}


def _outputs(
    network: IntegerNetwork,
    program: NetworkProgram,
    options: SimulationOptions,
    images: Images,
    progress: Progress,
    least: Bounds,
) -> _Outputs:
    compiled, target = program.compiled, program.target
    memory = SimulatedDdr.of(target)
    ddr = replace(memory, stall_percent=options.stall_percent, seed=options.seed)
    codes = network.preprocess.codes(images)
    build_simulator(target, progress)
    with closing(SimulatedEngine(target.engine, ddr)) as engine:
        first = engine.run(compiled, codes[:1])
        second = engine.run(compiled, codes[:1], profile=True)
    started, work = time.monotonic(), f"simulating {network.name}"
    many = simulate_many(
        compiled,
        codes,
        ddr,
        workers=options.workers,
        progress=lambda done: progress(Advance(work, done, len(images))),
    )
    assert second.profile is not None
    return _Outputs(
        codes=many.outputs,
        cycles=many.cycles,
        first_codes=first.outputs,
        first_cycles=first.cycles[0],
        profile=Profile.of(compiled, second.profile, second.cycles[0], network.macs_by_layer, least),
        seconds=time.monotonic() - started,
    )


def _compared(
    network: IntegerNetwork, outputs: _Outputs, expected: OutputCodes
) -> tuple[SimulatedOutput, ...]:
    each = zip(network.graph.outputs, outputs.codes, outputs.first_codes, expected, strict=True)
    return tuple(
        SimulatedOutput(
            name=output.name,
            shape=tuple(network.graph.shapes[output.tensor]),
            mismatches=int((codes != wanted).sum() + (first != wanted[:1]).sum()),
        )
        for output, codes, first, wanted in each
    )
