"""Graphs of one layer, with every field that a test may want to set."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Input, Node

BYTE = FixedPoint(bits=8, frac=7)


def conv2d(weight: np.ndarray, **changes: Any) -> Conv2d:
    """Convolution `conv` of tensor `image` with 8-bit formats of frac 7 and the given fields."""
    channels = weight.shape[0]
    fields: dict[str, Any] = {
        "name": "conv",
        "format": BYTE,
        "source": "image",
        "weight": weight,
        "bias": np.zeros(channels, dtype=np.int32),
        "weight_bits": 8,
        "weight_frac": (7,) * channels,
        "lo": -128,
        "hi": 127,
    }
    return Conv2d(**{**fields, **changes})


def graph_of(*nodes: Node, shape: Sequence[int] = (1, 1, 1), image: FixedPoint = BYTE) -> Graph:
    """Graph of an input `image` and `nodes`, the last of which is its output."""
    channels, height, width = shape
    first = Input(name="image", format=image, shape=(channels, height, width))
    return Graph(name="small", nodes=(first, *nodes), output=nodes[-1].name)
