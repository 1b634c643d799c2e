"""What ONNX Runtime makes of a file, and whether the imported network makes the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bitlathe.model.graph.errors import FormatError, ToolError
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.onnx.load import network_of
from bitlathe.model.onnx.network import FileOutput, OnnxNetwork
from bitlathe.model.onnx.proto import brief, library, read_model

IMAGES = 4
TOLERANCE = (
    1e-3  # of the largest output: reordered float32 sums stay far below it, another function far above
)
ROUNDED_TOLERANCE = 0.1  # where the file rounds: such a sum next to a half moves a code, and codes behind it

Image = npt.NDArray[np.float32]
_MAP_AXES = 5  # of maps of several images, each alone in its batch

_TYPES: dict[str, type] = {"tensor(float16)": np.float16, "tensor(double)": np.float64}  # of a file's input


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far apart two evaluations of one network are."""

    images: int
    difference: float  # largest magnitude over all outputs and images
    magnitude: float  # largest output
    tolerance: float = TOLERANCE  # of the largest output

    @property
    def holds(self) -> bool:
        """Whether rounding explains the difference."""
        return self.difference <= self.tolerance * max(self.magnitude, 1e-6)


def import_and_compare(
    path: Path, image_shape: Shape, output: str | None = None
) -> tuple[OnnxNetwork, Agreement]:
    """What `import_onnx` and `compare` return, of a file that is read once; raises what they raise."""
    model = read_model(path)
    network = network_of(model, path, image_shape, output)
    return network, _compared(network, model, path, image_shape)


def compare(network: OnnxNetwork, path: Path, image_shape: Shape) -> Agreement:
    """Compare a network with the file that it was read from, on random images in [-1, 1), one at a time.

    The file's tensors before the host's operators are compared, as an ArgMax would hide a difference.
    Raises ToolError without ONNX Runtime; FormatError if it cannot run the file or the outputs differ.
    """
    return _compared(network, read_model(path), path, image_shape)


def _compared(network: OnnxNetwork, model: Any, path: Path, image_shape: Shape) -> Agreement:
    images = np.random.default_rng(0).uniform(-1, 1, (IMAGES, 1, *image_shape)).astype(np.float32)
    wanted = _outputs_of(network, model, path, images)
    with torch.no_grad():
        returned = [network.eval().tensors(torch.from_numpy(image)) for image in images]
    made = [torch.stack(each).numpy() for each in zip(*returned, strict=True)]
    compared = zip(network.outputs, made, wanted, strict=True)
    tolerance = ROUNDED_TOLERANCE if network.rounds else TOLERANCE
    each = [_agreement(path, output, one, other, tolerance) for output, one, other in compared]
    return Agreement(
        images=IMAGES,
        difference=max(one.difference for one in each),
        magnitude=max(one.magnitude for one in each),
        tolerance=tolerance,
    )


def file_outputs(network: OnnxNetwork, path: Path, images: Iterable[Image]) -> list[Image]:
    """What ONNX Runtime makes of images (1, C, H, W): a tensor (images, 1, ...) for each output of a file.

    They are those that the network was read up to, before the host's operators; maps have channels first.
    Raises ToolError without ONNX Runtime; FormatError if it cannot run the file.
    """
    return _outputs_of(network, read_model(path), path, images)


def _outputs_of(network: OnnxNetwork, model: Any, path: Path, images: Iterable[Image]) -> list[Image]:
    try:
        session = _session(network, model)
        made = [np.stack(each) for each in zip(*(_run(session, network, i) for i in images), strict=True)]
    except ToolError:
        raise
    except Exception as error:  # ONNX Runtime's own types, one for each kind of failure
        raise FormatError(f"{path}: ONNX Runtime cannot run it ({brief(error)}); export it again") from error
    return [
        np.moveaxis(one, -1, 2) if output.is_channels_last and one.ndim == _MAP_AXES else one
        for output, one in zip(network.outputs, made, strict=True)
    ]


def _agreement(path: Path, output: FileOutput, made: Image, wanted: Image, tolerance: float) -> Agreement:
    """One output, (images, 1, ...); FormatError where the two differ by more than rounding."""
    wanted = wanted.reshape(made.shape) if wanted.size == made.size else wanted
    if made.shape != wanted.shape:
        raise FormatError(
            f"{path}: {output.name} is read as {made.shape[1:]}, ONNX Runtime gives {wanted.shape[1:]}"
        )
    found = Agreement(
        images=IMAGES,
        difference=float(np.abs(made - wanted).max()),
        magnitude=float(np.abs(wanted).max()),
        tolerance=tolerance,
    )
    if not found.holds:
        raise FormatError(
            f"{path}: {output.name} differs by {found.difference:.3g} from ONNX Runtime's, the largest of "
            f"which is {found.magnitude:.3g}; it was read wrongly, so give the network as FILE.py:FUNCTION"
        )
    return found


def _session(network: OnnxNetwork, model: Any) -> Any:
    """A model in ONNX Runtime, changed to have its logits as the only outputs."""
    onnx, runtime = library("onnx"), library("onnxruntime")
    replace_quants(onnx, model)
    del model.graph.output[:]
    for name in dict.fromkeys(output.logits for output in network.outputs):
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = runtime.SessionOptions()
    if network.computes_with_bytes:  # kernels of bytes by int8 may clip sums to 16 bits; this takes others
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.add_session_config_entry("session.x64quantprecision", "1")
    elif network.rounds:  # no kernels on codes, for the same reason
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # only errors: its warnings about unused constants do not help the user
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def replace_quants(onnx: Any, model: Any) -> None:
    """Put ONNX's own operators in place of each Quant: x / scale + zero point, rounded, clipped, and back.

    Source: github.com/fastmachinelearning/qonnx, docs/qonnx-custom-ops/quant_op.md.
    """
    nodes: list[Any] = []
    for place, node in enumerate(model.graph.node):
        nodes += _plain_quant(onnx, model, node, f"quant{place}") if node.op_type == "Quant" else [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _plain_quant(onnx: Any, model: Any, node: Any, stem: str) -> list[Any]:
    """Nodes for a Quant; the tensors whose names begin with a point are theirs alone."""
    values, scale, zero, bits = node.input
    given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    signed, narrow = given.get("signed", 1), given.get("narrow", 0)
    constants = {
        ".two": 2,
        ".signed": signed,
        ".above_least": narrow if signed else 0,
        ".below_span": 1 if signed else 1 + narrow,
    }
    steps = (
        ("Sub", (bits, ".signed"), ".digits"),
        ("Pow", (".two", ".digits"), ".span"),
        ("Mul", (".span", ".signed"), ".depth"),
        ("Sub", (".above_least", ".depth"), ".low"),
        ("Sub", (".span", ".below_span"), ".high"),
        ("Div", (values, scale), ".steps"),
        ("Add", (".steps", zero), ".shifted"),
        ("Round", (".shifted",), ".whole"),
        ("Max", (".whole", ".low"), ".bounded"),
        ("Min", (".bounded", ".high"), ".codes"),
        ("Sub", (".codes", zero), ".centred"),
        ("Mul", (".centred", scale), node.output[0]),
    )

    def name(tensor: str) -> str:
        return f"{stem}{tensor}" if tensor.startswith(".") else tensor

    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.float32(value), name(tensor)) for tensor, value in constants.items()
    )
    return [
        onnx.helper.make_node(operator, [name(tensor) for tensor in operands], [name(result)])
        for operator, operands, result in steps
    ]


def _run(session: Any, network: OnnxNetwork, image: Image) -> list[Image]:
    """Logits of each output of the file for one image (1, C, H, W)."""
    (given,) = session.get_inputs()[:1]
    turned = image.transpose(network.file_axes)
    line = turned.shape[2:] if turned.shape[1] == 1 else (turned.shape[1], turned.shape[3])
    shape = {2: (1, -1), 3: (1, *line)}.get(len(given.shape), turned.shape)
    kind = _TYPES.get(given.type, np.float32)
    names = [output.logits for output in network.outputs]
    returned = session.run(names, {given.name: turned.reshape(shape).astype(kind)})
    return [_values(output, made) for output, made in zip(network.outputs, returned, strict=True)]


def _values(output: FileOutput, made: npt.NDArray[Any]) -> Image:
    """What the file's tensor stands for."""
    real = np.asarray(made, np.float32)
    return real if output.codes is None else (real - output.codes.zero) * np.float32(output.codes.step)
