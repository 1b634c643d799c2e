"""Modules beside the float networks that capture reads from them."""

from __future__ import annotations

from typing import Any

import torch
from exact_modules import pixel_inputs
from torch import Tensor, nn
from torch.utils import _pytree

from bitlathe.model.capture.capture import capture
from bitlathe.model.capture.float_forward import forward
from bitlathe.model.capture.float_network import FloatNetwork

NEAR = 1e-5  # of outputs up to a few units, by sums of some hundreds of float32 products


def returned(network: FloatNetwork, x: Tensor) -> Any:
    """What the module that a network was captured from should return for images (N, C, H, W)."""
    made = {node.name: values for node, values in forward(network, x)}
    return network.form.returned([made[output.tensor] for output in network.outputs])


def kinds(network: FloatNetwork) -> list[str]:
    """Kinds of its nodes behind the image, in order."""
    return [type(node).__name__.removeprefix("Float") for node in network.nodes[1:]]


def with_statistics(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in evaluation mode with new random weights and nontrivial batch norms."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator) / 4)
            layer.running_var.copy_(torch.rand(layer.num_features, generator=generator) + 0.5)
            if layer.affine:
                layer.weight.data = torch.rand(layer.num_features, generator=generator) + 0.5
                layer.bias.data = torch.randn(layer.num_features, generator=generator) / 4
        elif isinstance(getattr(layer, "weight", None), Tensor) and layer.weight.ndim > 1:
            fan_in = layer.weight[0].numel()
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator) / fan_in**0.5
    return module.eval()


def captured_alike(module: nn.Module, shape: tuple[int, int, int]) -> FloatNetwork:
    """The captured network of a module, which computes what the module does on random images."""
    module, x = with_statistics(module), pixel_inputs(3, shape)
    network = capture(module, shape)
    with torch.no_grad():
        wanted, made = _pytree.tree_leaves(module(x)), _pytree.tree_leaves(returned(network, x))
    assert len(wanted) == len(made)
    for one, other in zip(wanted, made, strict=True):
        assert one.numel() == other.numel(), (one.shape, other.shape)
        magnitude = max(1.0, float(one.abs().max()))
        assert torch.allclose(one.float().flatten(1), other.float().flatten(1), rtol=0, atol=NEAR * magnitude)
    return network
