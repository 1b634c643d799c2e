"""ONNX files of a few nodes, as exporters of several kinds write them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bitlathe.model.onnx import OnnxNetwork, import_and_compare

IMAGE = (3, 8, 8)  # of a file that is not asked for another

Sizes = Sequence[int | str]


def write(
    path: Path,
    nodes: Sequence[Any],
    constants: Mapping[str, np.ndarray],
    *,
    image: Sizes = ("N", 3, 8, 8),
    outputs: Mapping[str, int] | None = None,
    opset: int = 17,
) -> Path:
    """A file of nodes from input `x` to outputs, each with its number of axes; a vector `y` if not given."""
    import onnx  # only where a test needs it
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(image))],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}{axis}" for axis in range(rank)])
            for name, rank in (outputs or {"y": 2}).items()
        ],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node whose operands and results are named by words; `-` leaves an operand out."""
    from onnx import helper

    words = ["" if word == "-" else word for word in inputs.split()]
    return helper.make_node(operator, words, outputs.split(), name=outputs.split()[0], **attributes)


def exported(path: Path, model: nn.Module, image: Sequence[int], opset: int) -> Path:
    """A module as PyTorch's own exporter writes it, with the batch left open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is a newer exporter
        torch.onnx.export(
            model.eval(),
            (torch.zeros(1, *image),),
            str(path),
            opset_version=opset,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "N"}},
            dynamo=False,
        )
    return path


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random weights of a layer."""
    return rng.normal(0, 0.3, shape).astype(np.float32)


def imported(path: Path, image: tuple[int, int, int] = IMAGE, output: str | None = None) -> OnnxNetwork:
    """The network of a file, which ONNX Runtime agrees with."""
    network, agreement = import_and_compare(path, image, output)
    assert agreement.magnitude > 0
    return network
