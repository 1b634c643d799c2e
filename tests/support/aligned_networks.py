"""Networks whose products all add up to sums that random codes and weights never come near."""

import numpy as np
from small_graphs import conv2d, graph_of

from bitlathe.hls.datapath import PACKED_BITS
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.fixed_point import FixedPoint, weight_limit
from bitlathe.model.graph.graph import Graph

OUTPUTS = 16
SHAPE = 1, 3, 5
_SATURATING = {4: 9, 8: 5}  # shift after which 127 * 127 and -128 * 127 are beyond all codes of so many bits
_VISIBLE = {4: 6, 8: 15}  # shift after which the sums below fit 8 bits


def aligned_graph(channels: int, *, bits: int, signed: bool) -> Graph:
    """Two 1x1 convolutions: all codes between them alike in a pixel, all weights of an output channel alike.

    Where the image is at its maximum every code is the largest there is, at its minimum the least. The
    weights are both ends of their range, in all orders of two neighbouring channels.
    """
    codes = FixedPoint(bits=bits, frac=14 - _SATURATING[bits], signed=signed)
    limit = weight_limit(bits)
    ends = np.resize((limit, -limit, -limit, limit), (OUTPUTS, 1))
    first = conv2d(
        np.full((channels, 1, 1, 1), 127, np.int8), name="codes", format=codes, lo=codes.lo, hi=codes.hi
    )
    second = conv2d(
        np.broadcast_to(ends, (OUTPUTS, channels)).astype(np.int8).reshape(OUTPUTS, channels, 1, 1),
        name="sums",
        source="codes",
        format=FixedPoint(bits=8, frac=codes.frac + bits - 1 - _VISIBLE[bits]),
        weight_bits=bits,
        weight_frac=(bits - 1,) * OUTPUTS,
    )
    return graph_of(first, second, shape=SHAPE)


def aligned_graphs(configuration: EngineConfiguration) -> dict[str, Graph]:
    """Networks that fill the lanes of a cycle up to the last one, all of them, and two cycles and a lane."""
    graphs = {}
    for bits in (4, 8):
        lanes = configuration.pi * (2 if bits <= PACKED_BITS else 1)
        for channels in (lanes - 1, lanes, 2 * lanes + 1):
            for signed in (True, False):
                name = f"{channels} {'signed' if signed else 'unsigned'} channels of {bits} bits"
                graphs[name] = aligned_graph(channels, bits=bits, signed=signed)
    return graphs
