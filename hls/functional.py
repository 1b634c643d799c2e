"""Functional simulator: executes an encoded program on arrays, exactly as the engine must, without its clock.

Memories start poisoned: reading a word that nothing wrote is an error, as are bank conflicts inside a pixel
group, accesses beyond a memory, and a wait for a descriptor that comes later. With a random generator the
units advance in any order that the waits allow, into the next inputs too, so a missing wait shows as a wrong
result or as poison.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitlathe.hls.checks import check
from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.cycle_model import UNITS, WAITS
from bitlathe.hls.decode import Decoded, DecodedProgram, decode_program
from bitlathe.hls.functional_exec import execute
from bitlathe.hls.functional_memory import Machine
from bitlathe.hls.program import Opcode
from bitlathe.model.graph.errors import FormatError

Bytes = npt.NDArray[np.uint8]
Trace = Callable[[int, Bytes], None]  # descriptor, words it wrote (out_tiles, out_h, out_w, pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A program with its weights on a functional engine."""

    configuration: EngineConfiguration
    program: bytes
    weights: bytes
    scratch_bytes: int = 0

    def run(self, inputs: Bytes, rng: np.random.Generator | None = None, trace: Trace | None = None) -> Bytes:
        """Outputs (N, output_stride) of inputs (N, input_stride); `trace` sees what every EXEC wrote.

        Without `rng` descriptors run in stream order. Raises FormatError for what no engine may do.
        """
        decoded = decode_program(self.program, self.configuration)
        machine = Machine.poisoned(self.configuration, self.weights, self.scratch_bytes)
        queues = _queues(decoded)
        machine.open(inputs, decoded.header["output_stride"])
        if rng is not None:
            for index, descriptor in _order(queues, len(inputs), rng):
                _run(machine, descriptor, index, trace)
            return machine.outputs()
        for index in range(len(inputs)):
            machine.forget()
            for _, descriptor in _order(queues, 1, None):
                _run(machine, descriptor, index, trace)
        return machine.outputs()


def _run(machine: Machine, descriptor: Decoded, index: int, trace: Trace | None) -> None:
    fields = descriptor.fields
    check(descriptor, machine.configuration)
    machine.present(index)
    if descriptor.opcode is Opcode.LOAD:
        machine.load(descriptor)
    elif descriptor.opcode is Opcode.STORE:
        machine.store(descriptor)
    elif descriptor.opcode is Opcode.LOAD_WEIGHTS and not (fields["once"] and index):
        machine.load_weights(descriptor)
    elif descriptor.opcode is Opcode.EXEC:
        words = execute(machine, descriptor)
        if trace is not None:
            trace(descriptor.index, words)


def _order(
    queues: list[list[Decoded]], inputs: int, rng: np.random.Generator | None
) -> Iterator[tuple[int, Decoded]]:
    """Inputs and their descriptors in an order that the waits allow."""
    sizes = [len(queue) for queue in queues]
    done = [0, 0, 0]
    while any(count < inputs * size for count, size in zip(done, sizes, strict=True)):
        heads = [
            (done[unit] // size, queues[unit][done[unit] % size])
            for unit, size in enumerate(sizes)
            if done[unit] < inputs * size
        ]
        ready = [(index, head) for index, head in heads if _may_run(head, index, sizes, done)]
        if not ready:
            raise FormatError(
                f"{heads[0][1].where}: waits for descriptors that cannot run; the program never ends"
            )
        chosen = (
            min(ready, key=lambda one: (one[0], one[1].index))
            if rng is None
            else ready[int(rng.integers(len(ready)))]
        )
        yield chosen
        done[UNITS[chosen[1].opcode]] += 1


def _may_run(descriptor: Decoded, index: int, sizes: list[int], done: list[int]) -> bool:
    if descriptor.fields["once"] and index:
        return True  # skipped, and it waits for nothing
    waits = (descriptor.fields[name] for name in WAITS)
    return all(index * size + wait <= count for wait, size, count in zip(waits, sizes, done, strict=True))


def _queues(program: DecodedProgram) -> list[list[Decoded]]:
    """Descriptors of each unit, END aside; FormatError unless END is last and only there."""
    ends = [descriptor.index for descriptor in program.descriptors if descriptor.opcode is Opcode.END]
    if ends != [len(program.descriptors) - 1]:
        raise FormatError(
            f"program: END at {ends} of {len(program.descriptors)} descriptors; it must be the last one only"
        )
    queues: list[list[Decoded]] = [[], [], []]
    for descriptor in program.descriptors[:-1]:
        waits = zip(WAITS, queues, strict=True)
        if any(descriptor.fields[name] > len(queue) for name, queue in waits):
            raise FormatError(
                f"{descriptor.where}: waits for a descriptor after it; in-order dispatch would hang"
            )
        queues[UNITS[descriptor.opcode]].append(descriptor)
    return queues
