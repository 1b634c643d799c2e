"""A network that pads raw pixels takes them as unsigned codes, and all that runs it gives equal integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compiled_networks import computed
from torch import nn

import bitlathe
from bitlathe.board.codes import input_codes
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.hls.compile import compile_graph
from bitlathe.hls.target.config import TARGETS
from bitlathe.hls.vitis.csim import HlsEngine
from bitlathe.model.capture.capture import capture
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.native.evaluator import evaluator
from bitlathe.model.qat.view import Frame, QuantizedView
from bitlathe.model.quantize.exact_network import ExactNetwork

PYNQ = TARGETS["pynq-z2"]


def padded() -> nn.Module:
    """A first layer of few channels that pads, and what usually follows."""
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 3, padding=1),
        nn.Flatten(),
        nn.Linear(6 * 6 * 5, 4),
    ).eval()


@pytest.fixture
def pictures(rng: np.random.Generator) -> Images:
    """Bytes of every value; the first four images are all dark, all bright, and both in turn."""
    images = rng.integers(0, 256, (24, 12, 10, 3)).astype(np.uint8)
    images[0], images[1], images[2, ::2], images[3, :, ::2] = 0, 255, 255, 255
    return images


@pytest.fixture(params=["raw", "range=0..1"])
def network(request: pytest.FixtureRequest, pictures: Images) -> IntegerNetwork:
    data = (pictures, np.arange(24) % 4)
    return bitlathe.quantize(bitlathe.load_network(padded(), (*data, *data), normalization=request.param))


def test_every_evaluator_of_the_graph_gives_the_references_integers(
    network: IntegerNetwork, pictures: Images
) -> None:
    codes = network.preprocess.codes(pictures)
    assert not network.graph.input.format.signed and set(np.unique(codes)) == set(range(256))
    wanted = evaluate(network.graph, codes)
    assert np.array_equal(evaluator(network.graph)(codes), wanted)
    x = (torch.from_numpy(pictures).permute(0, 3, 1, 2) - 128.0) / 128
    exact = ExactNetwork(network.graph, network.preprocess)(x).numpy()
    assert np.array_equal(
        np.ldexp(exact, network.graph.format_of(network.graph.output).frac), wanted[..., 0, 0]
    )


def test_the_view_that_is_trained_is_the_integer_network(network: IntegerNetwork, pictures: Images) -> None:
    assert network.subject is not None and network.config is not None
    captured = capture(network.subject.model, (3, 12, 10))
    frame = Frame.of(captured, pictures, network.config)
    view = QuantizedView(network.subject.model, frame, frame.thresholds(pictures)).eval()
    x = (torch.from_numpy(pictures).permute(0, 3, 1, 2) - 128.0) / 128
    made = view.network()
    codes = evaluate(made.graph, made.preprocess.codes(pictures))[..., 0, 0]
    assert made.preprocess.is_pixel
    assert np.array_equal(np.ldexp(view(x).numpy(), made.graph.format_of(made.graph.output).frac), codes)
    loss = view.train()(x).square().sum()
    loss.backward()
    assert torch.isfinite(network.subject.model[0].weight.grad).all()


def test_the_engine_in_cpp_and_without_a_clock_give_the_references_integers(
    network: IntegerNetwork, pictures: Images
) -> None:
    codes = network.preprocess.codes(pictures[:4])
    wanted = evaluate(network.graph, codes).reshape(4, -1)
    compiled = compile_graph(network.graph, PYNQ.engine)
    assert np.array_equal(HlsEngine(PYNQ).run(compiled, codes).reshape(4, -1), wanted)
    assert np.array_equal(computed(compiled, codes).reshape(4, -1), wanted)


def test_the_engines_rtl_gives_the_references_integers(network: IntegerNetwork) -> None:
    bitlathe.simulate(bitlathe.compile(network), 4).check()


def test_a_bundles_table_gives_the_graphs_input_codes(network: IntegerNetwork, pictures: Images) -> None:
    table = network.preprocess.bytes
    assert table.dtype == np.int8
    assert np.array_equal(
        input_codes(table, pictures, signed=False), network.preprocess.codes(pictures).astype(np.int16)
    )


def test_the_networks_file_and_its_table_are_read_again(network: IntegerNetwork, tmp_path: object) -> None:
    network.save(f"{tmp_path}/net.blg")
    again = bitlathe.load_quantized(f"{tmp_path}/net.blg", network.dataset)
    images = network.dataset.test_images
    assert again.preprocess.is_pixel and np.array_equal(again.outputs(images), network.outputs(images))
