"""Quantized ONNX files, as quantizers and exporters of several kinds write them, and what they compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx_files import Sizes, node

QONNX = "qonnx.custom_op.general"


@dataclass(kw_only=True)
class QuantizedFile:
    """A file in the making: a method that names an operation adds its nodes and returns its tensor."""

    rng: np.random.Generator
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array, dtype)
        return name

    def op(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(node(operator, " ".join(inputs), name, **attributes))
        return name

    def qdq(
        self, x: str, frac: int, kind: Any = np.int8, zero: int = 0, clip: tuple[int, int] | None = None
    ) -> str:
        """QuantizeLinear and DequantizeLinear of a step 2**-frac, with a Clip between for narrower codes."""
        scale, place = self.constant(2.0**-frac), self.constant(zero, kind)
        codes = self.op("QuantizeLinear", x, scale, place)
        if clip is not None:
            codes = self.op("Clip", codes, *(self.constant(end, kind) for end in clip))
        return self.op("DequantizeLinear", codes, scale, place)

    def quant(self, x: str, frac: int, bits: float = 8, **attributes: Any) -> str:
        """QONNX's Quant of a step 2**-frac and zero point 0."""
        operands = [self.constant(value) for value in (2.0**-frac, 0.0, bits)]
        given = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
        return self.op("Quant", x, *operands, domain=QONNX, **given)

    def codes(self, *shape: int, limit: int = 127) -> np.ndarray:
        return self.rng.integers(-limit, limit + 1, shape)

    def weights(self, codes: np.ndarray, fracs: int | Sequence[int]) -> str:
        """DequantizeLinear of an int8 constant, by one scale or one for each output channel."""
        step = 2.0 ** -np.asarray(fracs, np.float64)
        many = {} if step.ndim == 0 else {"axis": 0}
        zero = np.zeros(step.shape)
        return self.op(
            "DequantizeLinear",
            self.constant(codes, np.int8),
            self.constant(step),
            self.constant(zero, np.int8),
            **many,
        )

    def bias(self, codes: np.ndarray, fracs: int | Sequence[int]) -> str:
        """DequantizeLinear of an int32 constant at the sums' step."""
        step = 2.0 ** -np.asarray(fracs, np.float64)
        many = {} if step.ndim == 0 else {"axis": 0}
        return self.op("DequantizeLinear", self.constant(codes, np.int32), self.constant(step), **many)

    def write(
        self, path: Path, output: str, *, image: Sizes = ("N", 3, 8, 8), rank: int = 2, opset: int = 19
    ) -> Path:
        """The file, with `output` as its output."""
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(image))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [f"d{axis}" for axis in range(rank)])],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        domains = {one.domain for one in self.nodes} - {""}
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path


def run(path: Path, images: np.ndarray) -> np.ndarray:
    """What ONNX Runtime makes of images (N, C, H, W), with kernels on values, which are exact."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def run_quant(path: Path, images: np.ndarray) -> np.ndarray:
    """What QONNX's executor makes of images: ONNX's reference with Quant as QONNX defines it."""
    import onnx
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class Quant(OpRun):
        op_domain = QONNX

        def _run(
            self,
            x: np.ndarray,
            scale: np.ndarray,
            zero: np.ndarray,
            bits: np.ndarray,
            signed: int = 1,
            narrow: int = 0,
            rounding_mode: str = "ROUND",
        ) -> tuple[np.ndarray]:
            assert rounding_mode == "ROUND"
            if signed:
                low, high = -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
            else:
                low, high = 0.0, 2.0**bits - 1 - narrow
            codes = np.clip(np.round(x / scale + zero), low, high)
            return (((codes - zero) * scale).astype(np.float32),)

    session = ReferenceEvaluator(onnx.load(path), new_ops=[Quant])
    name = session.input_names[0]
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def values(images: np.ndarray) -> np.ndarray:
    """Byte images (N, H, W, C) as a file takes them, (N, C, H, W): (pixel - 128) / 128."""
    return ((images.transpose(0, 3, 1, 2).astype(np.float32) - 128) / 128).astype(np.float32)
