"""The compiled kernels beside the reference."""

from __future__ import annotations

from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.native.evaluator import CompiledGraph
from bitlathe.model.native.library import NATIVE, PLAIN, kernels


def mismatches(graph: Graph, codes: IntArray, threads: int = 1) -> int:
    """Differing codes of both builds of the kernels."""
    wanted = evaluate(graph, codes)
    made = [CompiledGraph(graph, kernels(flags)).evaluate(codes, threads) for flags in (NATIVE, PLAIN)]
    return sum(int((codes != wanted).sum()) for codes in made)
