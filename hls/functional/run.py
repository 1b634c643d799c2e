"""Functional simulator: executes an encoded program on arrays, exactly as the engine must, without its clock.

Memories start poisoned: reading a word that nothing wrote is an error, as are bank conflicts inside a pixel
group, accesses beyond a memory, and a wait for a descriptor that comes later. With a random generator the
units advance in any order that the waits allow, into the next inputs too, so a missing wait shows as a wrong
result or as poison.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bitlathe.hls.checks import check
from bitlathe.hls.cycles.model import UNITS
from bitlathe.hls.functional.exec import execute
from bitlathe.hls.functional.memory import Machine
from bitlathe.hls.program import Descriptor, End, Exec, LoadMove, LoadWeights, Program, StoreMove
from bitlathe.hls.program.decode import DecodedProgram, decode_program
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.arrays import Bytes
from bitlathe.model.graph.errors import FormatError

Queued = tuple[int, Descriptor]  # its index
Trace = Callable[[int, Bytes], None]  # descriptor, words it wrote (out_tiles, out_h, out_w, pi)


class Loadable(Protocol):
    """The parts of a compiled network that an engine is given."""

    @property
    def program(self) -> Program: ...
    @property
    def weights(self) -> bytes: ...
    @property
    def scratch_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionalEngine:
    """A program with its weights on a functional engine."""

    configuration: EngineConfiguration
    program: bytes
    weights: bytes
    scratch_bytes: int = 0

    @classmethod
    def of(cls, network: Loadable) -> "FunctionalEngine":
        """That of a compiled network."""
        return cls(
            configuration=network.program.configuration,
            program=network.program.encode(),
            weights=network.weights,
            scratch_bytes=network.scratch_bytes,
        )

    def run(self, inputs: Bytes, rng: np.random.Generator | None = None, trace: Trace | None = None) -> Bytes:
        """Outputs (N, output_stride) of inputs (N, input_stride); `trace` sees what every EXEC wrote.

        Without `rng` descriptors run in stream order. Raises FormatError for what no engine may do.
        """
        decoded = decode_program(self.program, self.configuration)
        machine = Machine.poisoned(self.configuration, self.weights, self.scratch_bytes)
        queues = _queues(decoded)
        machine.open(inputs, decoded.header.output_stride)
        if rng is not None:
            for number, one in _order(queues, len(inputs), rng):
                _run(machine, one, number, trace)
            return machine.outputs()
        for number in range(len(inputs)):
            machine.forget()
            for _, one in _order(queues, 1, None):
                _run(machine, one, number, trace)
        return machine.outputs()


def _run(machine: Machine, queued: Queued, number: int, trace: Trace | None) -> None:
    """Run a descriptor of an input of a `number`."""
    index, descriptor = queued
    check(descriptor, machine.configuration)
    machine.present(number)
    if isinstance(descriptor, LoadMove):
        machine.load(descriptor)
    elif isinstance(descriptor, StoreMove):
        machine.store(descriptor)
    elif isinstance(descriptor, LoadWeights) and not (descriptor.once and number):
        machine.load_weights(descriptor)
    elif isinstance(descriptor, Exec):
        words = execute(machine, descriptor)
        if trace is not None:
            trace(index, words)


def _order(
    queues: list[list[Queued]], inputs: int, rng: np.random.Generator | None
) -> Iterator[tuple[int, Queued]]:
    """Inputs and their descriptors in an order that the waits allow."""
    sizes = [len(queue) for queue in queues]
    done = [0, 0, 0]
    while any(count < inputs * size for count, size in zip(done, sizes, strict=True)):
        heads = [
            (done[unit] // size, queues[unit][done[unit] % size])
            for unit, size in enumerate(sizes)
            if done[unit] < inputs * size
        ]
        ready = [(number, head) for number, head in heads if _may_run(head[1], number, sizes, done)]
        if not ready:
            raise FormatError(
                f"{heads[0][1][1].node}: waits for descriptors that cannot run; the program never ends"
            )
        chosen = (
            min(ready, key=lambda one: (one[0], one[1][0]))
            if rng is None
            else ready[int(rng.integers(len(ready)))]
        )
        yield chosen
        done[UNITS[chosen[1][1].opcode]] += 1


def _may_run(descriptor: Descriptor, number: int, sizes: list[int], done: list[int]) -> bool:
    if descriptor.once and number:
        return True  # skipped, and it waits for nothing
    waits = zip(descriptor.waits, sizes, done, strict=True)
    return all(number * size + wait <= count for wait, size, count in waits)


def _queues(program: DecodedProgram) -> list[list[Queued]]:
    """Descriptors of each unit, END aside; FormatError unless END is last and only there."""
    ends = [index for index, one in enumerate(program.descriptors) if isinstance(one, End)]
    if ends != [len(program.descriptors) - 1]:
        raise FormatError(
            f"program: END at {ends} of {len(program.descriptors)} descriptors; it must be the last one only"
        )
    queues: list[list[Queued]] = [[], [], []]
    for index, descriptor in enumerate(program.descriptors[:-1]):
        waits = zip(descriptor.waits, queues, strict=True)
        if any(wait > len(queue) for wait, queue in waits):
            raise FormatError(
                f"{descriptor.node}: waits for a descriptor after it; in-order dispatch would hang"
            )
        queues[UNITS[descriptor.opcode]].append((index, descriptor))
    return queues
