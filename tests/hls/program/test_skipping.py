"""Which pixel groups leave a kernel row out: those whose pixels all meet padding with it."""

from hypothesis import given
from hypothesis import strategies as st

from bitlathe.hls.program.skipping import Sweep, skipping_groups

SWEEPS = st.builds(
    Sweep,
    out_h=st.integers(1, 9),
    out_w=st.integers(1, 9),
    group_lanes=st.integers(1, 7),
    row_break=st.booleans(),
    kernel_h=st.integers(2, 5),
    stride_h=st.integers(1, 3),
    start_y=st.integers(-4, 2),
    in_h=st.integers(1, 12),
)


def naive(sweep: Sweep) -> list[bool]:
    rows = [[y] * sweep.out_w for y in range(sweep.out_h)]
    runs = rows if sweep.row_break else [[y for row in rows for y in row]]
    lanes = sweep.group_lanes
    groups = [run[at : at + lanes] for run in runs for at in range(0, len(run), lanes)]

    def is_padding(y: int, tap: int) -> bool:
        return not 0 <= sweep.start_y + y * sweep.stride_h + tap < sweep.in_h

    def leaves_out(group: list[int]) -> bool:
        above = all(sweep.start_y + y * sweep.stride_h < 0 for y in group)
        below = all(sweep.start_y + y * sweep.stride_h + sweep.kernel_h > sweep.in_h for y in group)
        assert not above or all(is_padding(y, 0) for y in group)
        assert not below or all(is_padding(y, sweep.kernel_h - 1) for y in group)
        return above or below

    return [leaves_out(group) for group in groups]


@given(SWEEPS)
def test_equals_looking_at_every_pixel(sweep: Sweep) -> None:
    assert skipping_groups(sweep).tolist() == naive(sweep)
