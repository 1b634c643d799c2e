"""Kernel rows that meet nothing but padding: a pixel group spends no cycles on them.

A group's first kernel row is left out where it is above the input map for all of its pixels, else its last
one where it is below (hls/rtl/sequencer.sv).
"""

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bitlathe.hls.program.format import Exec


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The windows of an EXEC, pixel group by pixel group."""

    out_h: int
    out_w: int
    group_lanes: int
    row_break: bool  # a group ends with its row
    kernel_h: int
    stride_h: int
    start_y: int  # row of the first window's origin
    in_h: int

    @classmethod
    def of(cls, execute: Exec) -> "Sweep":
        """That of an EXEC."""
        values = {each.name: getattr(execute, each.name) for each in fields(cls)}
        return cls(**values | {"stride_h": execute.strides[0]})


@lru_cache(maxsize=4096)
def skipping_groups(sweep: Sweep) -> npt.NDArray[np.bool_]:
    """Whether each group of a pass leaves a kernel row out.

    >>> size = {"out_h": 4, "out_w": 4, "in_h": 4, "kernel_h": 3, "stride_h": 1, "start_y": -1}
    >>> skipping_groups(Sweep(**size, group_lanes=6, row_break=False)).tolist()
    [False, False, True]
    """
    origin = sweep.start_y + np.arange(sweep.out_h) * sweep.stride_h
    run = sweep.out_w if sweep.row_break else sweep.out_h * sweep.out_w
    first = np.arange(0, run, sweep.group_lanes)
    last = np.minimum(first + sweep.group_lanes, run) - 1
    if sweep.row_break:
        first, last = (np.repeat(np.arange(sweep.out_h) * run, len(at)) for at in (first, last))
    above, below = origin < 0, origin + sweep.kernel_h > sweep.in_h
    return np.asarray(above[last // sweep.out_w] | below[first // sweep.out_w])
