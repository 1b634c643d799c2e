"""Weights that several layers share train as one, quantized too, and stay one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from exact_modules import Forward
from torch import nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_network import FloatConv2d, FloatDense
from bitlathe.model.qat.view import QuantizedView
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import network_inputs

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 6, 6, 1)).astype(np.uint8)
LABELS = torch.arange(len(IMAGES)) % 3


def conv(inputs: int = 4) -> nn.Conv2d:
    return nn.Conv2d(inputs, 4, 3, padding=1)


def network(**layers: nn.Module) -> Forward:
    """A stem, then `one`, `norm`, `two`, and a head."""

    def forward(m: Forward, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.stem(x))  # type: ignore[operator]
        x = F.relu(m.norm(m.one(x)))  # type: ignore[operator]
        return m.head(F.relu(m.two(x)).mean((2, 3)))  # type: ignore[operator, no-any-return]

    return Forward(forward, stem=conv(1), norm=nn.BatchNorm2d(4), head=nn.Linear(4, 3), **layers)


def tied_weight() -> nn.Module:
    model = network(one=conv(), two=conv())
    model.two.weight = model.one.weight
    return model


def one_module_under_two_names() -> nn.Module:
    shared = conv()
    return network(one=shared, two=shared)


def one_module_in_a_dict() -> nn.Module:
    shared = nn.Sequential(conv(), nn.BatchNorm2d(4))
    layers = nn.ModuleDict({"first": shared, "second": shared})
    return network(layers=layers, one=layers["first"], two=layers["second"])


def one_parameter_beside_layers() -> nn.Module:
    model = tied_weight()
    model.register_parameter("kernel", model.one.weight)
    return model


SHARED = {
    make.__name__.replace("_", " "): make
    for make in (tied_weight, one_module_under_two_names, one_module_in_a_dict, one_parameter_beside_layers)
}


@pytest.fixture(params=SHARED)
def model(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    make: Callable[[], nn.Module] = SHARED[request.param]
    return make().eval()


def gradients(model: nn.Module, forward: nn.Module) -> dict[str, torch.Tensor]:
    model.zero_grad()
    F.cross_entropy(forward(network_inputs(IMAGES)), LABELS).backward()
    return {
        name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None
    }


def test_every_shared_weight_has_the_gradient_of_all_its_uses(model: nn.Module) -> None:
    view = QuantizedView.of(model, IMAGES, QuantizeConfig(weight_bits=16, activation_bits=16))
    exact, quantized = gradients(model, model), gradients(model, view.train())
    assert exact.keys() == quantized.keys() == dict(model.named_parameters()).keys()
    for name, gradient in exact.items():
        similarity = F.cosine_similarity(gradient.flatten(), quantized[name].flatten(), 0)
        assert similarity > 0.99, name  # 16 bits leave few values on the other side of a ReLU


def test_integers_follow_shared_weights_as_a_new_capture_does(model: nn.Module) -> None:
    view = QuantizedView.of(model, IMAGES, QuantizeConfig(weight_bits=4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(view.train()(network_inputs(IMAGES)), LABELS).backward()
        optimizer.step()
    fresh = capture(model, (1, 6, 6))
    for node in view.float_network().nodes:
        if isinstance(node, (FloatConv2d, FloatDense)):
            same = fresh.by_name[node.name]
            assert isinstance(same, (FloatConv2d, FloatDense))
            assert np.array_equal(node.weight, same.weight) and np.array_equal(node.bias, same.bias), (
                node.name
            )
    assert model.one is model.two or model.one.weight is model.two.weight
