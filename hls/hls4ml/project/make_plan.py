"""make_plan: refuse, lower, choose reuse factors."""

from bitlathe.hls.hls4ml.project import refusals
from bitlathe.hls.hls4ml.project.lower import lower
from bitlathe.hls.hls4ml.project.plan import Backend, Options, ProjectPlan
from bitlathe.hls.hls4ml.project.reuse import check_reuse_factor, choose_reuse_factors
from bitlathe.hls.target.config import Target
from bitlathe.model.graph import proof
from bitlathe.model.graph.errors import CapacityError, UnsupportedLayer
from bitlathe.model.graph.graph import Graph

BRAM_BITS, URAM_BITS = 36 * 1024, 288 * 1024


def make_plan(graph: Graph, target: Target, options: Options | None = None) -> ProjectPlan:
    """Layers, types and reuse factors of a project.

    Raises OverflowRisk for a graph whose accumulators could overflow, UnsupportedLayer for what hls4ml has no
    exact form of, CapacityError where the target has too few DSPs or too little memory for the weights.
    """
    options = options or Options()
    _check_backend(target, options.backend)
    proof.check(graph)
    refusals.check_graph(graph)
    layers, output = lower(graph)
    factors = (
        choose_reuse_factors(layers, target)
        if options.reuse_factor is None
        else check_reuse_factor(layers, target, options.reuse_factor)
    )
    plan = ProjectPlan(graph=graph, layers=layers, output=output, reuse_factors=factors)
    _check_memory(plan, target)
    return plan


def _check_backend(target: Target, backend: Backend) -> None:
    if backend is Backend.VIVADO_ACCELERATOR and target.hls4ml_board is None:
        raise UnsupportedLayer(
            f"{target.name}: hls4ml's {backend.value} has no such board, for its file names no hls4ml_board; "
            f"choose {Backend.VITIS.value}"
        )


def _check_memory(plan: ProjectPlan, target: Target) -> None:
    available = target.bram36 * BRAM_BITS + target.uram * URAM_BITS
    if plan.weight_bits > available:
        raise CapacityError(
            f"{plan.graph.name}: weights of {plan.weight_bits} bits, {target.name} has {available} on chip; "
            "hls4ml keeps all there: choose a larger target, prune, or use the engine, which streams them"
        )
