"""Windows are cut to the taps that meet a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from small_graphs import conv2d

from bitlathe.model.graph.parts import trimmed


@pytest.mark.parametrize(
    ("padding", "side", "kept", "left"),
    [
        (2, 2, 1, (0, 0)),  # the first and the last tap are a place outside at the nearest
        (2, 3, 3, (2, 2)),  # each meets a pixel at one place
        (1, 3, 1, (-1, -1)),  # both are beside the map
    ],
)
def test_a_dilated_window_keeps_exactly_the_taps_that_meet_a_pixel(
    padding: int, side: int, kept: int, left: tuple[int, int]
) -> None:
    weight = np.arange(1, 10, dtype=np.int8).reshape(1, 1, 3, 3)
    conv = conv2d(weight, dilation=(2, 2), padding=(padding, padding))
    cut = trimmed(conv, (side, side))
    assert cut.kernel_size == (kept, kept) and cut.padding == left
    first = (3 - kept) // 2
    assert np.array_equal(cut.weight, weight[:, :, first : first + kept, first : first + kept])
