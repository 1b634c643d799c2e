"""What every implementation is tried on has the corners that it says."""

from __future__ import annotations

import numpy as np
from small_graphs import conv2d, graph_of

from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs


def test_corners_are_the_ends_of_the_range_zero_and_both_ends_side_by_side() -> None:
    graph = graph_of(conv2d(np.ones((1, 2, 1, 1), np.int8)), shape=(2, 3, 4))
    least, largest, zero, chequered = corner_inputs(graph)
    assert (least == -128).all() and (largest == 127).all() and not zero.any()
    assert set(np.unique(chequered)) == {-128, 127}
    for axis in range(3):  # each neighbour is at the other end
        assert (np.diff(chequered, axis=axis) != 0).all()


def test_random_inputs_fill_the_range_and_some_have_all_channels_at_one_end(rng: np.random.Generator) -> None:
    graph = graph_of(conv2d(np.ones((1, 2, 1, 1), np.int8)), shape=(2, 5, 5))
    codes = random_inputs(rng, graph, 100)
    assert codes.dtype == np.int32 and (codes.min(), codes.max()) == (-128, 127)
    aligned = [np.isin(image, (-128, 127)).all() and (image[0] == image[1]).all() for image in codes]
    assert 0 < sum(aligned) < 50
