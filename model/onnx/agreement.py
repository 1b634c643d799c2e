"""Compare an imported network with ONNX Runtime on random images, to prove that it was read correctly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bitlathe.model.graph.errors import FormatError, ToolError
from bitlathe.model.graph.nodes import Shape
from bitlathe.model.onnx.network import OnnxNetwork
from bitlathe.model.onnx.proto import brief, library

IMAGES = 4
TOLERANCE = (
    1e-3  # of the largest output: reordered float32 sums stay far below it, another function far above
)

Image = npt.NDArray[np.float32]

_TYPES: dict[str, type] = {"tensor(float16)": np.float16, "tensor(double)": np.float64}  # of a file's input


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far apart two evaluations of one network are."""

    images: int
    difference: float  # largest magnitude over all outputs and images
    magnitude: float  # largest output

    @property
    def holds(self) -> bool:
        """Whether rounding explains the difference."""
        return self.difference <= TOLERANCE * max(self.magnitude, 1e-6)


def compare(network: OnnxNetwork, path: Path, image_shape: Shape) -> Agreement:
    """Compare a network with the file that it was read from, on random images in [-1, 1), one at a time.

    The file's tensor before the host's operators is compared, as an ArgMax would hide a difference.
    Raises ToolError without ONNX Runtime; FormatError if it cannot run the file or the outputs differ.
    """
    images = np.random.default_rng(0).uniform(-1, 1, (IMAGES, 1, *image_shape)).astype(np.float32)
    try:
        session = _session(network, path)
        wanted = np.stack([_run(session, network, image) for image in images])
    except ToolError:
        raise
    except Exception as error:  # ONNX Runtime's own types, one for each kind of failure
        raise FormatError(f"{path}: ONNX Runtime cannot run it ({brief(error)}); export it again") from error
    with torch.no_grad():
        made = np.stack([network.eval()(torch.from_numpy(image)).numpy() for image in images])
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
            f"{path}: outputs differ by {found.difference:.3g} from ONNX Runtime's, the largest of which is "
            f"{found.magnitude:.3g}; it was read wrongly, so give the network as FILE.py:FUNCTION"
        )
    return found


def _session(network: OnnxNetwork, path: Path) -> Any:
    """The file in ONNX Runtime, with its logits as the only output."""
    onnx, runtime = library("onnx"), library("onnxruntime")
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=network.logits))
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # only errors: its warnings about unused constants do not help the user
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(session: Any, network: OnnxNetwork, image: Image) -> Any:
    """Logits of the file for one image (1, C, H, W)."""
    (given,) = session.get_inputs()[:1]
    turned = image.transpose(network.file_axes)
    shape = {2: (1, -1), 3: (1, *turned.shape[2:])}.get(len(given.shape), turned.shape)
    kind = _TYPES.get(given.type, np.float32)
    return session.run(None, {given.name: turned.reshape(shape).astype(kind)})[0].astype(np.float32)
