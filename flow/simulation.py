"""`bitlathe simulate`: test images through the simulated hardware, every integer held to the reference."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from statistics import median

from bitlathe.flow.compilation import compile_for, predicted_cycles
from bitlathe.flow.errors import CheckFailed
from bitlathe.flow.integer_network import Codes, IntegerNetwork
from bitlathe.flow.profile import Profile
from bitlathe.hls.bounds import Bounds, bounds
from bitlathe.hls.compile import Compiled
from bitlathe.hls.config import Target
from bitlathe.hls.cycle_model import DdrModel
from bitlathe.hls.sim.engine import SimulatedEngine
from bitlathe.hls.sim.many import simulate_many
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.model.data import Images


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOptions:
    """How to simulate."""

    images: int | None = None  # test images; None: all
    workers: int = 1
    stall_percent: int = 0  # chance that a channel of the memory pauses in a cycle
    seed: int = 0  # of those pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a simulation measured; the row that --json prints."""

    network: str
    dataset: str
    target: str
    images: int
    mismatches: int  # output integers that differ from the reference's, over all images
    accuracy_float: float | None  # on these images; None for a graph read from a file
    accuracy_integer: float | None  # of the hardware's outputs; both None where they are not classes
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

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    def check(self) -> None:
        """Raise CheckFailed unless every integer is the reference's."""
        if self.mismatches:
            raise CheckFailed(
                f"{self.network}: {self.mismatches} output integers of {self.images} images differ from the "
                "reference; the engine, the compiler or the reference is wrong: report it with this command"
            )


Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Outputs:
    """What the simulated hardware gave."""

    codes: Codes  # (N, C, H, W)
    cycles: tuple[int, ...]  # of each image, weights resident
    first_codes: Codes  # (1, C, H, W) of the start that loads the weights
    first_cycles: int
    profile: Profile
    seconds: float


def simulate(
    network: IntegerNetwork, target: Target, options: SimulationOptions, progress: Progress | None = None
) -> tuple[Simulation, Profile]:
    """Run the compiled network in the simulated engine; `progress` is told how many images are done.

    Raises what compiling and simulating raise. Differing integers are counted, not raised.
    """
    images, labels = network.test_images(options.images)
    compiled = compile_for(network, target)
    least = bounds(network.graph, compiled.program, DdrModel.of(target))
    outputs = _outputs(network, compiled, target, options, images, progress, least)
    cycles = round(median(outputs.cycles[1:] or outputs.cycles))
    simulation = Simulation(
        network=network.name,
        dataset=network.dataset.name,
        target=target.name,
        images=len(images),
        mismatches=_mismatches(outputs, network.reference(images)),
        accuracy_float=network.float_accuracy(images, labels),
        accuracy_integer=network.accuracy(outputs.codes, labels),
        macs=network.macs,
        cycles=cycles,
        cycles_first=outputs.first_cycles,
        predicted_cycles=predicted_cycles(compiled, target),
        clock_mhz=target.clock_mhz,
        latency_ms=cycles / (1000 * target.clock_mhz),
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
    )
    return simulation, outputs.profile


def host() -> dict[str, object]:
    """The machine that simulates, as far as it matters to a wall time."""
    return {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}


def _outputs(
    network: IntegerNetwork,
    compiled: Compiled,
    target: Target,
    options: SimulationOptions,
    images: Images,
    progress: Progress | None,
    least: Bounds,
) -> _Outputs:
    memory = SimulatedDdr.of(target)
    ddr = replace(memory, stall_percent=options.stall_percent, seed=options.seed)
    codes = network.preprocess.codes(images)
    with closing(SimulatedEngine(target.engine, ddr)) as engine:
        first = engine.run(compiled, codes[:1])
        second = engine.run(compiled, codes[:1], profile=True)
    started = time.monotonic()
    many = simulate_many(compiled, codes, ddr, workers=options.workers, progress=progress)
    assert second.profile is not None
    return _Outputs(
        codes=many.codes,
        cycles=many.cycles,
        first_codes=first.codes,
        first_cycles=first.cycles[0],
        profile=Profile.of(compiled, second.profile, second.cycles[0], network.macs_by_layer, least),
        seconds=time.monotonic() - started,
    )


def _mismatches(outputs: _Outputs, expected: Codes) -> int:
    return int((outputs.codes != expected).sum() + (outputs.first_codes != expected[:1]).sum())
