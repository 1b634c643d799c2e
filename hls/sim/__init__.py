"""The engine's hardware description as a fast simulator: compiled once, run from Python, its cycles exact."""

from bitlathe.hls.sim.build import BuildOptions, build_model, engine_model
from bitlathe.hls.sim.engine import CompiledNetwork, RunResult, SimulatedEngine
from bitlathe.hls.sim.faults import EngineStopped, EngineTimeout, ProtocolViolation
from bitlathe.hls.sim.many import ManyResult, simulate_many
from bitlathe.hls.sim.memory import SimulatedDdr, WriteOrder
from bitlathe.hls.sim.model import AxiChannel, BusError, Counters, Model, Response

__all__ = [
    "AxiChannel",
    "BuildOptions",
    "BusError",
    "CompiledNetwork",
    "Counters",
    "EngineStopped",
    "EngineTimeout",
    "ManyResult",
    "Model",
    "ProtocolViolation",
    "Response",
    "RunResult",
    "SimulatedDdr",
    "SimulatedEngine",
    "WriteOrder",
    "build_model",
    "engine_model",
    "simulate_many",
]
