"""Networks on the engine: compiled for a target, and run in simulation."""

from __future__ import annotations

from bitlathe.flow.errors import UsageError
from bitlathe.flow.hardware.compilation import NetworkProgram, compile_for
from bitlathe.flow.hardware.simulation import SimulationOptions, SimulationResult
from bitlathe.flow.hardware.simulation import simulate as run_simulation
from bitlathe.flow.network.integer_network import IntegerNetwork, ReadyGraph
from bitlathe.flow.progress import Progress, silent
from bitlathe.hls.target.config import find_target

TARGET = "pynq-z2"


def compile(network: ReadyGraph, target: str = TARGET) -> NetworkProgram:
    """The program of an integer network for a board's engine, with its predicted cycles.

    `network` is what `quantize`, `load_quantized` or `compress` gives; `target` is a board's name, or
    NAME:ENGINE for another engine on it. Raises CapacityError for an unknown target, an engine that its part
    cannot hold, or a network that its memory cannot; UnsupportedLayer for what the engine does not do, such
    as weights above 8 bits.
    """
    return compile_for(network, find_target(target))


def simulate(
    network: NetworkProgram | IntegerNetwork,
    images: int | None = None,
    *,
    target: str | None = None,
    workers: int = 1,
    stall_percent: int = 0,
    seed: int = 0,
    progress: Progress = silent,
) -> SimulationResult:
    """Run test images through the simulated RTL, every output integer compared with the reference's.

    The first run of an engine compiles its simulator, a minute; no vendor tool is needed.

    Args:
        network: what `compile` gives, or an integer network, which is compiled for `target`, by default
            pynq-z2.
        images: the first ones of the test split; None: all.
        workers: simulated engines side by side.
        stall_percent, seed: chance that a channel of the memory pauses in a cycle, and of which random
            pauses.
        progress: is called with how many images are done.

    Returns:
        Cycles, latency in milliseconds, accuracy, the profile of one image, and `mismatches`; differing
        integers are counted and not raised, save by its `check()`.

    Raises:
        UsageError: more images than the data set has, or a target that is decided already.
        ToolError: simulator or C++ compiler missing.
    """
    if not isinstance(network, NetworkProgram):
        network = compile(network, target or TARGET)
    elif target is not None:
        raise UsageError(
            f"`target={target}`: the program is compiled for {network.target.name}; leave it out"
        )
    options = SimulationOptions(images=images, workers=workers, stall_percent=stall_percent, seed=seed)
    return run_simulation(network, options, progress)
