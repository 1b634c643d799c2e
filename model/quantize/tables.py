"""Tables of codes, from the functions of one value that they stand for."""

from __future__ import annotations

from math import isfinite

import numpy as np
import torch

from bitlathe.model.capture.float_arrays import Float64s
from bitlathe.model.capture.float_network import FloatLookup
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.fixed_point import FixedPoint


def values_of_codes(form: FixedPoint) -> Float64s:
    """The value of each code of a format, the least first."""
    values: Float64s = np.ldexp(np.arange(form.lo, form.hi + 1, dtype=np.float64), -form.frac)
    return values


def table_of(node: FloatLookup, source: FixedPoint, form: FixedPoint) -> tuple[int, ...]:
    """The code of `form` nearest to the function of each value of `source`, halves upwards, clamped.

    A network that rounds to a grid itself computes in float32 and rounds halves to even; so does its table.
    Raises FormatError, naming the node, for a function that is not finite at one of them.
    """
    at, grid = values_of_codes(source), node.grid
    if grid is None:
        values = node.function.values(at)
    else:
        with torch.no_grad():
            values = node.function.apply(torch.from_numpy(at).float()).double().numpy()
    for x, value in zip(at.tolist(), values.tolist(), strict=True):
        if not isfinite(value):
            raise FormatError(
                f"{node.name}: {node.function.name} is {value} at {x:g}, which {node.source} may be; clamp "
                "what it takes, or use a function that is finite there"
            )
    with np.errstate(over="ignore"):  # an infinity is clamped like any large value
        steps = np.ldexp(values, form.frac)
    codes = np.clip(np.floor(steps + 0.5), form.lo, form.hi)
    if grid is not None:
        codes = np.clip(np.rint(steps), grid.lo, grid.hi)
    return tuple(int(code) for code in codes)
