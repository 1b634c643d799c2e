"""Thousands of inputs through several simulated engines at once."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.hls.sim.build import engine_model
from bitlathe.hls.sim.engine import CompiledNetwork, OutputCodes, RunResult, SimulatedEngine
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.model.graph.arrays import only

CHUNK = 8  # inputs a task: few enough for a lively progress bar, many enough to keep the engines busy


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyResult:
    """Results in the order of the inputs, whichever engine ran them."""

    outputs: OutputCodes
    cycles: tuple[int, ...]  # latency of each input, weights resident

    @property
    def codes(self) -> NDArray[np.integer[Any]]:
        """Codes (N, C, H, W) of the one output; ShapeError where there are several."""
        return only(self.outputs)


def simulate_many(
    network: CompiledNetwork,
    codes: NDArray[np.integer[Any]],
    ddr: SimulatedDdr,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
    library: Path | None = None,
) -> ManyResult:
    """Run inputs (N, C, H, W), one per start, on `workers` engines; `progress` gets how many are done.

    Equal calls give equal results whatever `workers` is: each engine first loads the weights with a start
    that does not count, and each start restarts the memory's patterns. Raises as `SimulatedEngine.run`.
    """
    configuration = network.program.configuration
    library = library or engine_model(configuration)
    with ExitStack() as stack:
        engines = [SimulatedEngine(configuration, ddr, library=library) for _ in range(workers)]
        for engine in engines:
            stack.enter_context(closing(engine))
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        list(pool.map(lambda engine: engine.run(network, codes[:1]), engines))
        results = _run_chunks(pool, engines, network, codes, progress)
    return ManyResult(
        outputs=tuple(
            np.concatenate(parts) for parts in zip(*(result.outputs for result in results), strict=True)
        ),
        cycles=tuple(cycles for result in results for cycles in result.cycles),
    )


def _run_chunks(
    pool: ThreadPoolExecutor,
    engines: list[SimulatedEngine],
    network: CompiledNetwork,
    codes: NDArray[np.integer[Any]],
    progress: Callable[[int], None] | None,
) -> list[RunResult]:
    free: SimpleQueue[SimulatedEngine] = SimpleQueue()
    for engine in engines:
        free.put(engine)

    def run(first: int) -> RunResult:
        engine = free.get()
        try:
            return engine.run(network, codes[first : first + CHUNK])
        finally:
            free.put(engine)

    chunks = [pool.submit(run, first) for first in range(0, len(codes), CHUNK)]
    try:
        _report(chunks, progress)
        return [chunk.result() for chunk in chunks]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after a failure the rest need not start


def _report(chunks: list[Future[RunResult]], progress: Callable[[int], None] | None) -> None:
    """Tell `progress` as chunks are done; raises what the first failed one raised."""
    done = 0
    for chunk in as_completed(chunks):
        done += len(chunk.result().cycles)
        if progress is not None:
            progress(done)
