"""An imported network beside ONNX Runtime on random images: the proof that it was read right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitlathe.model.graph.errors import FormatError, ToolError
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.onnx.network import OnnxNetwork
from bitlathe.model.onnx.proto import brief, library

IMAGES = 4
TOLERANCE = (
    1e-3  # of the largest output: float32 sums in another order stay far below, another function far above
)

_HOST: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "Softmax": torch.softmax,
    "LogSoftmax": torch.log_softmax,
    "ArgMax": torch.argmax,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two evaluations of one network lie apart."""

    images: int
    difference: float  # largest magnitude over all outputs and images
    magnitude: float  # largest output

    @property
    def holds(self) -> bool:
        """Whether the difference is one of rounding."""
        return self.difference <= TOLERANCE * max(self.magnitude, 1e-6)


def compare(network: OnnxNetwork, path: Path, image_shape: Shape, output: str | None = None) -> Agreement:
    """Compare a network with the file that it was read from, on random images in [-1, 1), one at a time.

    Raises ToolError without ONNX Runtime; FormatError where it cannot run the file, or the outputs differ.
    """
    images = np.random.default_rng(0).uniform(-1, 1, (IMAGES, 1, *image_shape)).astype(np.float32)
    try:
        session = _session(path)
        wanted = np.stack([_run(session, image, output) for image in images])
    except ToolError:
        raise
    except Exception as error:  # ONNX Runtime's own types, one a kind of failure
        raise FormatError(f"{path}: ONNX Runtime cannot run it ({brief(error)}); export it again") from error
    with torch.no_grad():
        made = np.stack([_finished(network, torch.from_numpy(image)) for image in images])
    wanted = wanted.reshape(made.shape) if wanted.size == made.size else wanted
    if made.shape != wanted.shape:
        raise FormatError(f"{path}: reads as outputs {made.shape[1:]}, ONNX Runtime gives {wanted.shape[1:]}")
    found = Agreement(
        images=IMAGES,
        difference=float(np.abs(made - wanted).max()),
        magnitude=float(np.abs(wanted).max()),
    )
    if not found.holds:
        raise FormatError(
            f"{path}: outputs lie {found.difference:.3g} from ONNX Runtime's, the largest of which is "
            f"{found.magnitude:.3g}; it was read wrongly, so give the network as FILE.py:FUNCTION"
        )
    return found


def _session(path: Path) -> Any:
    runtime = library("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors: what it thinks of unused constants is not for the user
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: Any, image: np.ndarray[Any, np.dtype[np.float32]], output: str | None) -> Any:
    """One output of the file for one image (1, C, H, W)."""
    (given,) = session.get_inputs()[:1]
    sizes = given.shape
    if len(sizes) == 4 and sizes[1:] != list(image.shape[1:]) and sizes[3] == image.shape[1]:
        image = image.transpose(0, 2, 3, 1)
    elif len(sizes) != 4:
        image = image.reshape(1, *image.shape[2:]) if len(sizes) == 3 else image.reshape(1, -1)
    name = output or session.get_outputs()[0].name
    return session.run([name], {given.name: np.ascontiguousarray(image)})[0]


def _finished(network: OnnxNetwork, image: torch.Tensor) -> Any:
    """The network's output with what is left to the host."""
    result = network.eval()(image)
    for operator in reversed(network.host):
        result = _HOST[operator](result, 1)
    return result.numpy()
