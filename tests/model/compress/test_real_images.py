"""After training on real images the integer reference computes what the live network is, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bitlathe.model.compress import Method, MethodData, State, train_epoch
from bitlathe.model.compress.methods import PruneChannels, PruneWeights, Quantize, ShareWeights
from bitlathe.model.compress.state import fresh_state
from bitlathe.model.compress.weight_files import load_pretrained
from bitlathe.model.data import load_dataset, to_input
from bitlathe.model.graph import proof
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.product.config import ProductConfig
from bitlathe.model.product.live import network_of
from bitlathe.model.prune.weights.masks import WeightScope
from bitlathe.model.quantize.config import LayerBits, QuantizeConfig
from bitlathe.model.train import TrainConfig

SETTINGS = TrainConfig(epochs=4, batch_size=32, lr=0.0005)
FULL = ("conv1", "linear")  # layers of 8 bits
Q44 = QuantizeConfig(
    weight_bits=4,
    activation_bits=4,
    calibration_images=32,
    layers=dict.fromkeys(FULL, LayerBits(weight_bits=8, activation_bits=8)),
)
QUANTIZE = Quantize(config=Q44, threshold_lr=0.01)
UNDER_Q: tuple[Method, ...] = (
    QUANTIZE,
    PruneChannels(channels=24, target=24, criterion="std"),
    PruneWeights(sparsity=0.5, rounds=1, scope=WeightScope.LAYER),
    ShareWeights(config=ProductConfig.of(8, 16, 32)),
)


@pytest.fixture(scope="module")
def data(data_root: Path) -> MethodData:
    cifar10 = load_dataset("cifar10", data_root)
    return MethodData(
        train_images=cifar10.train_images[:96],
        train_labels=cifar10.train_labels[:96],
        held_images=cifar10.test_images[:40],
        held_labels=cifar10.test_labels[:40],
        batch_size=32,
        augment=True,
    )


@pytest.fixture(scope="module")
def quantized(data: MethodData) -> State:
    """ResNet-8 after an epoch of three steps at four bits."""
    state = QUANTIZE.apply(fresh_state(load_pretrained("resnet8", "cifar10"), SETTINGS), data)
    train_epoch(state, data, SETTINGS)
    return state


@pytest.mark.parametrize("method", UNDER_Q, ids=lambda method: method.name)
def test_integers_compute_what_was_trained_on_real_images(
    method: Method, quantized: State, data: MethodData
) -> None:
    state = method.apply(quantized.copy(), data)
    before = [parameter.detach().clone() for parameter in state.model.parameters()]
    view = train_epoch(state, data, SETTINGS).view
    assert view is not None
    assert any(not torch.equal(a, b) for a, b in zip(before, state.model.parameters(), strict=True))
    network = network_of(view)
    proof.check(network.graph)
    layers = [node for node in network.graph.nodes if isinstance(node, Conv2d | Dense)]
    assert all(node.weight_bits == 4 for node in layers if node.name not in FULL)
    assert any(node.codebook is not None for node in layers) == isinstance(method, ShareWeights)
    codes = evaluate(network.graph, network.preprocess.codes(data.held_images)).reshape(40, 10)
    scale = network.graph.format_of(network.graph.output).scale
    assert np.array_equal(view.eval()(to_input(data.held_images)).numpy(), codes * scale)
    assert len(np.unique(codes, axis=0)) > 10, "it still tells images apart"
