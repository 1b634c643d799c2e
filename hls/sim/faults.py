"""Failures of a run, each an error that names the descriptor and the graph node that it works for."""

from collections.abc import Mapping

from bitlathe.hls.program import ErrorCode, Program
from bitlathe.hls.program.registers import NO_DESCRIPTOR
from bitlathe.model.graph.errors import BitlatheError

_MEND = {
    ErrorCode.BAD_HEADER: "compile the program for this engine's configuration and version",
    ErrorCode.BAD_OPCODE: "the program in memory is damaged; write it again",
    ErrorCode.BAD_FIELD: "the program in memory is damaged, or the compiler made an impossible descriptor",
    ErrorCode.OUT_OF_BOUNDS: "the program reaches beyond a buffer (is its size too small?) or an on-chip "
    "store: compile it again",
    ErrorCode.AXI_READ: "the memory refused a read; check the buffers' addresses",
    ErrorCode.AXI_WRITE: "the memory refused a write; check the buffers' addresses",
    ErrorCode.ABORTED: "it was ended from outside; run it again",
    ErrorCode.BAD_STREAM: "the weights in memory are damaged, or are not this program's; write them again",
}

_STRAY = ("stray_reads", "stray_writes", "outstanding")  # statistics that are mistakes once a run is done


class EngineStopped(BitlatheError):
    """The engine stopped a run and says why."""

    def __init__(self, code: ErrorCode, descriptor: int, place: str) -> None:
        super().__init__(f"engine stopped with {code.name} at {place}; {_MEND[code]}")
        self.code = code
        self.descriptor = descriptor


class EngineTimeout(BitlatheError):
    """A run was not done by its deadline."""


class ProtocolViolation(BitlatheError):
    """The engine broke a rule of AXI, or touched memory that is not its own."""


def fault(code: int, descriptor: int, program: Program) -> EngineStopped:
    """Error of a non-zero error register."""
    known = ErrorCode(code) if code in {entry.value for entry in ErrorCode} else ErrorCode.BAD_HEADER
    return EngineStopped(known, descriptor, describe(program, descriptor))


def describe(program: Program, descriptor: int) -> str:
    """Words for a descriptor's number, as "descriptor 3 (EXEC of conv1)"."""
    if descriptor == NO_DESCRIPTOR:
        return "no descriptor (header, arguments or profile)"
    if descriptor >= len(program.descriptors):
        return f"descriptor {descriptor} (the program has {len(program.descriptors)})"
    entry = program.descriptors[descriptor]
    return f"descriptor {descriptor} ({entry.opcode.name} of {entry.node or 'no node'})"


def violation_words(counts: Mapping[str, int]) -> str:
    """Words for counted mistakes, as ", valid_dropped x 2"; empty for none."""
    return "".join(f", {name} x {count}" for name, count in counts.items())


def violation_message(broken: Mapping[str, int], statistics: Mapping[str, int]) -> str | None:
    """The rules of the bus that the engine broke in a run that is done, as text; None if it broke none."""
    stray = {kind: statistics[kind] for kind in _STRAY if statistics[kind]}
    if not broken and not stray:
        return None
    words = violation_words({**broken, **stray}).removeprefix(", ")
    where = f", first stray address {statistics['first_stray']:#x}" if statistics["first_stray"] else ""
    return f"the engine broke its bus rules: {words}{where}; this is a defect of the hardware description"
