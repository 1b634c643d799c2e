"""hls4ml's backend `bitlathe`: an hls4ml model runs on this package's engine instead of as a dataflow design.

hls4ml finds `register` through the entry point group `hls4ml.backends`. `compile` imports the model into the
integer graph, or refuses it by name; `predict` runs that graph; `write` emits what the engine needs.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hls4ml.backends.fpga.fpga_backend import FPGABackend
from hls4ml.model.flow import register_flow
from hls4ml.writer.writers import Writer

from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.compile.build_files import (
    MANIFEST,
    build_facts,
    engine_files,
    graph_files,
    program_files,
    versions,
)
from bitlathe.hls.cycles.model import DdrModel
from bitlathe.hls.functional.run import FunctionalEngine
from bitlathe.hls.hls4ml.importer.draft import Places
from bitlathe.hls.hls4ml.importer.importer import import_model
from bitlathe.hls.sim.engine import SimulatedEngine
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.hls.target.config import Target, find_target
from bitlathe.model.graph import proof
from bitlathe.model.graph.arrays import Floats, only
from bitlathe.model.graph.errors import FormatError, ShapeError, ToolError
from bitlathe.model.graph.files.build_plan import BuildPlan
from bitlathe.model.graph.fixed_point import FixedPoint, IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.reference import evaluate

NAME = "bitlathe"


class Execution(Enum):
    """The ways to compute a prediction; all three give the same integers."""

    REFERENCE = "reference"  # the integer graph on NumPy
    PROGRAM = "program"  # the compiled program on a functional engine
    RTL = "rtl"  # the compiled program on the simulated hardware


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lathe:
    """A model of hls4ml's as the engine takes it."""

    graph: Graph
    input_places: Places  # of hls4ml's elements in the flattened (C, H, W) input
    output_places: Places
    target: Target

    def compiled(self) -> Compiled:
        """Its program; UnsupportedLayer or CapacityError where the engine cannot hold the graph."""
        return compile_graph(self.graph, self.target.engine, DdrModel.of(self.target))

    def codes(self, x: Floats) -> IntArray:
        """Input codes (N, C, H, W) of hls4ml's input, (N, *shape) or flat: values of the input type.

        Raises ShapeError or FormatError; hls4ml's own programs round and wrap without a word.
        """
        size = self.input_places.size
        if x.size % size:
            raise ShapeError(f"input of shape {x.shape}; its elements must be a multiple of {size}")
        flat = np.empty((x.size // size, size), np.int64)
        flat[:, self.input_places.reshape(-1)] = _codes(x.reshape(-1, size), self.graph.input.format)
        return flat.reshape(-1, *self.graph.input.shape)

    def values(self, codes: IntArray) -> npt.NDArray[np.float64]:
        """hls4ml's output (N, elements) of output codes (N, C, H, W)."""
        flat = codes.reshape(len(codes), -1)[:, self.output_places.reshape(-1)]
        return np.ldexp(flat.astype(np.float64), -self.graph.format_of(self.graph.only_output).frac)

    def run(self, codes: IntArray, execution: Execution) -> IntArray:
        """Output codes (N, C, H, W) of input codes (N, C, H, W)."""
        if execution is Execution.REFERENCE:
            return evaluate(self.graph, codes)
        compiled = self.compiled()
        if execution is Execution.RTL:
            with closing(SimulatedEngine(self.target.engine, SimulatedDdr.of(self.target))) as engine:
                return engine.run(compiled, codes).codes.astype(np.int32)
        simulation = FunctionalEngine.of(compiled)
        return only(compiled.output_layouts).unpack(simulation.run(compiled.input_layout.pack(codes)))

    def plan(self) -> BuildPlan:
        """Graph, program, weights, engine, a manifest with their digests; equal models give equal bytes."""
        compiled = self.compiled()
        plan = BuildPlan({**graph_files(self.graph), **program_files(compiled), **engine_files(self.target)})
        facts = {**versions(self.graph.name), **build_facts(self.graph, compiled, self.target)}
        return plan.with_json(MANIFEST, {**facts, "files": plan.entries()})


class BitlatheWriter(Writer):  # type: ignore[misc]  # hls4ml has no types
    """Writes the plan of a `Lathe` into the model's output folder."""

    def write_hls(self, model: Any) -> None:
        """Write the files, all or none; DataError where that fails."""
        lathe_of(model).plan().write_over(Path(model.config.get_output_dir()))


class BitlatheBackend(FPGABackend):  # type: ignore[misc]  # hls4ml has no types
    """The backend; hls4ml calls its methods by name."""

    def __init__(self) -> None:
        super().__init__(NAME)
        started = register_flow(
            "init_layers", self._get_layer_initializers(), requires=["optimize"], backend=NAME
        )
        inferred = register_flow("optimize", ["infer_precision_types"], requires=[started], backend=NAME)
        self._default_flow = register_flow("ip", None, requires=["optimize", started, inferred], backend=NAME)

    def get_default_flow(self) -> str:
        """Flow that a model goes through when made."""
        return str(self._default_flow)

    def get_writer_flow(self) -> str:
        """The same: nothing is changed before writing."""
        return self.get_default_flow()

    def create_initial_config(
        self,
        board: str = "pynq-z2",
        execution: str = Execution.REFERENCE.value,
        io_type: str = "io_parallel",
        **_: Any,
    ) -> dict[str, Any]:
        """hls4ml's configuration for a target and a way to predict; `io_type` changes nothing here.

        Raises CapacityError for an unknown board, FormatError for an unknown execution.
        """
        return {
            "Board": find_target(board or "pynq-z2").name,
            "Execution": _execution(execution).value,
            "IOType": io_type or "io_parallel",
            "HLSConfig": {},
        }

    def write(self, model: Any) -> None:
        """Write graph, program, weights and engine into the model's output folder."""
        self.writer.write_hls(model)

    def compile(self, model: Any) -> None:
        """Import the model and compile its program, so that what cannot be built is refused here.

        It returns no name of a library; hls4ml then loads the running program instead.
        """
        lathe_of(model).compiled()

    def predict(self, model: Any, x: Floats) -> Floats:
        """hls4ml's prediction (N, elements), (elements,) of one sample, of the type of `x`."""
        lathe = lathe_of(model)
        execution = _execution(model.config.get_config_value("Execution", Execution.REFERENCE.value))
        values = lathe.values(lathe.run(lathe.codes(np.asarray(x)), execution)).astype(np.asarray(x).dtype)
        return values[0] if len(values) == 1 else values

    def build(self, model: Any, **_: Any) -> None:
        """Refused: the engine is synthesized once for all networks, not for a model."""
        raise ToolError(
            f"{model.config.get_project_name()}: the engine is not synthesized per model; write() the model, "
            "and build the engine of its target with `make hls`"
        )


def lathe_of(model: Any) -> Lathe:
    """hls4ml's model as a graph that is proven not to overflow.

    Raises UnsupportedLayer for what has no exact integer form, OverflowRisk where a sum could leave int32.
    """
    graph, entering, leaving = import_model(model)
    proof.check(graph)
    board = model.config.get_config_value("Board", "pynq-z2")
    return Lathe(graph=graph, input_places=entering, output_places=leaving, target=find_target(board))


def register(register_backend: Callable[..., None], register_writer: Callable[..., None]) -> None:
    """Make the backend known to hls4ml, which calls this when it is imported."""
    register_writer(NAME, BitlatheWriter)
    register_backend(NAME, BitlatheBackend)


def _execution(name: str) -> Execution:
    known = [execution.value for execution in Execution]
    if name not in known:
        raise FormatError(f"execution {name!r} is unknown; choose one of {', '.join(known)}")
    return Execution(name)


def _codes(x: Floats, code: FixedPoint) -> npt.NDArray[np.int64]:
    scaled = np.ldexp(x.astype(np.float64), code.frac)
    codes = np.rint(scaled)
    if (codes != scaled).any() or (codes < code.lo).any() or (codes > code.hi).any():
        raise FormatError(
            f"input values are not codes of {code.bits} bits and {code.frac} fraction bits; round them to "
            f"multiples of {code.scale:g} from {code.lo * code.scale:g} to {code.hi * code.scale:g}"
        )
    return np.asarray(codes, np.int64)
