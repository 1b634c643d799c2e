"""Bits a weight of the committed networks: as they are, as masks and codes, and as Huffman codes would be.

python benchmarks/entropy.py

Prints a row for each network. Huffman codes are one code for all layers or one a layer, without the bits of
their tables; a code's length is not limited, so no decoder does better.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.network.obtain import obtain
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense

FOUND = Path(__file__).parent / "networks" / "resnet20-fast.blgc"
SUBJECTS = {
    "lenet5": NetworkRequest(network="lenet5", calibration_images=16),
    "resnet8": NetworkRequest(network="resnet8", calibration_images=16),
    "resnet20-fast, 4 bits": NetworkRequest(graph=FOUND),
}
COLUMNS = (
    "network",
    "weights",
    "zeros",
    "bits",
    "mask and codes",
    "Huffman",
    "Huffman by layer",
    "entropy by layer",
)

Counts = npt.NDArray[np.int64]


def main() -> int:
    """Exit status: 0."""
    print_table("bits a weight", COLUMNS, list(map(_cells, SUBJECTS, _graphs())))
    return 0


def _graphs() -> Iterator[Graph]:
    for request in SUBJECTS.values():
        yield obtain(request).graph


def _cells(name: str, graph: Graph) -> tuple[str, ...]:
    layers = [node for node in graph.nodes if isinstance(node, Conv2d | Dense)]
    plain = sum(node.weight.size * node.weight_bits for node in layers)
    coded = sum(np.count_nonzero(node.weight) * node.weight_bits for node in layers)
    counts = [np.unique(node.weight, return_counts=True) for node in layers]
    total = sum(node.weight.size for node in layers)
    zeros = sum(int((node.weight == 0).sum()) for node in layers) / total
    values = np.concatenate([values for values, _ in counts])
    merged = np.array([each.sum() for each in _by_value(values, np.concatenate([c for _, c in counts]))])
    return (
        name,
        f"{total:,}",
        f"{100 * zeros:.1f} %",
        f"{plain / total:.2f}",
        f"{1 + coded / total:.2f}",
        f"{huffman_bits(merged) / total:.2f}",
        f"{sum(huffman_bits(each) for _, each in counts) / total:.2f}",
        f"{sum(entropy_bits(each) for _, each in counts) / total:.2f}",
    )


def _by_value(values: npt.NDArray[np.int64], counts: Counts) -> Iterator[Counts]:
    for value in np.unique(values):
        yield counts[values == value]


def huffman_bits(counts: Counts) -> int:
    """Bits of all symbols in an optimal prefix code."""
    order = count()
    heap = [(int(each), next(order)) for each in counts]
    heapq.heapify(heap)
    bits = int(counts.sum()) if len(heap) == 1 else 0
    while len(heap) > 1:
        together = heapq.heappop(heap)[0] + heapq.heappop(heap)[0]
        bits += together
        heapq.heappush(heap, (together, next(order)))
    return bits


def entropy_bits(counts: Counts) -> float:
    """Bits of all symbols at their entropy."""
    share = counts / counts.sum()
    return float(-(counts * np.log2(share)).sum())


if __name__ == "__main__":
    sys.exit(main())
