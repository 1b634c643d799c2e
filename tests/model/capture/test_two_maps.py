"""Arithmetic between maps: sums, differences, extrema and products, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captured_modules import captured_alike, kinds
from exact_modules import Forward
from torch import Tensor, nn
from torch.nn import functional as F

from bitlathe.model.capture.float_network import FloatProduct
from bitlathe.model.graph.errors import UnsupportedLayer

SHAPE = (3, 6, 8)

SUMS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], list[str]]] = {
    "difference": (lambda a, b: a - b, []),
    "difference by name": (torch.sub, []),
    "weighted difference": (lambda a, b: torch.sub(a, b, alpha=0.3), []),
    "weighted sum": (lambda a, b: 0.7 * a + 0.3 * b, []),
    "sum with alpha": (lambda a, b: torch.add(a, b, alpha=2), []),
    "mean of two": (lambda a, b: (a + b) / 2, ["Conv2d"]),
    "sum with a vector of channels": (lambda a, b: a + torch.arange(4.0).view(1, 4, 1, 1) + b, []),
    "maximum": (torch.maximum, ["Conv2d", "Conv2d"]),
    "maximum by its other name": (torch.max, ["Conv2d", "Conv2d"]),
    "minimum": (torch.minimum, ["Conv2d", "Conv2d", "Conv2d"]),
    "product": (lambda a, b: a * b, ["Product"]),
    "product within bounds": (lambda a, b: F.relu(a * b), ["Product"]),
    "gate": (lambda a, b: torch.tanh(a) * torch.sigmoid(b), ["Lookup", "Lookup", "Product"]),
    "linear interpolation": (lambda a, b: a + 0.25 * (b - a), ["Conv2d", "Conv2d"]),
}


@pytest.mark.parametrize("case", SUMS)
def test_arithmetic_of_two_maps_is_as_few_nodes_as_it_needs(case: str) -> None:
    function, wanted = SUMS[case]
    module = Forward(
        lambda m, x: function(m.a(x), m.b(x)), a=nn.Conv2d(3, 4, 3, padding=1), b=nn.Conv2d(3, 4, 1)
    )
    made = kinds(captured_alike(module, SHAPE))
    assert [kind for kind in made if kind != "Conv2d"] == [kind for kind in wanted if kind != "Conv2d"]
    assert made.count("Conv2d") <= 2 + wanted.count("Conv2d")


def squeezed(m: Forward, x: Tensor) -> Tensor:
    """Squeeze-and-excitation's weights, (N, C, 1, 1)."""
    return torch.sigmoid(m.e(F.relu(m.r(F.adaptive_avg_pool2d(x, 1)))))


def by_vectors(m: Forward, x: Tensor) -> Tensor:
    """The same by dense layers, (N, C)."""
    return F.hardsigmoid(m.f(F.relu(m.d(x.mean((2, 3))))))


FACTORS: dict[str, Callable[[Forward, Tensor], Tensor]] = {
    "a vector": lambda m, x: x * squeezed(m, x),
    "a vector first": lambda m, x: squeezed(m, x) * x,
    "a vector, expanded": lambda m, x: x * squeezed(m, x).expand_as(x),
    "a vector of dense layers": lambda m, x: x * by_vectors(m, x).view(x.size(0), -1, 1, 1),
    "a vector with axes": lambda m, x: x * by_vectors(m, x)[:, :, None, None],
    "a vector with axes, expanded": lambda m, x: x * by_vectors(m, x).unsqueeze(2).unsqueeze(3).expand_as(x),
    "a vector and two pixels": lambda m, x: x[:, :, :1, :2] * squeezed(m, x),
    "a vector and one": lambda m, x: x + x * squeezed(m, x),
}


@pytest.mark.parametrize("case", FACTORS)
def test_a_product_with_a_vector_of_channels_reads_the_vector(case: str) -> None:
    module = Forward(
        lambda m, x: FACTORS[case](m, F.relu(m.a(x))),
        a=nn.Conv2d(3, 4, 3),
        r=nn.Conv2d(4, 2, 1),
        e=nn.Conv2d(2, 4, 1),
        d=nn.Linear(4, 2),
        f=nn.Linear(2, 4),
    )
    network = captured_alike(module, SHAPE)
    (product,) = (node for node in network.nodes if isinstance(node, FloatProduct))
    assert network.by_name[product.factor].shape == (4, 1, 1)
    assert "Upsample2d" not in kinds(network)


BROADCAST: dict[str, Callable[[Forward, Tensor], Tensor]] = {
    "one channel for all": lambda m, x: x * torch.sigmoid(m.one(x)),
    "one value for all": lambda m, x: x * torch.sigmoid(m.one(x)).mean((2, 3), keepdim=True),
    "a sum with a mean": lambda m, x: x - x.mean((2, 3), keepdim=True),
    "a sum with one channel": lambda m, x: m.one(x) + x,
    "rows times columns": lambda m, x: x.mean(2, keepdim=True) * x.mean(3, keepdim=True),
    "a vector of both": lambda m, x: m.v(x.mean((2, 3))) * x.amax((2, 3)),
}


@pytest.mark.parametrize("case", BROADCAST)
def test_maps_are_broadcast_as_pytorch_does(case: str) -> None:
    module = Forward(
        lambda m, x: BROADCAST[case](m, m.a(x)),
        a=nn.Conv2d(3, 4, 3),
        one=nn.Conv2d(4, 1, 1),
        v=nn.Linear(4, 4),
    )
    captured_alike(module, SHAPE)


def test_a_map_and_itself_in_an_order_that_no_node_makes_is_no_function_of_the_map() -> None:
    module = Forward(lambda m, x: (y := F.relu(m.a(x))) + y.transpose(2, 3), a=nn.Conv2d(3, 4, 3))
    with pytest.raises(UnsupportedLayer, match="transpose"):
        captured_alike(module, (3, 6, 6))


def test_a_gated_unit_is_a_product_of_its_halves() -> None:
    network = captured_alike(nn.Sequential(nn.Conv2d(3, 8, 3), nn.GLU(1), nn.Conv2d(4, 2, 1)), SHAPE)
    assert kinds(network) == ["Conv2d", "Conv2d", "Conv2d", "Lookup", "Product", "Conv2d"]


def test_a_parameter_for_each_channel_scales_and_shifts() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
            self.gamma = nn.Parameter(torch.full((4, 1, 1), 0.1))
            self.shift = nn.Parameter(torch.randn(1, 4, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            return x + self.gamma * self.b(torch.tanh(x)) + self.shift

    network = captured_alike(Scaled(), SHAPE)
    assert kinds(network) == ["Conv2d", "Lookup", "Conv2d", "Conv2d"]
