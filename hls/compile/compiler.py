"""compile_graph: lower, plan, build, schedule."""

from collections.abc import Iterator
from dataclasses import dataclass

from bitlathe.hls.compile.build import build_steps
from bitlathe.hls.compile.layout import InputLayout, OutputLayout
from bitlathe.hls.compile.lower import lower
from bitlathe.hls.compile.network import Network
from bitlathe.hls.compile.planning import Choices, make_plan
from bitlathe.hls.compile.schedule import scheduled
from bitlathe.hls.compile.validate import validate
from bitlathe.hls.compile.weights import WeightImage, weight_image
from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.cycle_model import DdrModel, Prediction, predict
from bitlathe.hls.program import Program
from bitlathe.model.graph.graph import Graph

INPUT_STRIPS = (1, 2, 3, 4, 6, 8)
RING_SHARES = (2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A network ready for an engine."""

    name: str
    program: Program
    weights: bytes  # image of the WEIGHTS space
    input_layout: InputLayout
    output_layout: OutputLayout
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
    tried = [_compiled(network, image, configuration, ddr, choices) for choices in _choices(image, configuration)]
    best = min(tried, key=lambda compiled: compiled.predicted.cycles)
    validate(best.program)
    return best


def _choices(image: WeightImage, configuration: EngineConfiguration) -> Iterator[Choices]:
    shares = (2,) if image.lines <= configuration.weight_lines else RING_SHARES
    return (Choices(input_strips=strips, ring_shares=share) for share in shares for strips in INPUT_STRIPS)


def _compiled(
    network: Network, image: WeightImage, configuration: EngineConfiguration, ddr: DdrModel, choices: Choices
) -> Compiled:
    plan = make_plan(network, image, configuration, ddr, choices)
    program = Program(
        descriptors=scheduled(build_steps(plan, image), configuration, ddr),
        configuration=configuration,
        input_stride=network.input_layout.bytes,
        output_stride=network.output_layout.bytes,
    )
    return Compiled(
        name=network.name,
        program=program,
        weights=image.data,
        input_layout=network.input_layout,
        output_layout=network.output_layout,
        scratch_bytes=plan.scratch_bytes,
        predicted=predict(program, ddr),
    )
