"""Loss of accuracy from float to integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.model.graph.files.archive import graph_digest
from bitlathe.model.graph.nodes import Conv2d, Dense


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationResult:
    """A quantized network's measures; the row that --json prints."""

    network: str
    dataset: str
    images: int
    accuracy_float: float | None  # None for a graph read from a file
    accuracy_integer: float | None  # both None where the outputs are not its classes
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

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def judge(network: IntegerNetwork, images: int | None, out: Path | None) -> QuantizationResult:
    """Accuracy of the float and the integer network on test images; `out` is the file it was saved in."""
    pictures, labels = network.test_images(images)
    layers = [node for node in network.graph.nodes if isinstance(node, Conv2d | Dense)]
    return QuantizationResult(
        network=network.name,
        dataset=network.dataset.name,
        images=len(labels),
        accuracy_float=network.float_accuracy(pictures, labels),
        accuracy_integer=network.accuracy_of(network.all_outputs(pictures), labels),
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
