"""Compiling for a board: its engine, its memory's timing, and the window of DDR that it gives the engine."""

from bitlathe.hls.compile.compiler import Compiled, compile_graph
from bitlathe.hls.config import Target
from bitlathe.hls.cycle_model import DdrModel
from bitlathe.hls.explore.area import check_fits
from bitlathe.hls.program import DESCRIPTOR_BYTES
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.graph import Graph

MIB = 1 << 20


def compile_for(graph: Graph, target: Target) -> Compiled:
    """Program of `graph` for a target; errors as `check_fits`, `compile_graph` and `check_window`."""
    check_fits(target)
    compiled = compile_graph(graph, target.engine, DdrModel.of(target))
    check_window(compiled, target)
    return compiled


def ddr_bytes(compiled: Compiled) -> int:
    """Bytes of program, weights, one input, one output and scratch maps."""
    program = (1 + len(compiled.program.descriptors)) * DESCRIPTOR_BYTES
    ends = compiled.program.input_stride + compiled.program.output_stride
    return program + len(compiled.weights) + ends + compiled.scratch_bytes


def check_window(compiled: Compiled, target: Target) -> None:
    """Raise CapacityError when a compiled network needs more DDR than the target's window holds."""
    needed, window = ddr_bytes(compiled), target.ddr_window_mib * MIB
    if needed > window:
        raise CapacityError(
            f"{compiled.name}: {needed / MIB:.1f} MiB of weights and maps in DDR, {target.name} has a window "
            f"of {target.ddr_window_mib} MiB; prune the network, quantize to fewer bits or use smaller images"
        )
