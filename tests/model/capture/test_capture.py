"""Capture: the float network computes what the module computes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from exact_modules import Forward, make_exact, pixel_inputs
from tolerances import sum_tolerance, terms_of
from torch import nn
from torch.nn import functional as F

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import logits
from bitlathe.model.capture.float_network import FloatAvgPool2d, FloatConv2d, FloatMaxPool2d
from bitlathe.model.graph.errors import DataError, ShapeError
from bitlathe.model.zoo import Normalize, PadShortcut, build

SHAPE = (4, 8, 8)


def conv(outputs: int = 4, inputs: int = 4, kernel: int = 3, **settings: object) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **settings)  # type: ignore[arg-type]


def preactivation() -> nn.Module:
    """Batch norm where nothing can absorb it: its source is read twice."""
    return Forward(
        lambda m, x: (y := m.conv1(x)) + m.conv2(F.relu(m.norm(y))),
        conv1=conv(),
        norm=nn.BatchNorm2d(4),
        conv2=conv(),
    )


def in_place() -> nn.Module:
    """A ReLU that changes the summand it is read from."""

    def forward(m: Forward, x: torch.Tensor) -> torch.Tensor:
        y = m.conv1(x)
        z = m.conv2(m.relu(y))
        z += y
        return z

    return Forward(forward, conv1=conv(), conv2=conv(), relu=nn.ReLU(inplace=True))


EXACT = {
    "convolution with bias": conv(),
    "stride, kernel and padding that differ by axis": nn.Conv2d(4, 3, (3, 2), (2, 1), (0, 1)),
    "padding by name": nn.Conv2d(4, 3, 5, padding="same"),
    "convolution and batch norm": nn.Sequential(conv(bias=False), nn.BatchNorm2d(4), nn.ReLU()),
    "convolution with bias and batch norm": nn.Sequential(conv(), nn.BatchNorm2d(4), nn.ReLU6()),
    "batch norm without parameters": nn.Sequential(conv(), nn.BatchNorm2d(4, affine=False)),
    "depthwise convolution": nn.Sequential(conv(groups=4), nn.BatchNorm2d(4), nn.ReLU(), conv(6, kernel=1)),
    "batch norm of the image": nn.Sequential(nn.BatchNorm2d(4), conv()),
    "batch norm before its convolution": preactivation(),
    "sum of two convolutions": Forward(lambda m, x: F.relu(m.a(x) + m.b(x)), a=conv(), b=conv(kernel=1)),
    "identity shortcut": Forward(lambda m, x: F.relu((y := m.a(x)) + m.b(y)), a=conv(), b=conv()),
    "batch norm of a sum": Forward(
        lambda m, x: m.n(m.a(x) + m.b(x)), a=conv(), b=conv(), n=nn.BatchNorm2d(4)
    ),
    "sum of pools": Forward(lambda m, x: F.relu(F.max_pool2d(x, 2) + F.avg_pool2d(x, 2))),
    "sum of a tensor with itself": Forward(lambda m, x: (y := m.a(x)) + y, a=conv()),
    "sum of dense layers": Forward(
        lambda m, x: m.a(x.flatten(1)) + m.b(x.flatten(1)), a=nn.Linear(256, 5), b=nn.Linear(256, 5)
    ),
    "in-place ReLU of a summand": in_place(),
    "ReLU behind a pool": nn.Sequential(conv(), nn.MaxPool2d(3, 2, 1), nn.ReLU()),
    "ReLU of the image": nn.Sequential(nn.ReLU(), conv()),
    "ReLU behind a concatenation": Forward(
        lambda m, x: F.relu(torch.cat([m.a(x), F.max_pool2d(m.b(x), 3, 1, 1)], 1)), a=conv(), b=conv()
    ),
    "ReLU of a shared tensor": Forward(lambda m, x: torch.cat([y := m.a(x), F.relu(y)], 1), a=conv()),
    "ReLU twice": nn.Sequential(conv(), nn.ReLU(), nn.AvgPool2d(2), nn.ReLU()),
    "two clamps": nn.Sequential(conv(), nn.Hardtanh(-4, 2), nn.Hardtanh(-1, 6)),
    "one-sided clamp": Forward(lambda m, x: m.a(x).clamp(min=-1), a=conv()),
    "padded average pool": nn.AvgPool2d(2, 1, 1),
    "zeros around, unevenly": Forward(lambda m, x: m.a(F.pad(m.c(x), (1, 2, 0, 1))), a=conv(3), c=conv()),
    "zeros around one channel, then few pixels": Forward(
        lambda m, x: m.a(F.pad(x[:, :1], (1, 1, 1, 1))[:, :, ::2]), a=conv(3, 1)
    ),
    "adaptive average pool": nn.AdaptiveAvgPool2d((2, 4)),
    "mean with and without kept axes": Forward(
        lambda m, x: m.a(x.mean((2, 3))) + m.a(x.mean([-1, -2], keepdim=True).flatten(1)), a=nn.Linear(4, 5)
    ),
    "dense layers and batch norm": nn.Sequential(
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(256, 6, bias=False),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Linear(6, 3),
    ),
    "concatenated vectors": Forward(
        lambda m, x: m.l(torch.cat([m.a(x).flatten(1), m.b(x).reshape(x.shape[0], -1)], 1)),
        a=conv(2),
        b=conv(3),
        l=nn.Linear(320, 4),
    ),
    "one tensor concatenated twice": Forward(lambda m, x: torch.cat([y := m.a(x), y], 1), a=conv()),
    "strided shortcut with zero channels": Forward(
        lambda m, x: F.relu(m.a(x) + m.s(x)), a=conv(8, stride=2), s=PadShortcut(4, 8, 2)
    ),
    "some channels": Forward(lambda m, x: m.a(x[:, 1:3]) + m.b(x[:, ::2]), a=conv(3, 2), b=conv(3, 2)),
    "chosen channels": Forward(
        lambda m, x: m.a(torch.index_select(x, 1, torch.tensor([3, 0, 3]))), a=conv(3, 3)
    ),
    "constants by channel": Forward(
        lambda m, x: m.a(3.0 - (x * torch.tensor([1.0, 2.0, 0.5, 4.0]).view(1, -1, 1, 1) + 1) / 2), a=conv()
    ),
    "a number by every channel": Forward(
        lambda m, x: m.a(x) * torch.full((1, 1), 2.0) + torch.tensor(3.0), a=conv()
    ),
    "a constant a channel, of three axes": Forward(
        lambda m, x: m.a(x) + torch.arange(4.0).view(4, 1, 1), a=conv()
    ),
    "constants by feature": Forward(
        lambda m, x: m.a(x.flatten(1)) * torch.tensor([1.0, 2.0, 0.5]) - torch.ones(1, 3), a=nn.Linear(256, 3)
    ),
    "functional batch norm": Forward(
        lambda m, x: F.batch_norm(m.a(x), m.n.running_mean, m.n.running_var, m.n.weight, m.n.bias, eps=0.0),
        a=conv(),
        n=nn.BatchNorm2d(4),
    ),
    "flattened by the batch's own size": Forward(
        lambda m, x: m.l(F.max_pool2d(m.a(x), 2).view(x.size(0), -1)), a=conv(5), l=nn.Linear(80, 3)
    ),
    "flattened by the features' number": Forward(
        lambda m, x: m.l(F.max_pool2d(m.a(x), 2).reshape(-1, 80)), a=conv(5), l=nn.Linear(80, 3)
    ),
    "one module called twice": Forward(lambda m, x: m.a(F.relu(m.a(x))), a=conv()),
    "an unused branch": Forward(lambda m, x: (m.b(x), m.a(x))[1], a=conv(), b=conv()),
}


@pytest.mark.parametrize("case", EXACT)
def test_a_captured_network_computes_what_the_module_computes(case: str) -> None:
    module, x = make_exact(EXACT[case]), pixel_inputs(3, SHAPE)
    network = capture(module, SHAPE)
    with torch.no_grad():
        assert torch.equal(logits(network, x), module(x).flatten(1))


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "resnet20"])
def test_networks_of_the_zoo_are_captured(name: str) -> None:
    channels, size = (1, 8) if name == "lenet5" else (3, 32)
    model, x = build(name).eval(), pixel_inputs(2, (channels, size, size))
    network = capture(model, (channels, size, size))
    with torch.no_grad():
        expected = model(x)
    near = sum_tolerance(terms_of(model), expected.abs().max())
    assert torch.allclose(logits(network, x), expected, rtol=0, atol=near)


@pytest.mark.parametrize("name", ["resnet8", "mobilenet-28"])
def test_a_program_that_needs_no_decomposition_is_the_same_without_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(name).eval()
    shape = (1, 28, 28) if name == "mobilenet-28" else (3, 32, 32)
    quick = capture(model, shape)
    monkeypatch.setattr("bitlathe.model.capture.capture._is_understood", lambda program: False)
    slow = capture(model, shape)
    assert [(node.name, node.shape) for node in quick.nodes] == [(n.name, n.shape) for n in slow.nodes]
    for node, same in zip(quick.nodes, slow.nodes, strict=True):
        if isinstance(node, FloatConv2d):
            assert isinstance(same, FloatConv2d)
            assert np.array_equal(node.weight, same.weight)
            assert np.array_equal(node.bias, same.bias)


def test_a_network_in_channels_last_order_is_the_same_network() -> None:
    model = build("lenet5").eval()
    plain = capture(model, (1, 8, 8))
    turned = capture(model.to(memory_format=torch.channels_last), (1, 8, 8))  # type: ignore[call-overload]
    x = pixel_inputs(2, (1, 8, 8))
    expected = logits(plain, x)
    near = sum_tolerance(terms_of(model), expected.abs().max())
    assert torch.allclose(logits(turned, x), expected, rtol=0, atol=near)


def test_a_residual_network_becomes_convolutions_a_pool_and_a_dense_layer() -> None:
    network = capture(build("resnet20", normalize=Normalize.imagenet()), (3, 32, 32))
    assert [node.name for node in network.nodes] == [
        "input",
        "conv1",
        *(f"layer1_{block}_conv{number}" for block in range(3) for number in (1, 2)),
        *("layer2_0_conv1", "layer2_0_shortcut", "layer2_0_conv2"),
        *(f"layer2_{block}_conv{number}" for block in (1, 2) for number in (1, 2)),
        *("layer3_0_conv1", "layer3_0_shortcut", "layer3_0_conv2"),
        *(f"layer3_{block}_conv{number}" for block in (1, 2) for number in (1, 2)),
        *("pool", "linear"),
    ]
    assert network.front is not None


def test_a_sum_goes_into_the_convolution_and_a_shortcut_stays_a_selection() -> None:
    network = capture(build("resnet20"), (3, 32, 32))
    shortcut, last = network.by_name["layer2_0_shortcut"], network.by_name["layer2_0_conv2"]
    assert isinstance(shortcut, FloatConv2d) and isinstance(last, FloatConv2d)
    assert shortcut.is_selection and shortcut.stride == (2, 2) and shortcut.weight.shape == (32, 16, 1, 1)
    assert (last.residual, last.low) == ("layer2_0_shortcut", 0.0)


def test_a_relu_behind_a_pool_goes_into_the_convolution() -> None:
    network = capture(nn.Sequential(conv(), nn.MaxPool2d(2), nn.ReLU()), SHAPE)
    _, layer, pool = network.nodes
    assert isinstance(layer, FloatConv2d) and isinstance(pool, FloatMaxPool2d) and layer.low == 0.0


def test_a_second_relu_disappears() -> None:
    network = capture(nn.Sequential(conv(), nn.ReLU(), nn.AvgPool2d(2), nn.ReLU()), SHAPE)
    assert isinstance(network.nodes[-1], FloatAvgPool2d) and len(network.nodes) == 3


def test_a_constant_front_is_kept_apart_from_the_layers() -> None:
    network = capture(nn.Sequential(Normalize((0.5, 0.25), (0.5, 1.0)), conv(3, 2)), (2, 8, 8))
    assert network.front is not None
    # the module computes them in float32, from numbers up to 1, in two steps
    close = partial(np.allclose, rtol=0, atol=2 * 2.0**-23)
    assert close(network.front.scale, [256 / 255, 128 / 255])
    assert close(network.front.offset, [(128 / 255 - 0.5) * 2, 128 / 255 - 0.25])


def test_functional_operations_are_named_after_their_module_and_themselves() -> None:
    inner = Forward(lambda m, x: F.avg_pool2d(F.max_pool2d(F.max_pool2d(x, 2), 2), 2))
    network = capture(Forward(lambda m, x: m.inner(x), inner=inner), SHAPE)
    assert [node.name for node in network.nodes] == [
        "input",
        "inner_max_pool2d",
        "inner_max_pool2d_2",
        "inner_avg_pool2d",
    ]


def test_capture_leaves_the_module_as_it_was() -> None:
    module = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.Dropout())
    module[1].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    capture(module, SHAPE)
    assert [layer.training for layer in module] == [True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_a_nan_weight_is_refused_by_name() -> None:
    module = nn.Sequential(conv(), nn.ReLU())
    module[0].weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(DataError) as error:
        capture(module, SHAPE)
    assert str(error.value) == (
        "0.weight: 1 of 144 values are NaN or infinite; load intact weights or train again"
    )


def test_a_negative_variance_is_refused_by_layer() -> None:
    module = nn.Sequential(conv(), nn.BatchNorm2d(4))
    assert isinstance(module[1], nn.BatchNorm2d) and module[1].running_var is not None
    module[1].running_var[2] = -1
    with pytest.raises(DataError) as error:
        capture(module, SHAPE)
    assert str(error.value) == (
        "n0: folding its batch norm makes NaN or infinite weights; check its running_var, which must be >= 0"
    )


def test_an_input_of_another_shape_is_refused() -> None:
    with pytest.raises(
        ShapeError, match=r"^sequential: does not take images of shape \(3, 8, 8\) \(.*\); give"
    ):
        capture(nn.Sequential(conv()), (3, 8, 8))
