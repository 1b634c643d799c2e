"""Networks that round their tensors themselves keep their integers through every kind of node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from exact_modules import Forward
from float_networks import FloatNetworkBuilder
from torch import nn
from torch.nn import functional as F

from bitlathe.model.capture.float_forward import output_of
from bitlathe.model.capture.float_network import CodeGrid, FloatNetwork
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.quantize.kept import keep_integers
from bitlathe.model.quantize.quantizer import network_inputs, quantize

SIGNED = CodeGrid(step=2.0**-4, lo=-128, hi=127)
UNSIGNED = CodeGrid(step=2.0**-6, lo=0, hi=255)


def on_grid(built: FloatNetworkBuilder, name: str, grid: CodeGrid, **clamp: float) -> str:
    """A node that rounds to a grid, with weights and biases of few bits."""
    node, fields = built.nodes[name], {}
    if hasattr(node, "weight"):
        weight = np.round(node.weight * 16).clip(-127, 127) / 16
        fields = {
            "weight": weight.astype(np.float32),
            "bias": np.round(node.bias * 64) / 64,
            "captured": None,
        }
    built.nodes[name] = replace(node, grid=grid, **fields, **clamp)
    return name


def network_on_grids(factor_step: float = UNSIGNED.step) -> FloatNetwork:
    """Groups, dilation, uneven padding, a table, a product, a shuffle, and a transposed convolution."""
    built = FloatNetworkBuilder((2, 6, 6))
    first = on_grid(
        built,
        built.convolution("image", 8, (3, 3), groups=2, dilation=(2, 1), padding=(1, 0), end_padding=(2, 1)),
        SIGNED,
    )
    gate = on_grid(built, built.lookup(first, "sigmoid"), replace(UNSIGNED, step=factor_step))
    product = on_grid(built, built.product(first, gate), SIGNED)
    activated = on_grid(built, built.lookup(product, "hardswish"), SIGNED)
    shuffled = built.shuffled(activated, 2)
    last = on_grid(built, built.transposed(shuffled, 3, (3, 3), (2, 2), padding=(1, 1)), SIGNED, low=-1.0)
    return built.network(last)


def rounded_outputs(network: FloatNetwork, x: torch.Tensor) -> torch.Tensor:
    """What PyTorch computes with fake quantization behind each node that has a grid."""
    made = {network.input.name: x}
    for node in network.nodes[1:]:
        value = output_of(node, [made[name] for name in node.sources])
        grid = getattr(node, "grid", None)
        if grid is not None:
            value = torch.fake_quantize_per_tensor_affine(value, grid.step, 0, grid.lo, grid.hi)
        made[node.name] = value
    return made[network.output]


def test_every_code_is_what_fake_quantization_computes() -> None:
    network = network_on_grids()
    images = np.random.default_rng(0).integers(0, 256, (32, 6, 6, 2)).astype(np.uint8)
    x = network_inputs(images)
    kept = keep_integers(network, x, QuantizeConfig())
    check(kept.graph)
    codes = evaluate(kept.graph, kept.preprocess.codes(images))
    assert np.array_equal(codes * SIGNED.step, rounded_outputs(network, x).numpy())
    assert len(np.unique(codes)) > 40


def fake(x: torch.Tensor, grid: CodeGrid) -> torch.Tensor:
    return torch.fake_quantize_per_tensor_affine(x, grid.step, 0, grid.lo, grid.hi)


def rounding_module() -> Forward:
    """Squeeze-and-excitation with functions, each rounded behind it."""

    def run(m: Forward, x: torch.Tensor) -> torch.Tensor:
        x = fake(x, CodeGrid(step=2.0**-7, lo=-128, hi=127))
        x = fake(F.silu(fake(m.stem(x), SIGNED)), SIGNED)
        squeezed = fake(F.avg_pool2d(x, 4), SIGNED)
        gate = fake(torch.sigmoid(fake(m.gate(squeezed), SIGNED)), UNSIGNED)
        x = fake(F.relu(x * gate), UNSIGNED)
        return fake(m.last(F.interpolate(x, scale_factor=2)), SIGNED)

    model = Forward(
        run, stem=nn.Conv2d(2, 4, 3), gate=nn.Conv2d(4, 4, 1), last=nn.Conv2d(4, 2, 3, dilation=2)
    )
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(rng.integers(-31, 32, tuple(parameter.shape)) / 32))
    return model


def test_a_module_that_rounds_functions_and_products_keeps_its_integers() -> None:
    images = np.random.default_rng(0).integers(0, 256, (32, 6, 6, 2)).astype(np.uint8)
    model = rounding_module()
    made = quantize(model, images)
    assert made.is_kept, made.unkept
    with torch.no_grad():
        wanted = model(network_inputs(images)).numpy()
    codes = evaluate(made.graph, made.preprocess.codes(images))
    assert np.array_equal(codes * SIGNED.step, wanted) and len(np.unique(codes)) > 40


def test_a_product_that_is_rounded_finer_than_its_factors_allow_is_refused() -> None:
    network = network_on_grids(factor_step=4.0)
    nodes = list(network.nodes)
    place = next(i for i, node in enumerate(nodes) if node.name.startswith("product"))
    nodes[place] = replace(nodes[place], grid=replace(SIGNED, step=2.0**-9))
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 2)).astype(np.uint8)
    with pytest.raises(FormatError, match="its output has a finer step than its product"):
        keep_integers(replace(network, nodes=tuple(nodes)), network_inputs(images), QuantizeConfig())
