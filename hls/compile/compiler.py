"""compile_graph: lower, plan, build, schedule; compile_for: the same for a board, if it fits there."""

from dataclasses import dataclass

from bitlathe.hls.compile.build import build_steps
from bitlathe.hls.compile.layout import InputLayout, OutputLayout
from bitlathe.hls.compile.lower import lower
from bitlathe.hls.compile.plan import EnginePlan, make_plan
from bitlathe.hls.compile.schedule import scheduled
from bitlathe.hls.compile.validate import validate
from bitlathe.hls.compile.weights import WeightImage, weight_image
from bitlathe.hls.cycles.model import DdrModel, Prediction, predict
from bitlathe.hls.program import DESCRIPTOR_BYTES, Program
from bitlathe.hls.target.area import check_fits
from bitlathe.hls.target.config import EngineConfiguration, Target
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.graph import Graph

INPUT_STRIPS = (2, 3, 4, 6, 8)
RING_SHARES = (2, 3, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A network ready for an engine."""

    name: str
    program: Program
    weights: bytes  # image of the WEIGHTS space
    input_layout: InputLayout
    output_layouts: tuple[OutputLayout, ...]  # of the graph's outputs, in order
    scratch_bytes: int  # size of the SCRATCH space
    predicted: Prediction  # of one input, weights not yet on chip

    @property
    def labels(self) -> tuple[str, ...]:
        """Graph node of each descriptor, END aside, for profiles."""
        return tuple(descriptor.node for descriptor in self.program.descriptors[:-1])


def compile_graph(graph: Graph, configuration: EngineConfiguration, ddr: DdrModel | None = None) -> Compiled:
    """Program of `graph` for an engine, scheduled for a memory of `ddr`.

    Raises UnsupportedLayer for what the engine cannot compute exactly, CapacityError for what it cannot hold.
    """
    ddr = ddr or DdrModel()
    network = lower(graph, configuration)
    image = weight_image(network, configuration)
    shares = (1,) if image.stays else RING_SHARES
    plans = (make_plan(network, image, configuration, ddr, share) for share in shares)
    best = min((_candidate(plan, image, ddr) for plan in plans), key=_Candidate.cost)
    cut = (best.plan.with_input_strips(count) for count in INPUT_STRIPS)
    strips = (_candidate(plan, image, ddr) for plan in cut if plan is not best.plan)
    best = min((best, *strips), key=_Candidate.cost)
    validate(best.program)
    return Compiled(
        name=graph.name,
        program=best.program,
        weights=image.data,
        input_layout=network.input_layout,
        output_layouts=network.output_layouts,
        scratch_bytes=best.plan.scratch_bytes,
        predicted=best.first,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A plan carried out."""

    plan: EnginePlan
    program: Program
    first: Prediction  # of the first input
    later: Prediction  # of an input whose resident weights are on chip already

    def cost(self) -> tuple[int, int, int]:
        """Cycles of later inputs, of the first, and descriptors."""
        return self.later.cycles, self.first.cycles, len(self.program.descriptors)


def _candidate(plan: EnginePlan, image: WeightImage, ddr: DdrModel) -> _Candidate:
    program = Program(
        descriptors=scheduled(build_steps(plan, image), plan.configuration, ddr),
        configuration=plan.configuration,
        input_stride=plan.network.input_layout.bytes,
        output_stride=plan.network.output_bytes,
    )
    first = predict(program, ddr)
    later = predict(program, ddr, weights_resident=True)
    return _Candidate(plan=plan, program=program, first=first, later=later)


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
