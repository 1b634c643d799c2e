"""From hls4ml's model to the integer graph, exactly or not at all: one reader a class of layers."""

from collections.abc import Callable
from typing import Any

from bitlathe.hls.hls4ml.importer.draft import GraphDraft, LayerOutput, Places, standard_places
from bitlathe.hls.hls4ml.importer.join_readers import (
    read_activation,
    read_concatenation,
    read_merge,
    read_reshape,
    read_transpose,
)
from bitlathe.hls.hls4ml.importer.pool_readers import read_pool
from bitlathe.hls.hls4ml.importer.product_readers import read_convolution, read_dense, read_scale
from bitlathe.hls.hls4ml.importer.sums import type_of
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.fixed_point import MAX_BITS, MIN_BITS, FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Input, Shape


def import_model(model: Any) -> tuple[Graph, Places, Places]:
    """Integer graph of hls4ml's `ModelGraph`, and the places of its input's and its output's elements.

    Raises UnsupportedLayer, naming the layer, for what the integer graph cannot compute exactly.
    """
    builder, values = GraphDraft(), dict[str, LayerOutput]()
    layers = tuple(model.get_layers())
    if len(model.get_input_variables()) != 1 or len(model.outputs) != 1:
        raise UnsupportedLayer(
            f"{model.config.get_project_name()}: has {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs; a model is read with one of each: split it"
        )
    for layer in layers:
        reader = READERS.get(layer.class_name)
        if reader is None:
            raise UnsupportedLayer(
                f"{layer.name}: a {layer.class_name} has no exact integer form here; remove it or replace it "
                f"by {', '.join(sorted(READERS))}"
            )
        values[layer.outputs[0]] = reader(
            builder, layer, [values[name] for name in layer.inputs if name in values]
        )
    last = values[model.outputs[0]]
    output = builder.tensor(last)
    graph = Graph(name=str(model.config.get_project_name()), nodes=tuple(builder.nodes), output=output)
    return graph, values[model.inputs[0]].places, last.places


def _read_input(builder: GraphDraft, layer: Any, sources: list[LayerOutput]) -> LayerOutput:
    kind = type_of(layer, "result")
    shape = tuple(int(n) for n in layer.get_output_variable().shape)
    if len(shape) not in (1, 3) or not MIN_BITS <= kind.bits <= MAX_BITS:
        raise UnsupportedLayer(
            f"{layer.name}: an input of shape {shape} and {kind.bits} bits; it must be (features,) or "
            f"(height, width, channels) of {MIN_BITS} to {MAX_BITS} bits"
        )
    channels_first: Shape = (shape[2], shape[0], shape[1]) if len(shape) == 3 else (shape[0], 1, 1)
    code = FixedPoint(bits=kind.bits, frac=kind.frac, signed=kind.signed)
    tensor = builder.add(
        Input(name=layer.name, format=code, shape=channels_first), channels_first, code.lo, code.hi
    )
    return LayerOutput(
        layer=layer.name, places=standard_places(channels_first).reshape(shape), type=kind, tensor=tensor
    )


LayerReader = Callable[[GraphDraft, Any, list[LayerOutput]], LayerOutput]
READERS: dict[str, LayerReader] = {
    "Input": _read_input,
    "Dense": read_dense,
    "Conv2D": read_convolution,
    "PointwiseConv2D": read_convolution,
    "DepthwiseConv2D": read_convolution,
    "BatchNormalization": read_scale,
    "ApplyAlpha": read_scale,
    "Activation": read_activation,
    "Merge": read_merge,
    "Pooling2D": read_pool,
    "GlobalPooling2D": read_pool,
    "Concatenate": read_concatenation,
    "Reshape": read_reshape,
    "Transpose": read_transpose,
}
