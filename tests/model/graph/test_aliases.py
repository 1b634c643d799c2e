"""Which nodes are no more than channels of what they read."""

from typing import Any

import numpy as np
import pytest
from small_graphs import BYTE, conv2d, graph_of

from bitlathe.model.graph.aliases import channels_of
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.nodes import MaxPool2d, Node
from bitlathe.model.graph.resampling import PixelShuffle2d, PixelUnshuffle2d, Upsample2d

EYE = np.eye(4, dtype=np.int8).reshape(4, 4, 1, 1)


def found(node: Node) -> tuple[int, ...] | None:
    return channels_of(graph_of(node, shape=(4, 6, 6)), node)


def test_a_selection_in_any_order_and_of_any_scale_is_known() -> None:
    assert found(conv2d(EYE[[2, 0]], weight_frac=(0, 0))) == (2, 0)
    assert found(conv2d(EYE * 4, weight_frac=(2,) * 4)) == (0, 1, 2, 3)
    assert found(conv2d(EYE[:, :1][[0] * 4], groups=4, weight_frac=(0,) * 4)) == (0, 1, 2, 3)
    halves = np.array([[0, 1], [1, 0]], np.int8).reshape(2, 2, 1, 1)
    assert found(conv2d(np.concatenate([halves, halves]), groups=2, weight_frac=(0,) * 4)) == (1, 0, 3, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": EYE[[1, 1]], "weight_frac": (0, 0)},  # one channel twice
        {"weight_frac": (1,) * 4},  # half of each code
        {"weight": -EYE},
        {"bias": np.array([0, 0, 0, 1], np.int32)},
        {"lo": 0},
        {"stride": (2, 1)},
        {"padding": (1, 0)},
        {"padding": (-1, 0), "end_padding": (0, 0)},
        {"residual": "image"},
        {"format": FixedPoint(bits=8, frac=7, signed=False), "lo": 0, "hi": 255},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_what_changes_codes_or_pixels_is_none(changes: dict[str, Any]) -> None:
    assert found(conv2d(**{"weight": EYE, "weight_frac": (0,) * 4, **changes})) is None


def test_a_window_of_one_pixel_is_one() -> None:
    pool = {"name": "pool", "format": BYTE, "source": "image", "stride": (1, 1)}
    assert found(MaxPool2d(**pool, kernel_size=(1, 1))) == (0, 1, 2, 3)
    assert found(MaxPool2d(**pool, kernel_size=(1, 2))) is None
    assert found(MaxPool2d(**pool, kernel_size=(1, 1), end_padding=(-1, 0))) is None
    assert found(Upsample2d(name="up", format=BYTE, source="image", factors=(1, 1))) == (0, 1, 2, 3)
    assert found(Upsample2d(name="up", format=BYTE, source="image", factors=(1, 2))) is None


@pytest.mark.parametrize("shuffle", [PixelShuffle2d, PixelUnshuffle2d])
def test_a_shuffle_of_pixels_by_one_is_one(shuffle: type[PixelShuffle2d | PixelUnshuffle2d]) -> None:
    node = {"name": "shuffle", "format": BYTE, "source": "image"}
    assert found(shuffle(**node, factor=1)) == (0, 1, 2, 3)
    assert found(shuffle(**node, factor=2)) is None
