"""Choose which layers of a network take a codebook, and of what size."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from bitlathe.model.graph.codebook import index_bits
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.config import LayerCodes, ProductConfig
from bitlathe.model.product.vectors import WeightVectors

WIDEST = 8  # bits of a codeword's entry


def plan(graph: Graph, config: ProductConfig) -> dict[str, LayerCodes]:
    """Codes of each layer that takes a codebook, by node, in order.

    Raises FormatError for settings of a layer that the graph lacks or that has too wide weights.
    """
    layers = [node for node in graph.nodes if isinstance(node, Conv2d | Dense)]
    _check_names(config.layers, [node.name for node in layers])
    chosen = {node.name: _chosen(node, config, first=node is layers[0]) for node in layers}
    return {name: codes for name, codes in chosen.items() if codes is not None}


def coded_bits(shape: tuple[int, ...], codes: LayerCodes) -> int:
    """Bits of codewords and indices for weights (out, in, ...)."""
    vectors = WeightVectors(shape=shape, length=codes.length).vectors
    return codes.codewords * codes.length * WIDEST + vectors * index_bits(codes.codewords)


def _chosen(node: Conv2d | Dense, config: ProductConfig, *, first: bool) -> LayerCodes | None:
    if node.name in config.layers:
        codes = config.layers[node.name]
        if codes is not None and node.weight_bits > WIDEST:
            raise FormatError(
                f"{node.name}: {node.weight_bits}-bit weights take no codebook; quantize it to {WIDEST} bits"
            )
        return codes
    grouped = isinstance(node, Conv2d) and node.groups > 1
    if first or grouped or node.weight.size < config.smallest or node.weight_bits > WIDEST:
        return None
    codes = _scaled(node, config.dense if isinstance(node, Dense) else config.convolution, config)
    return codes if coded_bits(node.weight.shape, codes) < node.weight.size * node.weight_bits else None


def _scaled(node: Conv2d | Dense, codes: LayerCodes, config: ProductConfig) -> LayerCodes:
    """Fewer codewords, a power of two, if too few vectors would share each."""
    vectors = WeightVectors(shape=node.weight.shape, length=codes.length).vectors
    affordable = 1 << (max(2, vectors // config.vectors_per_codeword).bit_length() - 1)
    return LayerCodes(length=codes.length, codewords=min(codes.codewords, affordable))


def _check_names(named: Iterable[str], known: list[str]) -> None:
    for name in named:
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
            raise FormatError(
                f"product quantization: no layer is called {name}; did you mean {', '.join(near)}?"
            )
