"""What quantization costs, by the metric of float network and integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.flow.network.judged import Judged
from bitlathe.model.graph.files.archive import graph_digest
from bitlathe.model.graph.nodes import Conv2d, Dense


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationResult(Judged):
    """A quantized network's measures; the row that --json prints."""

    network: str
    dataset: str
    images: int
    weight_bits: int
    activation_bits: int
    per_channel: bool | None  # None for a graph read from a file
    calibration_images: int | None
    search_formats: bool | None
    parameters: int  # weights and biases
    macs: int  # multiply-accumulates of one image
    weights: Mapping[str, object]
    graph: str  # digest of the integer graph
    out: str | None  # file of the integer graph


def judge(network: IntegerNetwork, images: int | None, out: Path | None) -> QuantizationResult:
    """The metric of the float and the integer network on test images; `out` is the file it was saved in."""
    pictures, labels = network.test_images(images)
    layers = [node for node in network.graph.nodes if isinstance(node, Conv2d | Dense)]
    return QuantizationResult(
        network=network.name,
        dataset=network.dataset.name,
        images=len(labels),
        metric=network.metric,
        score_float=network.float_score(pictures, labels),
        score_integer=network.score_of(network.all_outputs(pictures), labels),
        weight_bits=network.weight_bits,
        activation_bits=network.activation_bits,
        per_channel=None if network.config is None else network.config.per_channel,
        calibration_images=None if network.config is None else network.config.calibration_images,
        search_formats=None if network.config is None else network.config.search_formats,
        parameters=sum(node.weight.size + node.bias.size for node in layers),
        macs=network.macs,
        weights=network.weights,
        graph=graph_digest(network.graph),
        out=None if out is None else str(out),
    )
