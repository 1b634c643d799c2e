"""The files of a compiled network, and their description in a manifest, for all who write one."""

from dataclasses import asdict
from importlib.metadata import version

from bitlathe.hls.compile.compiler import Compiled
from bitlathe.hls.emit import emit_rtl
from bitlathe.hls.target.config import PROGRAM_VERSION, Target
from bitlathe.model.graph.files.archive import encode_graph, graph_digest
from bitlathe.model.graph.graph import Graph

MANIFEST = "manifest.json"
GRAPH, PROGRAM, WEIGHTS = "graph.blg", "program.bin", "weights.bin"


def program_files(compiled: Compiled) -> dict[str, bytes]:
    """The files that the engine reads."""
    return {PROGRAM: compiled.program.encode(), WEIGHTS: compiled.weights}


def graph_files(graph: Graph) -> dict[str, bytes]:
    """The file of the integer graph."""
    return {GRAPH: encode_graph(graph)}


def engine_files(target: Target) -> dict[str, bytes]:
    """The engine's sources; CapacityError where it cannot fit the target's part."""
    return {f"rtl/{name}": text.encode() for name, text in emit_rtl(target).items()}


def versions(network: str) -> dict[str, object]:
    """The first entries of a manifest."""
    return {"bitlathe": version("bitlathe"), "program_version": PROGRAM_VERSION, "network": network}


def build_facts(graph: Graph, compiled: Compiled, target: Target) -> dict[str, object]:
    """A manifest's description of the graph, the engine, and the program's input and output."""
    return {
        "graph": graph_digest(graph),
        "target": {"name": target.name, "part": target.part, "clock_mhz": target.clock_mhz},
        "engine": {**asdict(target.engine), "identity": target.engine.identity},
        "input": {**asdict(compiled.input_layout), "bytes": compiled.input_layout.bytes},
        **_output_facts(graph, compiled),
        "scratch_bytes": compiled.scratch_bytes,
    }


def _output_facts(graph: Graph, compiled: Compiled) -> dict[str, object]:
    """The layout of the one output, or of each by its name."""
    facts: list[dict[str, object]] = [
        {**asdict(layout), "bytes": layout.bytes} for layout in compiled.output_layouts
    ]
    if len(facts) > 1:
        return {
            "outputs": [
                {"name": output.name, **fact} for output, fact in zip(graph.outputs, facts, strict=True)
            ]
        }
    del facts[0]["offset"]  # of a lone output 0
    return {"output": facts[0]}
