"""How long a run may take before it counts as hung: a generous bound, not the cycle model."""

from bitlathe.hls.cycles.model import exec_passes, move_beats
from bitlathe.hls.program import Descriptor, Exec, LoadWeights, Move, Program
from bitlathe.hls.program.moves import BURST_BEATS
from bitlathe.hls.sim.memory import PATIENCE_CYCLES, SimulatedDdr

FACTOR = 4  # the bound below ignores bank conflicts and waits, and overlaps nothing
FLOOR = 20_000  # cycles


def deadline_cycles(program: Program, ddr: SimulatedDdr, inputs: int) -> int:
    """Cycles by which a start with `inputs` inputs is done unless something is broken."""
    once = sum(_cycles(descriptor, ddr) for descriptor in program.descriptors)
    return FLOOR + FACTOR * inputs * once


def drain_cycles(ddr: SimulatedDdr) -> int:
    """Cycles by which every burst in flight is over, unless the memory is silent."""
    beats = 2 * BURST_BEATS * ddr.outstanding
    return FLOOR + FACTOR * (ddr.latency + ddr.write_latency + round(beats * _beat_cycles(ddr)))


def _cycles(descriptor: Descriptor, ddr: SimulatedDdr) -> int:
    """Cycles of one descriptor with nothing beside it, its own fetch included."""
    overhead = 2 * (ddr.latency + ddr.write_latency + PATIENCE_CYCLES) + 100
    return overhead + round((_beats(descriptor) + 64) * _beat_cycles(ddr)) + _array_cycles(descriptor)


def _beat_cycles(ddr: SimulatedDdr) -> float:
    """Cycles a beat takes at least: limited by the data channel, or by how many latencies overlap."""
    flow = ddr.busy * (1 - ddr.stall_percent / 100) ** 2
    latency = max(ddr.latency, ddr.write_latency) + BURST_BEATS / flow
    return max(1 / flow, latency / (BURST_BEATS * ddr.outstanding))


def _beats(descriptor: Descriptor) -> int:
    return move_beats(descriptor) if isinstance(descriptor, Move | LoadWeights) else 0


def _array_cycles(descriptor: Descriptor) -> int:
    return _groups(descriptor) * descriptor.group_cycles if isinstance(descriptor, Exec) else 0


def _groups(execute: Exec) -> int:
    """Pixel groups of all output tiles, each row's last one rounded up."""
    a_row = -(-execute.out_w // execute.group_lanes)
    return execute.out_h * a_row * exec_passes(execute)
