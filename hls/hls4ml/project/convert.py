"""From a plan to hls4ml's model, every type, constant and factor read back afterwards.

hls4ml takes silent defaults where a key is missing or misspelt, fuses layers, and moves reuse factors. So
nothing of what it returns is trusted: a difference is an error.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bitlathe.hls.hls4ml.project import library
from bitlathe.hls.hls4ml.project.plan import Attribute, Backend, MultiplierStrategy, ProjectLayer, ProjectPlan
from bitlathe.hls.target.config import Target
from bitlathe.model.graph.errors import ToolError, UnsupportedLayer

PROJECT = "network"
INSERTED = frozenset({"ZeroPadding2D", "Clone", "Repack", "Reshape"})  # they move codes and change none
CLASSES = {  # hls4ml's classes behind a name in its layer list
    "InputLayer": {"Input"},
    "Conv2D": {"Conv2D", "PointwiseConv2D"},
    "MaxPooling2D": {"Pooling2D"},
    "GlobalAveragePooling2D": {"GlobalPooling2D"},
    "Reshape": {"Reshape", "Repack"},
}
DEFAULT = "fixed<16,6>"  # of what has no values of its own; reading back finds a layer that took it


def to_model(plan: ProjectPlan, target: Target, backend: Backend, folder: Path) -> Any:
    """hls4ml's `ModelGraph` of a plan, which will write to `folder`.

    Raises UnsupportedLayer where hls4ml refuses, ToolError where it is missing or changed a layer.
    """
    graph = library.load("hls4ml.model.graph")
    with library.quiet() as said:
        try:
            model = graph.ModelGraph.from_layer_list(
                _configuration(plan, target, backend, folder),
                [_layer_list_entry(layer) for layer in plan.layers],
                [plan.layers[0].name],
                [plan.output],
            )
        except Exception as error:  # hls4ml raises bare exceptions and assertions
            raise UnsupportedLayer(
                f"{plan.graph.name}: hls4ml refuses the network: {str(error) or type(error).__name__}; "
                f"use the engine. It said: {said.getvalue()[-300:]!r}"
            ) from error
    _check_model(plan, model)
    return model


def _layer_list_entry(layer: ProjectLayer) -> dict[str, Any]:
    given: dict[str, Attribute] = dict(layer.attributes)
    entry: dict[str, Any] = {"class_name": layer.class_name, "name": layer.name, **given}
    if layer.inputs:
        entry["inputs"] = list(layer.inputs)
    return {**entry, **{name: weights.values for name, weights in layer.weights.items()}}


def _configuration(plan: ProjectPlan, target: Target, backend: Backend, folder: Path) -> dict[str, Any]:
    board = {"board": target.hls4ml_board} if backend is Backend.VIVADO_ACCELERATOR else {}
    with library.quiet():
        configuration: dict[str, Any] = library.load("hls4ml.utils.config").create_config(
            output_dir=str(folder),
            project_name=PROJECT,
            backend=backend.value,
            io_type="io_stream",
            part=target.part,
            clock_period=round(1000 / target.clock_mhz, 3),
            **board,
        )
    configuration["HLSConfig"] = {
        "Model": {
            "Precision": {"default": DEFAULT},
            "ReuseFactor": 1,
            "Strategy": MultiplierStrategy.LATENCY.value,
            "BramFactor": 1_000_000_000,
            "TraceOutput": False,
        },
        "LayerName": {layer.name: _layer_configuration(plan, layer) for layer in plan.layers},
    }
    return configuration


def _layer_configuration(plan: ProjectPlan, layer: ProjectLayer) -> dict[str, Any]:
    return {
        "Precision": {name: kind.text for name, kind in layer.types.items()},
        "Strategy": _strategy(layer).value,
        "ReuseFactor": plan.reuse_factors.get(layer.name, 1),
    }


def _strategy(layer: ProjectLayer) -> MultiplierStrategy:
    return (
        MultiplierStrategy.RESOURCE
        if layer.multipliers and layer.multipliers.is_resource
        else MultiplierStrategy.LATENCY
    )


def _check_model(plan: ProjectPlan, model: Any) -> None:
    found = {node.name: node for node in model.get_layers()}
    planned = {layer.name: layer for layer in plan.layers}
    for name, node in found.items():
        if name not in planned:
            _check_inserted(plan, node)
    for layer in plan.layers:
        node = found.get(layer.name) or found.get(f"repack_{layer.name}")
        if node is None:
            raise _changed(layer, "the layer is gone", layer.class_name, "nothing")
        _check_layer(plan, layer, node)


def _check_inserted(plan: ProjectPlan, node: Any) -> None:
    """A layer that hls4ml added may only move codes: its type is its source's."""
    if node.class_name not in INSERTED:
        raise ToolError(
            f"{plan.graph.name}: hls4ml added {node.name}, a {node.class_name}, which may change values; "
            "report this network"
        )
    taken = node.get_input_variable().type.precision
    for output in node.outputs:
        _expect(
            node.name,
            "result",
            _unrounded(taken),
            _unrounded(node.get_output_variable(output).type.precision),
        )


def _check_layer(plan: ProjectPlan, layer: ProjectLayer, node: Any) -> None:
    name = layer.name
    if node.class_name not in CLASSES.get(layer.class_name, {layer.class_name}):
        raise _changed(layer, "class", layer.class_name, node.class_name)
    _expect(name, "shape", list(layer.shape), list(node.get_output_variable().shape))
    _expect(name, "result", layer.types["result"].text, str(node.get_output_variable().type.precision))
    if "accum" in layer.types:
        _expect(name, "accum", layer.types["accum"].text, str(node.get_attr("accum_t").precision))
    if layer.multipliers:
        _expect(name, "reuse factor", plan.reuse_factors[name], node.get_attr("reuse_factor"))
        _expect(name, "strategy", _strategy(layer).value.lower(), str(node.get_attr("strategy")).lower())
    for key, weights in layer.weights.items():
        short = "bias" if key == "bias_data" else "weight"
        constant = node.get_weights(short)
        _expect(name, f"{short} type", weights.type.text, str(constant.type.precision))
        codes = np.ldexp(np.asarray(constant.data, np.float64), weights.type.frac)
        is_turned = short == "weight" and bool(node.get_attr("_weights_transposed", False))
        expected = np.moveaxis(weights.codes, -1, 0) if is_turned else weights.codes
        if not np.array_equal(codes, expected):
            raise _changed(layer, f"{short} values", "the graph's integers", "others")


def _unrounded(precision: Any) -> tuple[int, int, bool]:
    return precision.width, precision.integer, precision.signed


def _expect(layer: str, what: str, wanted: object, found: object) -> None:
    if wanted != found:
        raise ToolError(
            f"{layer}: hls4ml made its {what} {found}, planned was {wanted}; the project would compute "
            f"something else: check the installed release, {library.HOW_TO_INSTALL}"
        )


def _changed(layer: ProjectLayer, what: str, wanted: str, found: str) -> ToolError:
    return ToolError(
        f"{layer.node}: hls4ml changed layer {layer.name}: {what}: {found} instead of {wanted}; "
        f"check the installed release, {library.HOW_TO_INSTALL}"
    )
