"""Types of arrays that many modules share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bitlathe.model.graph.errors import ShapeError

AnyArray = TypeVar("AnyArray")

Images = npt.NDArray[np.uint8]  # (N, H, W, C), 0..255
Codes = npt.NDArray[np.int32]  # of a tensor, (N, C, H, W) or (N, H, W, C)
Outputs = tuple[Codes, ...]  # of every output of a network, in order
Bytes = npt.NDArray[np.uint8]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]


def alone(outputs: Outputs) -> Codes | Outputs:
    """Outputs as a user gets them: the array itself where there is one."""
    return outputs[0] if len(outputs) == 1 else outputs


def only(outputs: Sequence[AnyArray]) -> AnyArray:
    """The one output of a network; ShapeError where there are several."""
    if len(outputs) != 1:
        raise ShapeError(f"the network has {len(outputs)} outputs where one is needed; take its `outputs`")
    return outputs[0]
