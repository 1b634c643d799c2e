"""Types of arrays that many modules share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]  # (N, H, W, C), 0..255
Codes = npt.NDArray[np.int32]  # of a tensor, (N, C, H, W) or (N, H, W, C)
Bytes = npt.NDArray[np.uint8]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
