"""A network of several outputs from the module to the board: every integer of each is the reference's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import needs
import numpy as np
import pytest
from two_headed import TwoHeads, two_heads

import bitlathe
from bitlathe.board.bundle import open_bundle
from bitlathe.board.manifest import parse_manifest
from bitlathe.flow.boards.bundle import Vectors, make_bundle, simulated_overlay
from bitlathe.flow.hardware.hls import Flow, HlsRequest, Synth, run_hls
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.hls.target.config import find_target
from bitlathe.model.graph.errors import UnsupportedLayer
from bitlathe.model.graph.reference import evaluate_outputs

NAMES = ["classes", "mask", "features"]


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return bitlathe.quantize(bitlathe.load_network(two_heads(), "digits"), calibration_images=64)


def test_accuracy_is_of_the_output_that_is_classes(network: IntegerNetwork) -> None:
    notes: list[object] = []
    again = bitlathe.quantize(
        bitlathe.load_network(two_heads(), "digits"), calibration_images=64, progress=notes.append
    )
    assert "TwoHeads: its output classes is the classes, so accuracy is of it" in map(str, notes)
    images, labels = network.dataset.test_images, network.dataset.test_labels
    classes, mask, features = network.outputs(images)
    assert again.accuracy == network.accuracy == (classes.reshape(len(labels), -1).argmax(1) == labels).mean()
    assert mask.shape[1:] == (3, 4, 4) and features.shape[1:] == (16, 4, 4)


@pytest.mark.parametrize("classes", [0, 2])
def test_no_accuracy_is_given_where_none_or_several_outputs_fit_the_classes(classes: int) -> None:
    class Unclear(TwoHeads):
        def forward(self, x):
            made = super().forward(x)
            return {
                "mask": made["mask"],
                **{f"classes{n}": made["classes"] + n for n in range(classes)},
                "two": x.mean((2, 3)),
            }

    notes: list[object] = []
    made = bitlathe.quantize(bitlathe.load_network(Unclear(), "digits"), progress=notes.append)
    assert made.accuracy is None
    assert any(f"{classes or 'none'} of which fit" in str(line) for line in notes)


def test_compressing_trains_the_classes_and_keeps_every_output(tmp_path: Path) -> None:
    heads = bitlathe.load_network(two_heads(), "digits")
    methods = ["train:epochs=4", "prune:macs=0.25", "quantize"]
    made = bitlathe.compress(heads, methods, tmp_path / "out", lr=0.2, batch_size=32, images=200)
    assert made.accuracy > 0.3 > made.accuracy_float
    graph = made.integer_network.graph
    assert [output.name for output in graph.outputs] == NAMES
    assert [graph.shapes[output.tensor] for output in graph.outputs] == [(10, 1, 1), (3, 4, 4), (16, 4, 4)]
    assert len(graph.by_name["stem"].weight) < 8
    bitlathe.simulate(made.integer_network, images=2).check()


def test_training_is_refused_where_the_classes_are_not_the_only_vector() -> None:
    class Vectors(TwoHeads):
        def forward(self, x):
            made = super().forward(x)
            return {"classes": made["classes"], "means": made["mask"].mean((2, 3))}

    with pytest.raises(bitlathe.BitlatheError) as caught:
        bitlathe.compress(bitlathe.load_network(Vectors(), "digits"), ["train:epochs=1"])
    assert str(caught.value) == (
        "Vectors: of 2 outputs 2 are vectors; the classes must be the only one: "
        "let the network return them alone"
    )


def test_a_file_holds_several_outputs_and_simulating_it_shows_each(
    network: IntegerNetwork, tmp_path: Path
) -> None:
    network.save(tmp_path / "heads.blg")
    read = bitlathe.load_quantized(tmp_path / "heads.blg", "digits")
    result = bitlathe.simulate(bitlathe.compile(read), images=3)
    result.check()
    assert [(output.name, output.shape, output.mismatches) for output in result.outputs] == [
        ("classes", (10, 1, 1), 0),
        ("mask", (3, 4, 4), 0),
        ("features", (16, 4, 4), 0),
    ]
    assert json.loads(json.dumps(result.to_json()))["outputs"][1]["name"] == "mask"


def test_an_integer_that_differs_is_counted_for_its_output(network: IntegerNetwork) -> None:
    """The program of another bias, judged by this network."""
    *nodes, last = network.graph.nodes
    shifted = replace(last, bias=last.bias + (64 << 8))
    program = bitlathe.compile(network)
    other = replace(network, graph=replace(network.graph, nodes=(*nodes, shifted)))
    wrong = bitlathe.simulate(replace(bitlathe.compile(other), network=network), images=2)
    assert [bool(output.mismatches) for output in wrong.outputs] == [
        output.tensor == last.name for output in network.graph.outputs
    ]
    assert wrong.mismatches == sum(output.mismatches for output in wrong.outputs)
    assert program.compiled.program.output_stride == bitlathe.compile(other).compiled.program.output_stride


def test_a_saved_program_says_where_each_output_is(network: IntegerNetwork, tmp_path: Path) -> None:
    bitlathe.compile(network).save(tmp_path / "out")
    outputs = json.loads((tmp_path / "out" / "manifest.json").read_text())["outputs"]
    assert [output["name"] for output in outputs] == NAMES
    assert [output["offset"] for output in outputs] == [
        0,
        outputs[0]["bytes"],
        outputs[0]["bytes"] + outputs[1]["bytes"],
    ]


def test_the_engine_in_c_gives_every_output(network: IntegerNetwork, tmp_path: Path) -> None:
    request = HlsRequest(
        target=find_target("pynq-z2"), flow=Flow.ENGINE, out=tmp_path / "hls", images=2, synth=Synth.NEVER
    )
    assert run_hls(network, request).mismatches == 0


def test_an_hls4ml_project_of_several_outputs_is_refused_in_one_line(
    network: IntegerNetwork, tmp_path: Path
) -> None:
    needs.package("hls4ml")
    request = HlsRequest(
        target=find_target("pynq-z2"), flow=Flow.HLS4ML, out=tmp_path / "hls", images=2, synth=Synth.NEVER
    )
    with pytest.raises(UnsupportedLayer) as caught:
        run_hls(network, request)
    assert str(caught.value) == (
        "TwoHeads: has outputs classes, mask, features, an hls4ml project here has one: use the engine, or "
        "let the network return one of them"
    )


def test_a_simulated_board_returns_each_output(network: IntegerNetwork, tmp_path: Path) -> None:
    needs.package("pynq")
    measured = bitlathe.measure(network, "sim://pynq-z2", images=3, out=tmp_path)
    assert [(output.name, output.mismatches) for output in measured.outputs] == [(name, 0) for name in NAMES]
    assert measured.mismatches == 0 and measured.correct is not None
    (folder,) = tmp_path.iterdir()
    bundle = open_bundle(folder)
    wanted = evaluate_outputs(network.graph, network.preprocess.codes(network.dataset.test_images[:3]))
    assert all(map(np.array_equal, bundle.arrays("expected.npy"), wanted))


def test_a_bundle_lists_its_outputs_and_one_of_one_output_is_as_before(
    network: IntegerNetwork, tmp_path: Path
) -> None:
    target = find_target("pynq-z2")
    images, labels = network.test_images(2)
    vectors = Vectors(images=images, labels=labels, table=network.preprocess.table, judged=2)
    graph = replace(network.graph, output=network.graph.outputs[::-1])
    several = make_bundle(graph, target, simulated_overlay(target), vectors, tmp_path)
    text = json.loads(several.manifest.encode())
    assert (text["format"], text["judged"]) == (2, 2)
    assert [output["name"] for output in text["outputs"]] == NAMES[::-1]
    assert parse_manifest(several.manifest.encode()) == several.manifest
    alone = replace(network.graph, output=network.graph.outputs[0].tensor)
    one = make_bundle(alone, target, simulated_overlay(target), replace(vectors, judged=0), tmp_path)
    text = json.loads(one.manifest.encode())
    assert text["format"] == 1 and not {"outputs", "judged"} & text.keys()
    assert {"output_shape", "output_frac", "output_signed"} <= text.keys()
    assert {"expected.npy", "output_index.npy"} <= set(one.manifest.files)
    assert parse_manifest(one.manifest.encode()) == one.manifest
