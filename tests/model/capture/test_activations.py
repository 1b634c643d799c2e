"""Any function of one value becomes a table of its own, however it is written, and its parameters train."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captured_modules import captured_alike, kinds
from exact_modules import Forward
from torch import Tensor, nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture, live_tensors
from bitlathe.model.capture.float_network import FloatConv2d, FloatLookup
from bitlathe.model.capture.formula import Evaluation

SHAPE = (3, 6, 5)

MODULES: list[nn.Module] = [
    *(nn.LeakyReLU(0.2), nn.PReLU(), nn.Hardswish(), nn.Hardsigmoid(), nn.SiLU(), nn.GELU(), nn.GELU("tanh")),
    *(nn.ELU(0.7), nn.CELU(1.3), nn.SELU(), nn.Sigmoid(), nn.Tanh(), nn.Softplus(2, 10), nn.Mish()),
    *(nn.LogSigmoid(), nn.Softsign(), nn.Tanhshrink(), nn.Hardshrink(0.3), nn.Softshrink(0.2)),
    *(nn.Threshold(0.1, -0.5), nn.RReLU(0.1, 0.3)),
    *(nn.Hardswish(inplace=True), nn.SiLU(inplace=True), nn.LeakyReLU(inplace=True), nn.ELU(inplace=True)),
]

WRITTEN: dict[str, Callable[[Forward, Tensor], Tensor]] = {
    "square": lambda m, x: x**2,
    "square by name": lambda m, x: torch.square(x),
    "cube": lambda m, x: x * x * x,
    "magnitude": lambda m, x: x.abs(),
    "swish": lambda m, x: x * torch.sigmoid(x),
    "swish with a factor": lambda m, x: x * torch.sigmoid(1.702 * x),
    "hard swish": lambda m, x: x * F.relu6(x + 3) / 6,
    "hard swish, halved first": lambda m, x: x * (F.relu6(x + 3.0) * (1 / 6)),
    "mish": lambda m, x: x * torch.tanh(F.softplus(x)),
    "gelu": lambda m, x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
    "gelu by tanh": lambda m, x: 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * torch.pow(x, 3)))),
    "leaky by a maximum": lambda m, x: torch.maximum(x, 0.1 * x),
    "leaky by a sum": lambda m, x: F.relu(x) - 0.1 * F.relu(-x),
    "leaky by a choice": lambda m, x: torch.where(x > 0, x, 0.1 * x),
    "a number or the value": lambda m, x: torch.where(x >= 0.2, x, torch.zeros_like(x)),
    "a mask": lambda m, x: x * (x > 0.1).float(),
    "softsign": lambda m, x: x / (1 + x.abs()),
    "sigmoid by exp": lambda m, x: 1 / (1 + torch.exp(-x)),
    "a wave": lambda m, x: x + torch.sin(x) ** 2,
    "a difference": lambda m, x: torch.tanh(x) - 0.5 * x,
    "scaled by alpha": lambda m, x: torch.add(torch.tanh(x), F.relu(x), alpha=0.3),
}


def between(function: Callable[[Forward, Tensor], Tensor]) -> nn.Module:
    """A convolution, a function, another convolution."""
    return Forward(
        lambda m, x: m.b(function(m, m.a(x))), a=nn.Conv2d(3, 5, 3, padding=1), b=nn.Conv2d(5, 4, 1)
    )


@pytest.mark.parametrize("layer", MODULES, ids=str)
def test_an_activation_is_one_lookup(layer: nn.Module) -> None:
    network = captured_alike(nn.Sequential(nn.Conv2d(3, 5, 3), layer, nn.Conv2d(5, 4, 1)), SHAPE)
    assert kinds(network) == ["Conv2d", "Lookup", "Conv2d"]


@pytest.mark.parametrize("case", WRITTEN)
def test_a_function_written_by_hand_is_one_lookup(case: str) -> None:
    assert kinds(captured_alike(between(WRITTEN[case]), SHAPE)) == ["Conv2d", "Lookup", "Conv2d"]


@pytest.mark.parametrize(
    "function",
    [lambda m, x: x + x, lambda m, x: x - 0.25 * x, lambda m, x: -x, lambda m, x: 2 * (x + 1) - x / 4],
)
def test_what_is_linear_stays_in_the_convolution(function: Callable[[Forward, Tensor], Tensor]) -> None:
    assert kinds(captured_alike(between(function), SHAPE)) == ["Conv2d", "Conv2d"]


def test_what_follows_a_function_goes_into_its_table() -> None:
    network = captured_alike(between(lambda m, x: F.relu(2 * torch.tanh(x) + 0.5).clamp(max=2)), SHAPE)
    assert kinds(network) == ["Conv2d", "Lookup", "Conv2d"]


def test_what_precedes_a_function_and_no_convolution_goes_into_its_table() -> None:
    network = captured_alike(between(lambda m, x: torch.tanh(3 * F.max_pool2d(x, 2) - 1)), SHAPE)
    assert kinds(network) == ["Conv2d", "MaxPool2d", "Lookup", "Conv2d"]


def test_a_function_that_is_read_twice_is_kept_once() -> None:
    network = captured_alike(between(lambda m, x: (y := torch.tanh(x)) + F.max_pool2d(y, 3, 1, 1)), SHAPE)
    assert kinds(network).count("Lookup") == 1


def test_functions_of_two_tensors_are_not_joined() -> None:
    module = Forward(lambda m, x: m.a(x) * torch.sigmoid(m.b(x)), a=nn.Conv2d(3, 4, 3), b=nn.Conv2d(3, 4, 3))
    assert kinds(captured_alike(module, SHAPE)) == ["Conv2d", "Conv2d", "Lookup", "Product"]


@pytest.mark.parametrize("flat", [False, True])
def test_slopes_of_each_channel_are_a_depthwise_layer(flat: bool) -> None:
    layers = [nn.Conv2d(3, 5, 3), nn.Conv2d(5, 5, (4, 3))] + ([nn.Flatten()] if flat else [])
    prelu = nn.PReLU(5)
    prelu.weight.data = torch.linspace(-0.2, 0.6, 5)
    network = captured_alike(nn.Sequential(*layers, prelu), SHAPE)
    assert "Lookup" not in kinds(network)
    slopes = network.nodes[-1]
    assert isinstance(slopes, FloatConv2d) and slopes.groups == 5
    assert set(slopes.origin.weight.names()) == {f"{len(layers)}.weight"}


def test_functions_name_what_they_are() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.125), nn.MaxPool2d(2), nn.Hardswish())
    names = [n.function.name for n in capture(module.eval(), SHAPE).nodes if isinstance(n, FloatLookup)]
    assert names == ["leaky_relu(0.125)", "hardswish"]


class Swish(nn.Module):
    """A swish whose factor trains, in a formula that is read by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.prelu = nn.Conv2d(3, 4, 3), nn.PReLU(init=0.4)
        self.beta = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.conv(x))
        return x * torch.sigmoid(self.beta * x)


def test_parameters_of_functions_train() -> None:
    module = Swish().eval()
    network = captured_alike(module, SHAPE)
    functions = [node.function for node in network.nodes if isinstance(node, FloatLookup)]
    at = Evaluation(state=live_tensors(module), dtype=torch.float32, device=torch.device("cpu"))
    x = torch.linspace(-2, 2, 9)
    y = x
    for function in functions:
        y = function.applied(y, at)
    y.sum().backward()
    for parameter in (module.beta, module.prelu.weight):
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_a_table_follows_the_parameter_that_it_is_made_of() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.PReLU()).eval()
    lookup = capture(module, SHAPE).nodes[-1]
    assert isinstance(lookup, FloatLookup)
    module[1].weight.data.fill_(0.5)
    at = Evaluation(state=live_tensors(module), dtype=torch.float64, device=torch.device("cpu"))
    assert np.array_equal(lookup.function.values(np.array([-2.0, 4.0])), [-0.5, 4])
    assert np.array_equal(lookup.function.present(at).values(np.array([-2.0, 4.0])), [-1.0, 4])
