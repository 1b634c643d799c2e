"""Networks of every kind of node, trained as quantized: the integers' function, with its true gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from float_networks import FUNCTIONS, FloatNetworkBuilder, function_called, random_float_network
from torch.nn import functional as F

from bitlathe.model.capture.float_forward import output_of
from bitlathe.model.capture.float_network import FloatLookup, FloatNetwork
from bitlathe.model.capture.formula import Live, Real
from bitlathe.model.capture.scalar_function import ScalarFunction
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.reference import evaluate, evaluate_all
from bitlathe.model.qat.view import Frame, QuantizedView
from bitlathe.model.quantize.config import FLOAT_BITS, QuantizeConfig
from bitlathe.model.quantize.quantizer import network_inputs
from bitlathe.model.quantize.weight_formats import WeightedNode


def images_for(network: FloatNetwork, count: int = 6) -> np.ndarray:
    channels, height, width = network.input.shape
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels)).astype(np.uint8)


def view_of(
    network: FloatNetwork, module: torch.nn.Module, config: QuantizeConfig
) -> tuple[QuantizedView, torch.Tensor, np.ndarray]:
    images = images_for(network)
    frame = Frame.of(network, images, config)
    return QuantizedView(module, frame, frame.thresholds(images)), network_inputs(images), images


def assert_deployed_exactly(view: QuantizedView, images: np.ndarray) -> torch.Tensor:
    """The view in evaluation mode is its integer network, which is legal, bit for bit."""
    made = view.network()
    check(made.graph)
    codes = evaluate(made.graph, made.preprocess.codes(images)).reshape(len(images), -1)
    values = view.eval()(network_inputs(images))
    assert np.array_equal(
        values.flatten(1).numpy(), codes * made.graph.format_of(made.graph.only_output).scale
    )
    return values


@pytest.mark.parametrize("first", range(0, 48, 8))
def test_training_and_the_integers_compute_the_same(first: int) -> None:
    for seed in range(first, first + 8):
        bits = 3 + seed % 5
        config = QuantizeConfig(weight_bits=bits, activation_bits=bits, per_channel=seed % 2 == 0)
        view, x, images = view_of(*random_float_network(seed), config)
        trained = view.train()(x)
        assert torch.equal(trained, assert_deployed_exactly(view, images)), seed


def test_whatever_is_trained_and_wherever_thresholds_go_the_integers_are_legal() -> None:
    for seed in range(100, 124):
        config = QuantizeConfig(weight_bits=4, activation_bits=6)
        view, x, images = view_of(*random_float_network(seed), config)
        rng = np.random.default_rng(seed)
        with torch.no_grad():
            for threshold in view.parameters_learned():
                threshold.add_(int(rng.integers(-9, 10)))
        assert_deployed_exactly(view, images)
        optimizer = torch.optim.Adam([*view.model.parameters(), *view.parameters_learned()], lr=0.05)
        for _ in range(2):
            optimizer.zero_grad()
            F.cross_entropy(view.train()(x), torch.arange(len(x)) % 5).backward()
            optimizer.step()
        assert_deployed_exactly(view, images)


def real_outputs(network: FloatNetwork, module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The float network in PyTorch on the module's own tensors."""
    made = {network.input.name: x}
    for node in network.nodes[1:]:
        sources = [made[name] for name in node.sources]
        if isinstance(node, WeightedNode):
            weight, bias = (
                module.get_parameter(f.operand.name) for f in (node.origin.weight, node.origin.bias)
            )
            made[node.name] = layer_with(node, weight, bias, sources)
        else:
            made[node.name] = output_of(node, sources)
    return made[network.output].flatten(1)


def layer_with(
    node: WeightedNode, weight: torch.Tensor, bias: torch.Tensor, sources: list[torch.Tensor]
) -> torch.Tensor:
    """A layer of PyTorch with gradients to weight and bias."""
    x, *others = sources
    if weight.ndim == 2:
        total = F.linear(x.flatten(1), weight, bias)[:, :, None, None]
    elif hasattr(node, "output_padding"):
        # PyTorch has transposed weights by input channel, group after group
        groups = torch.cat([part.transpose(0, 1) for part in weight.chunk(node.groups)])
        total = F.conv_transpose2d(
            x, groups, bias, node.stride, node.padding, node.output_padding, node.groups
        )
    else:
        (top, left), (bottom, right) = node.windows.padding, node.windows.end_padding
        x = F.pad(x, (left, right, top, bottom))
        total = F.conv2d(x, weight, bias, node.stride, 0, node.dilation, node.groups)
    return torch.clamp(sum(others, total), node.low, node.high)


def test_with_32_bits_throughout_gradients_are_those_of_pytorch() -> None:
    config = QuantizeConfig(weight_bits=FLOAT_BITS, activation_bits=FLOAT_BITS)
    for seed in range(24):
        network, module = random_float_network(seed)
        view, x, _ = view_of(network, module, config)
        made, wanted = view.train()(x), real_outputs(network, module, x)
        torch.testing.assert_close(made, wanted, rtol=1e-3, atol=1e-4)
        names = [name for name, _ in module.named_parameters()]
        parameters = list(module.parameters())
        direction = torch.randn(made.shape, generator=torch.Generator().manual_seed(seed))
        both = [
            torch.autograd.grad((outputs * direction).sum(), parameters, allow_unused=True)
            for outputs in (made, wanted)
        ]
        for name, one, other in zip(names, *both, strict=True):
            if one is None or other is None:
                assert one is None and other is None, (seed, name)
                continue
            scale = float(other.abs().max())
            torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3 * scale + 1e-6, msg=f"{seed} {name}")


def lone_table(name: str) -> tuple[FloatNetwork, torch.nn.Module]:
    built = FloatNetworkBuilder((2, 4, 4))
    made = built.convolution("image", 4, (3, 3))
    return built.network(built.lookup(made, name)), built.module


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_tables_gradient_is_its_functions_at_each_code(name: str) -> None:
    view, x, _ = view_of(*lone_table(name), QuantizeConfig())
    view.train()(x)
    graph = view.network().graph
    table = graph.by_name[graph.only_output]
    layer = view._trained[1].layers[table.name]
    source, form = graph.format_of(table.source), table.format
    codes = torch.arange(source.lo, source.hi + 1.0).requires_grad_()
    made = layer([codes], view.evaluation(torch.float32))
    assert made.tolist() == list(table.codes)
    made.sum().backward()
    values = (codes.detach().double() * source.scale).requires_grad_()
    wanted = FUNCTIONS[name](values)
    (slopes,) = torch.autograd.grad(wanted.sum(), values)
    within = (wanted / form.scale > form.lo) & (wanted / form.scale < form.hi)
    assert torch.allclose(codes.grad[within].double(), (slopes * source.scale / form.scale)[within])
    assert within.sum() > len(values) / 2


def test_a_function_without_a_gradient_passes_none() -> None:
    network, module = lone_table("abs")
    act = network.nodes[-1]
    assert isinstance(act, FloatLookup)
    step = replace(function_called("abs"), name="step", apply=lambda x: (x > 0).to(x.dtype))
    network = replace(network, nodes=(*network.nodes[:-1], replace(act, function=step)))
    view, x, images = view_of(network, module, QuantizeConfig())
    made = view.train()(x)
    made.sum().backward()
    assert set(made.unique().tolist()) <= {0.0, 1.0}
    gradients = [p.grad for p in module.parameters()]
    assert all(gradient is None or not gradient.any() for gradient in gradients)
    assert_deployed_exactly(view, images)


def test_a_functions_own_parameters_train_and_reach_the_table() -> None:
    """One slope that is trained, as PReLU has it."""
    network, module = lone_table("abs")
    slope = torch.tensor([0.3])
    module.register_parameter("slope", torch.nn.Parameter(slope))
    formula = Real(Live("slope", slope))
    function = ScalarFunction.of("prelu", lambda x, a: torch.where(x > 0, x, a * x), formula)
    act = network.nodes[-1]
    assert isinstance(act, FloatLookup)
    network = replace(network, nodes=(*network.nodes[:-1], replace(act, function=function)))
    view, x, images = view_of(network, module, QuantizeConfig())
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        made = view.train()(x)
        assert torch.equal(made.flatten(1), assert_deployed_exactly(view, images).flatten(1))
        before = view.network().graph.by_name[act.name]
        made.square().sum().backward()
        graph = view.network().graph
        codes = evaluate_all(graph, view.network().preprocess.codes(images))
        read, wanted = (codes[name] * graph.format_of(name).scale for name in (before.source, before.name))
        slope_gradient = (2 * wanted * read)[read < 0].sum()
        assert module.slope.grad.item() == pytest.approx(slope_gradient, rel=1e-5)
        optimizer.step()
        assert view.network().graph.by_name[act.name] != before
    kept = view.network().network.by_name[act.name]
    assert isinstance(kept, FloatLookup)
    values = kept.function.values(np.array([-1.0]))
    with torch.no_grad():
        module.slope.zero_()
    assert np.array_equal(kept.function.values(np.array([-1.0])), values)
