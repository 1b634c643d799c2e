"""The image joined with features, or added to them, neither clips them nor loses its own codes in silence."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from exact_modules import Forward
from torch import nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import forward
from bitlathe.model.capture.float_network import FloatNetwork
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.qat.view import Frame, QuantizedView
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.quantizer import network_inputs, quantize

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 6, 6, 3)).astype(np.uint8)
SHAPE = (3, 6, 6)


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def joined(join: str) -> nn.Module:
    """A network that joins features with what `join` says of the image."""

    def forward(m: Forward, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(m.a(x))
        parts = {
            "last": lambda: [y, x],
            "first": lambda: [x, y],
            "twice": lambda: [x, y, x],
            "pooled": lambda: [F.max_pool2d(x, 3, 1, 1), y],
            "in slices": lambda: [x[:, :1], y, x[:, 1:]],
            "in a slice that is read again": lambda: [z := x[:, :2], y, m.two(z)],
            "joined with itself": lambda: [torch.cat([x, F.max_pool2d(x, 3, 1, 1)], 1), y],
            "normalised": lambda: [(x - 0.1) / 0.3, y],
            "in two places": lambda: [x, m.b(torch.cat([y, x], 1))],
        }
        z = torch.cat(parts[join](), 1)
        return m.heads[z.shape[1]](z)  # type: ignore[index, operator, no-any-return]

    heads = {width: conv(width, 4) for width in range(4, 20)}
    module = Forward(forward, a=conv(3, 8), b=conv(11, 4), two=conv(2, 2))
    module.heads = heads  # type: ignore[assignment]  # a dict hides those that are not called
    return module


def front() -> nn.Module:
    def forward(m: Forward, x: torch.Tensor) -> torch.Tensor:
        x = (x - 0.1) / 0.3
        return m.head(torch.cat([x, m.a(x)], 1))  # type: ignore[no-any-return, operator]

    return Forward(forward, a=conv(3, 8), head=conv(11, 4))


def added(kind: str) -> nn.Module:
    """A network that adds the image, or zeros around it, to deep features."""

    def forward(m: Forward, x: torch.Tensor) -> torch.Tensor:
        y = m.b(F.relu(m.a(x)))
        return {
            "to a convolution": lambda: m.head(y + x),
            "to a ReLU": lambda: m.head(F.relu(y) + x),
            "padded with channels": lambda: m.wide(m.c(F.relu(m.a(x))) + F.pad(x, (0, 0, 0, 0, 1, 2))),
        }[kind]()  # type: ignore[no-any-return]

    layers = {"a": conv(3, 8), "b": conv(8, 3), "c": conv(8, 6), "head": conv(3, 4), "wide": conv(6, 4)}
    return Forward(forward, **layers)


JOINS = ["last", "first", "twice", "pooled", "in slices", "in a slice that is read again"]
JOINS += ["joined with itself", "normalised", "in two places"]
NETWORKS = {
    **{f"joined {join}": lambda join=join: joined(join) for join in JOINS},
    "joined behind a front": front,
    **{f"added {kind}": lambda kind=kind: added(kind) for kind in ("to a convolution", "to a ReLU")},
    "added padded with channels": lambda: added("padded with channels"),
}


@cache
def with_large_features(name: str) -> nn.Module:
    """The network with features in the hundreds."""
    torch.manual_seed(0)
    module = NETWORKS[name]().eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for layer in module.children():
            layer.weight.mul_(20)
    return module  # type: ignore[no-any-return]


@cache
def captured(name: str) -> FloatNetwork:
    """That network, read once for all tests."""
    return capture(with_large_features(name), SHAPE)


def largest(network: FloatNetwork) -> dict[str, float]:
    """Largest magnitude of each tensor over the images."""
    with torch.no_grad():
        return {node.name: float(v.abs().max()) for node, v in forward(network, network_inputs(IMAGES))}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bits", [(8, 8), (4, 8), (8, 6)])
def test_every_tensor_fits_its_format_where_the_image_meets_features(
    name: str, bits: tuple[int, int]
) -> None:
    config = QuantizeConfig(weight_bits=bits[0], activation_bits=bits[1], clipping_steps=0)
    made = quantize(captured(name), IMAGES, config)
    for tensor, magnitude in largest(made.network).items():
        form = made.graph.format_of(tensor)
        if tensor != made.graph.input.name:  # pixel 0 is the code -128, which a table may not need
            assert magnitude <= (form.hi + 0.5) * form.scale or magnitude <= -form.lo * form.scale, tensor


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_stay_as_close_as_rounding_leaves_them(name: str) -> None:
    module, made = with_large_features(name), quantize(captured(name), IMAGES)
    codes = evaluate(made.graph, made.preprocess.codes(IMAGES)).reshape(len(IMAGES), -1)
    with torch.no_grad():
        wanted = module(network_inputs(IMAGES)).flatten(1).numpy()
    # five layers of 8 bits: each rounds by at most 1/2 of 127 codes, errors of neighbours largely cancel
    error = codes * made.graph.format_of(made.graph.output).scale - wanted
    assert np.sqrt((error**2).mean()) < 5 * 0.5 / 127 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["joined last", "joined in slices", "added to a convolution"])
def test_a_view_of_such_a_network_is_its_integers(name: str) -> None:
    frame = Frame.of(captured(name), IMAGES, QuantizeConfig(weight_bits=4))
    view = QuantizedView(with_large_features(name), frame, frame.thresholds(IMAGES))
    made = view.network()
    codes = evaluate(made.graph, made.preprocess.codes(IMAGES)).reshape(len(IMAGES), -1)
    values = codes * made.graph.format_of(made.graph.output).scale
    assert np.array_equal(view.eval()(network_inputs(IMAGES)).flatten(1).numpy(), values)
    assert np.array_equal(view.train()(network_inputs(IMAGES)).flatten(1).detach().numpy(), values)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.head(torch.cat([x, F.max_pool2d(x, 3, 1, 1)], 1)),
        lambda m, x: m.a(x) + x,
        lambda m, x: m.a(F.relu(m.a(x))),
    ],
)
def test_nothing_is_copied_where_the_image_imposes_no_format(function: object) -> None:
    network = capture(Forward(function, a=conv(3, 3), head=conv(6, 4)).eval(), SHAPE)  # type: ignore[arg-type]
    assert not [node.name for node in network.nodes if "copy" in node.name]


def test_a_slice_of_the_image_is_its_own_copy() -> None:
    module = Forward(lambda m, x: torch.cat([x[:, :1], m.a(x)], 1), a=conv(3, 8)).eval()
    assert [node.name for node in capture(module, SHAPE).nodes] == ["input", "slice", "a", "cat"]
