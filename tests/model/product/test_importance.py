"""What an error of a vector counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from float_networks import FloatNetworkBuilder

from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.nodes import Conv2d
from bitlathe.model.product.config import Objective, ProductConfig
from bitlathe.model.product.importance import importance
from bitlathe.model.product.plan import plan
from bitlathe.model.product.vectors import WeightVectors
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import quantize


def convolution(groups: int) -> Conv2d:
    return Conv2d(
        name="layer",
        format=FixedPoint(bits=8, frac=0),
        source="image",
        weight=np.ones((4, 4 // groups, 1, 1), np.int8),
        bias=np.zeros(4, np.int32),
        weight_bits=8,
        weight_frac=(0,) * 4,
        groups=groups,
        lo=-128,
        hi=127,
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_vector_counts_as_the_inputs_that_its_group_reads(groups: int) -> None:
    node, squares = convolution(groups), torch.tensor([1.0, 2.0, 5.0, 8.0])
    layout = WeightVectors(shape=node.weight.shape, length=1)
    each = importance(node, layout, Objective.OUTPUTS, squares).view(4, -1)
    inner = 4 // groups
    for filter_, row in enumerate(each):
        first = filter_ // (4 // groups) * inner
        wanted = squares[first : first + inner]
        assert torch.allclose(row / row.sum(), wanted / wanted.sum())
    assert torch.isclose(each.mean(), torch.tensor(1.0))


def test_a_grouped_convolution_is_left_alone_unless_named() -> None:
    built = FloatNetworkBuilder((4, 6, 6))
    first = built.convolution("image", 32, (3, 3))
    grouped = built.convolution(first, 32, (3, 3), groups=2)
    full = built.convolution(grouped, 32, (2, 2))
    images = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 4)).astype(np.uint8)
    graph = quantize(built.network(full), images, QuantizeConfig(calibration_images=8)).graph
    assert list(plan(graph, ProductConfig())) == [full]
