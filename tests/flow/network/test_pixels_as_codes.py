"""A network that pads raw pixels takes them as unsigned codes, and all that runs it gives equal integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from compiled_networks import computed
from torch import nn

import bitlathe
from bitlathe.board.bundle import open_bundle
from bitlathe.board.codes import input_codes
from bitlathe.board.manifest import parse_manifest
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.hls.compile import compile_graph
from bitlathe.hls.target.config import TARGETS
from bitlathe.hls.vitis.csim import HlsEngine
from bitlathe.model.capture.capture import capture
from bitlathe.model.graph.arrays import Images
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files.archive import write_graph
from bitlathe.model.graph.files.compact import decode_compact, encode_compact
from bitlathe.model.graph.graph import ImageCodes, ImageEntry
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.native.evaluator import evaluator
from bitlathe.model.qat.view import Frame, QuantizedView
from bitlathe.model.quantize.exact_network import ExactNetwork
from bitlathe.model.quantize.preprocess import Preprocess

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
    (made,) = evaluator(network.graph)(codes)
    assert np.array_equal(made, wanted)
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
    table = network.preprocess.signed_bytes
    assert table.dtype == np.int8
    assert np.array_equal(
        input_codes(table, pictures, signed=False), network.preprocess.codes(pictures).astype(np.int16)
    )


def test_the_networks_file_says_how_images_enter(network: IntegerNetwork, tmp_path: Path) -> None:
    network.save(tmp_path / "net.blg")
    seen, images = network.weights["normalization"], network.dataset.test_images
    (tmp_path / "alone.blg").write_bytes((tmp_path / "net.blg").read_bytes())
    told: list[str] = []
    for name in ("net.blg", "alone.blg"):  # the second without its table
        again = bitlathe.load_quantized(
            tmp_path / name, network.dataset, progress=lambda e: told.append(str(e))
        )
        assert again.preprocess.is_pixel and np.array_equal(again.outputs(images), network.outputs(images))
        assert str(again.graph.images) == f"pixel, trained with {seen}"
        assert again.weights["normalization"] == seen and seen in ("raw", "range=0..1")
        assert decode_compact(encode_compact(again.graph)).images == again.graph.images
    assert told[-1].endswith("alone.preprocess.npy is not there: images enter as pixel")


def test_a_table_is_needed_where_the_file_says_so(network: IntegerNetwork, tmp_path: Path) -> None:
    entry = ImageEntry(codes=ImageCodes.TABLE, normalization="imagenet")
    write_graph(replace(network.graph, images=entry), tmp_path / "net.blg")
    with pytest.raises(FormatError, match="its images enter by table, trained with imagenet; put the table"):
        bitlathe.load_quantized(tmp_path / "net.blg", network.dataset)
    Preprocess.offset(3).save(tmp_path / "net.preprocess.npy")
    with pytest.raises(FormatError, match=r"holds signed codes, the input of net.blg is unsigned; quantize"):
        bitlathe.load_quantized(tmp_path / "net.blg", network.dataset)


def test_a_board_runs_the_bundle_whose_manifest_says_how_images_enter(
    network: IntegerNetwork, tmp_path: Path
) -> None:
    assert bitlathe.measure(network, images=4, out=tmp_path).mismatches == 0
    manifest = open_bundle(next(tmp_path.iterdir())).manifest
    assert manifest.images == str(network.graph.images)
    assert parse_manifest(manifest.encode()) == manifest
    assert b'"images":' not in replace(manifest, images="").encode()  # as before there was the field
