"""From an ONNX file to a module: fold constants, follow layouts, read operators one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bitlathe.model.graph.errors import BitlatheError, ShapeError, UnsupportedLayer, together
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.onnx.importer import AxisOrder, Importer, NodeImporter, OnnxValue
from bitlathe.model.onnx.layouts import read_image
from bitlathe.model.onnx.listing import HOST, REFUSED, REPLACE, SAME_ORDER
from bitlathe.model.onnx.network import FileOutput, OnnxNetwork
from bitlathe.model.onnx.on_codes import computes_with_codes, takes_steps_from_images, with_values
from bitlathe.model.onnx.operators import HANDLERS
from bitlathe.model.onnx.proto import OnnxArray, OnnxGraph, OnnxNode, brief, folded, graph_of, read_model
from bitlathe.model.onnx.quantized import ON_CODES, QUANTIZERS, linear_of_constants, quant_of_constants


def import_onnx(path: Path, image_shape: Shape, output: str | None = None) -> OnnxNetwork:
    """The network of an ONNX file for images (C, H, W); its parameters are the file's constants.

    `output` names one of several outputs, which else are all read. Softmax and the like at the end are left
    to the host.

    Raises what `read_model` and `network_of` raise.
    """
    return network_of(read_model(path), path, image_shape, output)


def network_of(model: Any, path: Path, image_shape: Shape, output: str | None = None) -> OnnxNetwork:
    """The network of an ONNX model that was read from a file.

    Raises what `graph_of` raises; UnsupportedLayer naming an unsupported node and a way out; ShapeError if
    the model does not take such images.
    """
    file = graph_of(model, path)
    graph = with_values(file)
    ends = {name: _before_host(graph, name) for name in _chosen(path, graph, output)}
    importer = Importer(graph=graph, constants=dict(graph.constants))
    importer.values[graph.input] = read_image(importer, path, image_shape)
    needed = _needed(graph, [logits for logits, _ in ends.values()])
    _read_all(importer, needed, path.name)
    image = importer.values[graph.input]
    outputs = [_result(importer, path, name, *end) for name, end in ends.items()]
    steps = importer.steps_to(output.result for output in outputs)
    return OnnxNetwork(
        steps,
        {step.layer: importer.layers[step.layer] for step in steps},
        outputs,
        file_axes=(0, 2, 3, 1) if image.layout is AxisOrder.CHANNELS_LAST else (0, 1, 2, 3),
        computes_with_bytes=computes_with_codes(file)
        and all(code.lo >= 0 for code in importer.codes.values()),
        takes_steps_from_images=takes_steps_from_images(file),
    )


def _read_all(importer: Importer, nodes: Sequence[OnnxNode], file: str) -> None:
    """Read every node; one error for all that are not read, of which those behind them are looked at too."""
    refusals: list[BitlatheError] = []
    unknown: set[str] = set()  # tensors that a node makes that was not read
    for node in nodes:
        if node.operator not in HANDLERS and (
            importer.depends_on_image(node) or not unknown.isdisjoint(node.inputs)
        ):
            refusals.append(node.refusal("is not read", REFUSED.get(node.operator, REPLACE)))
            unknown.update(node.outputs)
        elif not unknown.isdisjoint(node.inputs):
            unknown.update(node.outputs)
        else:
            try:
                _read(importer, node)
            except (UnsupportedLayer, ShapeError) as error:
                refusals.append(error)
                unknown.update(node.outputs)
    if refusals:
        raise together(refusals, file)


def _read(importer: Importer, node: OnnxNode) -> None:
    """Add what a node makes: constants from constants, else what its handler makes."""
    if not importer.depends_on_image(node):
        operands = [importer.constant(node, place) for place, name in enumerate(node.inputs) if name]
        arrays = [operand for operand in operands if operand is not None]
        importer.constants.update(zip(node.outputs, _of_constants(importer, node, arrays), strict=False))
        importer.note_root(node)
        return
    handler = _handler(importer, node)
    try:
        made = handler(importer, node)
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise node.refusal(f"has a form that is not read ({brief(error)})", "export it in another") from error
    if isinstance(made, np.ndarray):
        importer.constants[node.outputs[0]] = made
    else:
        values = (made,) if isinstance(made, OnnxValue) else made
        importer.values.update(zip(node.outputs, values, strict=False))


def _of_constants(importer: Importer, node: OnnxNode, operands: list[OnnxArray]) -> list[OnnxArray]:
    if node.operator == "Quant":
        return quant_of_constants(node, operands)
    if node.operator in ("QuantizeLinear", "DequantizeLinear"):
        return linear_of_constants(node, operands)
    if node.operator in QUANTIZERS:
        QUANTIZERS[node.operator](importer, node)  # which refuses it
    return folded(node, operands, importer.graph.opset)


def _handler(importer: Importer, node: OnnxNode) -> NodeImporter:
    """The handler of a node; where it reads the file's codes, its results are such codes too."""
    read = [importer.codes[name] for name in node.inputs if name in importer.codes]
    if not read:
        return HANDLERS[node.operator]
    depending = sum(name in importer.values for name in node.inputs)
    if node.operator not in ON_CODES or len(set(read)) > 1 or len(read) < depending:
        raise node.refusal("works on codes", "put DequantizeLinear before it and QuantizeLinear behind it")
    if node.operator != "DequantizeLinear":
        importer.codes.update(dict.fromkeys(node.outputs, read[0]))
    return ON_CODES[node.operator] or HANDLERS[node.operator]


def _chosen(path: Path, graph: OnnxGraph, output: str | None) -> tuple[str, ...]:
    if output is None:
        return graph.outputs
    if output not in graph.outputs:
        raise UnsupportedLayer(f"{path}: has outputs {list(graph.outputs)}; choose one by {path.name}:OUTPUT")
    return (output,)


def _before_host(graph: OnnxGraph, output: str) -> tuple[str, tuple[str, ...]]:
    """The tensor before the host's operators, and those operators, the last one first."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    host: list[str] = []
    reached = output
    while reached in makers and makers[reached].operator in (*HOST, *SAME_ORDER):
        maker = makers[reached]
        reached = maker.inputs[0]
        if maker.operator in HOST:
            host.append(maker.operator.rpartition(".")[2])
            output = reached
    if output in makers and makers[output].written and makers[output].operator == "DequantizeLinear":
        output = makers[output].inputs[0]  # which the file has, as codes
    return output, tuple(host)


def _needed(graph: OnnxGraph, outputs: Sequence[str]) -> list[OnnxNode]:
    """The nodes that tensors depend on, in order."""
    wanted = set(outputs)
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(name for name in node.inputs if name)
    return [node for node in graph.nodes if wanted.intersection(node.outputs)]


def _result(importer: Importer, path: Path, name: str, logits: str, host: tuple[str, ...]) -> FileOutput:
    value = importer.values.get(logits)
    if value is None:
        raise UnsupportedLayer(f"{path}: its output {name} does not depend on the image; export it again")
    if value.layout is AxisOrder.FLATTENED_LAST or any(value.padding):
        raise UnsupportedLayer(
            f"{path}: its output {name} is a reshaped or padded map; let it end in a layer with weights"
        )
    return FileOutput(
        name=name,
        result=value.key,
        logits=logits,
        host=host,
        is_channels_last=value.layout is AxisOrder.CHANNELS_LAST,
        codes=importer.codes.get(logits),
    )
