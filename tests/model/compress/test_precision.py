"""PQ on a live state: codebooks reach the integer graph, survive a file, and are made again after a prune."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bitlathe.model.compress import MethodData, State, ZooArchitecture, train_epoch
from bitlathe.model.compress.methods import PruneChannels, Quantize, ShareWeights
from bitlathe.model.compress.precision import integer_view
from bitlathe.model.compress.state import fresh_state, load
from bitlathe.model.data import load_dataset
from bitlathe.model.graph.files.archive import graph_digest
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Dense
from bitlathe.model.product.config import ProductConfig
from bitlathe.model.product.live import network_of
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.train import TrainConfig

LENET = ZooArchitecture(network="lenet5", num_classes=10, in_channels=1, input_size=8)
SETTINGS = TrainConfig(epochs=3, batch_size=256, lr=0.05)
SHARE = ShareWeights(config=ProductConfig.of(8, 16, 32))
CONFIG = QuantizeConfig(calibration_images=32)


@pytest.fixture(scope="module")
def data() -> MethodData:
    return MethodData.split(load_dataset("digits"), held_out=400, batch_size=256, augment=False)


@pytest.fixture(scope="module")
def state(data: MethodData) -> State:
    """A quantized state after an epoch of shared weights."""
    made = Quantize(config=CONFIG).apply(fresh_state(LENET.build(), SETTINGS), data)
    made = SHARE.apply(made, data)
    train_epoch(made, data, SETTINGS)
    return made


def codebooks(graph: Graph) -> dict[str, int]:
    """Codewords of each layer that has some."""
    layers = (node for node in graph.nodes if isinstance(node, Conv2d | Dense))
    return {node.name: node.codebook.codewords for node in layers if node.codebook is not None}


def deployed(state: State, data: MethodData) -> Graph:
    return network_of(integer_view(state, data, CONFIG)).graph


def test_it_waits_for_a_quantizer_and_is_chosen_once(state: State) -> None:
    assert not SHARE.applicable(state)
    assert SHARE.applicable(replace(state, sharing=None))
    assert not SHARE.applicable(replace(state, sharing=None, quantization=None))


def test_it_brings_the_quantizer_that_it_was_given_and_leaves_one_that_is_on(state: State) -> None:
    brings = replace(SHARE, quantizer=replace(CONFIG, weight_bits=4))
    plain = replace(state, sharing=None, quantization=None)
    assert brings.applicable(plain)
    under = brings.apply(plain, data=None).quantization  # type: ignore[arg-type]
    assert under is not None and under.config.weight_bits == 4
    kept = brings.apply(replace(state, sharing=None), data=None).quantization  # type: ignore[arg-type]
    assert kept is state.quantization


def test_what_was_trained_is_what_is_deployed(state: State, data: MethodData) -> None:
    trained = state.copy()
    view = train_epoch(trained, data, SETTINGS).view
    assert view is not None
    before, after = network_of(view).graph, deployed(trained, data)
    assert graph_digest(before) == graph_digest(after)


def test_a_file_of_an_earlier_version_is_read(state: State, data: MethodData, tmp_path: Path) -> None:
    assert state.sharing is not None
    sharing = {"length": 8, "dense_length": 16, "codewords": 32, "assignments": state.sharing.assignments}
    torch.save(state.content() | {"sharing": sharing}, tmp_path / "state.pt")
    read = load(tmp_path / "state.pt", LENET, SETTINGS)
    assert read.sharing is not None and read.sharing.config == SHARE.config
    assert graph_digest(deployed(read, data)) == graph_digest(deployed(state, data))


def test_codebooks_reach_the_integer_graph_and_survive_a_file(
    state: State, data: MethodData, tmp_path: Path
) -> None:
    graph = deployed(state, data)
    assert codebooks(graph)
    assert max(codebooks(graph).values()) <= 32
    state.save(tmp_path / "state.pt")
    read = deployed(load(tmp_path / "state.pt", LENET, SETTINGS), data)
    for node, again in zip(graph.nodes, read.nodes, strict=True):
        if isinstance(node, Conv2d | Dense):
            assert isinstance(again, Conv2d | Dense)
            assert (node.weight == again.weight).all()


def test_a_cut_clusters_anew(state: State, data: MethodData) -> None:
    cut = PruneChannels(channels=16, target=16).apply(state.copy(), data)
    assert cut.sharing is not None
    assert cut.sharing.assignments is None
    train_epoch(cut, data, SETTINGS, share=0.3)
    assert codebooks(deployed(cut, data))
