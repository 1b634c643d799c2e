"""Pixel groups never ask a bank twice, and the best ones leave few lanes idle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.hls.compile.groups import Grouping, is_conflict_free

SIZES = st.tuples(st.integers(1, 24), st.integers(1, 24))


def groups_of(grouping: Grouping, positions: np.ndarray) -> list[np.ndarray]:
    rows = positions if grouping.row_break else positions.reshape(1, -1)
    return [row[i : i + grouping.lanes] for row in rows for i in range(0, len(row), grouping.lanes)]


@given(
    SIZES,
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 12),
    st.integers(1, 9),
    st.booleans(),
    st.integers(2, 9),
)
def test_the_periodic_check_equals_looking_at_every_group(
    size, stride_h, stride_w, slack, lanes, row_break, banks
):
    pitch = size[1] * stride_w + slack
    positions = np.arange(size[0])[:, None] * stride_h * pitch + np.arange(size[1]) * stride_w
    grouping = Grouping(lanes=lanes, row_break=row_break, group_cycles=1)
    naive = all(len(set((group % banks).tolist())) == len(group) for group in groups_of(grouping, positions))
    assert is_conflict_free(size, (stride_h * pitch, stride_w), lanes, row_break, banks) == naive


@pytest.mark.parametrize(
    ("size", "stride", "pitch"),
    [((32, 32), 1, 32), ((16, 16), 2, 37), ((28, 28), 1, 35)],
    ids=["same padding", "stride 2", "5x5 without padding"],
)
def test_seamless_pitches_need_no_row_breaks(size: tuple[int, int], stride: int, pitch: int) -> None:
    assert is_conflict_free(size, (stride * pitch, stride), 6, False, 7)
