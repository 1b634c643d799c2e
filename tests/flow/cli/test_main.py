"""The commands' results: exact integers, one JSON object, files with true digests."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import needs
import numpy as np
import pytest
from command_line import LENET, run

from bitlathe.flow.cli import main as cli
from bitlathe.flow.errors import ExitStatus, UsageError
from bitlathe.flow.network import graph_files
from bitlathe.flow.network.graph_files import read_network, usual_dataset
from bitlathe.flow.network.integer_network import IntegerNetwork, graph_name, preprocess_path
from bitlathe.flow.network.obtain import obtain
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files.account import useful_macs
from bitlathe.model.graph.files.archive import graph_digest, read_graph, write_graph
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.normalization import NONE
from bitlathe.model.quantize.preprocess import Preprocess
from bitlathe.model.zoo import NETWORKS, build, macs

ROW = {
    "network", "dataset", "images", "mismatches", "accuracy_float", "accuracy_integer", "macs", "cycles",
    "metric", "outputs", "score_float", "score_integer",
    "clock_mhz", "latency_ms", "array_macs_per_cycle", "efficiency", "cycles_first", "predicted_cycles",
    "weights", "target", "array_bound", "ddr_bound", "weight_bits", "activation_bits",
    "stall_percent", "seed", "seconds", "host",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_quantize_compares_accuracies_and_writes_a_graph() -> None:
    result = run("quantize", *LENET, "--out", "out/net.blg", "--json").json
    assert result["images"] == 360
    assert result["accuracy_float"] > 0.97 and result["accuracy_integer"] > 0.97
    assert result["weights"]["source"] == "committed checkpoint"
    assert graph_digest(read_graph(Path("out/net.blg"))) == result["graph"]
    assert Preprocess.load(Path("out/net.preprocess.npy")).is_offset


def test_a_graph_read_back_measures_as_it_was_written() -> None:
    written = run("quantize", *LENET, "--out", "net.blg", "--json").json
    read = run("quantize", "net.blg", "--json").json
    assert read["accuracy_float"] is None
    assert (read["weights"]["source"], read["weights"]["file"]) == ("integer graph", "net.blg")
    for name in (
        "network",
        "dataset",
        "images",
        "accuracy_integer",
        "macs",
        "parameters",
        "graph",
        "weight_bits",
    ):
        assert read[name] == written[name]


def test_a_graph_without_its_table_of_pixels_is_read_with_a_note() -> None:
    run("quantize", *LENET, "--out", "net.blg")
    Path("net.preprocess.npy").unlink()
    assert "net.preprocess.npy is not there: images enter as pixel - 128" in run("quantize", "net.blg").stderr


def test_a_graph_of_normalised_images_is_not_read_without_its_table() -> None:
    graph = obtain(NetworkRequest(network="lenet5", calibration_images=2)).graph
    wider = replace(graph.input, format=FixedPoint(bits=8, frac=6))
    write_graph(replace(graph, nodes=(wider, *graph.nodes[1:])), Path("net.blg"))
    with pytest.raises(FormatError) as caught:
        read_network(Path("net.blg"), "digits", None)
    assert str(caught.value) == (
        "net.preprocess.npy: is not there, and images cannot enter as pixel - 128, for the graph's input is "
        "FixedPoint(bits=8, frac=6, signed=True); put the table written with the graph beside it, or "
        "quantize again"
    )


def test_graphs_of_other_names_have_tables_of_their_own() -> None:
    names = ("net.blg", "net.blgc", "net-w4.5", "net-w4.8", "net")
    assert [preprocess_path(Path("out", name)).name for name in names] == [
        "net.preprocess.npy",
        "net.preprocess.npy",
        "net-w4.5.preprocess.npy",
        "net-w4.8.preprocess.npy",
        "net.preprocess.npy",
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"weight_bits": 4}, "`weight_bits`"),
        ({"activation_bits": 4, "per_channel": False}, "`activation_bits`, `per_channel`"),
        ({"calibration_images": 3}, "`calibration_images`"),
        ({"normalization": NONE}, "`normalization`"),
    ],
)
def test_a_graph_takes_no_options_that_its_file_answers(options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        obtain(NetworkRequest(graph=Path("net.blg"), **options))  # type: ignore[arg-type]
    assert str(caught.value) == f"net.blg: has weights and bits of its own; leave out {told}"


def test_bits_and_overrides_reach_the_graph() -> None:
    words = ("--weight-bits", "6", "--activation-bits", "7", "--layer", "conv1=3", "--per-layer")
    assert run("quantize", *LENET, *words, "--out", "net.blg", "--images", "10").status == 0
    nodes = {node.name: node for node in read_graph(Path("net.blg")).nodes}
    assert [nodes[name].weight_bits for name in ("conv1", "conv2", "fc1")] == [3, 6, 6]
    assert [nodes[name].format.bits for name in ("conv1", "fc1")] == [7, 7]
    assert len(set(nodes["conv2"].weight_frac)) == 1


def test_weights_are_random_where_none_are_known_and_a_line_says_so() -> None:
    words = ("quantize", "--network", "resnet8", "--dataset", "digits", "--calibration", "4", "--images", "4")
    outcome = run(*words, "--seed", "5", "--json")
    weights = outcome.json["weights"]
    assert weights == {"source": "seeded random", "file": None, "seed": 5, "normalization": "none"}
    assert "resnet8 on digits: weights are seeded random (seed 5)" in outcome.stderr


def test_compile_writes_all_that_is_needed_with_true_digests() -> None:
    printed = run("compile", *LENET, "--target", "zcu104", "--out", "out", "--json").json
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert printed["out"] == "out"
    assert printed["program_bytes"] == manifest["files"]["program.bin"]["bytes"]
    assert manifest["target"]["name"] == "zcu104"
    assert manifest["engine"]["identity"] == TARGETS["zcu104"].engine.identity
    on_disk = {path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()}
    assert on_disk == {"manifest.json", *manifest["files"]}
    for name, entry in manifest["files"].items():
        content = (Path("out") / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])


def test_compiling_again_replaces_the_folder_and_gives_equal_bytes() -> None:
    run("quantize", *LENET, "--out", "net.blg")
    contents = []
    for _ in range(2):
        assert run("compile", "net.blg", "--out", "out").status == 0
        contents.append({path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()})
    assert contents[0] == contents[1]


def test_simulate_finds_every_integer_equal_and_draws_a_profile() -> None:
    result = run("simulate", *LENET, "--images", "5", "--profile", "--json").json
    assert ROW | {"profile", "chart"} == set(result)
    assert (result["mismatches"], result["images"], result["macs"]) == (0, 5, 42_024)
    peak = 42_024 / (result["cycles"] * result["array_macs_per_cycle"])
    assert 0.8 * peak < result["efficiency"] <= peak  # the first layer's padding aside
    assert result["latency_ms"] == pytest.approx(result["cycles"] / result["clock_mhz"] / 1000)
    assert result["cycles_first"] > result["cycles"]
    assert {row["layer"] for row in result["profile"]} >= {"conv1", "fc3", "(last words out)"}
    assert Path(result["chart"]).read_bytes().startswith(b"\x89PNG")


def test_stalls_cost_cycles_but_change_no_integer() -> None:
    run("quantize", *LENET, "--out", "net.blg")
    words = ("simulate", "net.blg", "--images", "3", "--json")
    calm, stalled = run(*words).json, run(*words, "--stalls", "40", "--seed", "7", "--workers", "2").json
    assert stalled["mismatches"] == calm["mismatches"] == 0
    assert stalled["cycles"] > calm["cycles"]
    assert stalled["accuracy_integer"] == calm["accuracy_integer"]


def test_a_differing_integer_fails_the_check_after_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = IntegerNetwork.reference_outputs

    def off_by_one(network: IntegerNetwork, images: np.ndarray) -> tuple[np.ndarray, ...]:
        codes = honest(network, images)[0].copy()
        codes[-1, 3] += 1
        return (codes,)

    monkeypatch.setattr(IntegerNetwork, "reference_outputs", off_by_one)
    outcome = run("simulate", *LENET, "--images", "3", "--json")
    assert (outcome.status, outcome.json["mismatches"]) == (1, 1)
    assert "bitlathe: lenet5: 1 output integers of 3 images differ from the reference" in outcome.stderr


def test_tables_are_printed_where_no_json_is_asked_for() -> None:
    run("quantize", *LENET, "--out", "net.blg")
    for words in (
        ("quantize", "net.blg"),
        ("compile", "net.blg", "--out", "out"),
        ("simulate", "net.blg", "--profile"),
    ):
        outcome = run(*words)
        assert outcome.status == 0 and "lenet5" in outcome.stdout


def test_doctor_tells_what_is_here() -> None:
    outcome = run("doctor", "--json")
    assert {"python", "torch", "verilator"} <= {check["name"] for check in outcome.json["checks"]}
    assert "verilator" in run("doctor").stdout


def test_a_normalised_network_keeps_its_table_of_pixels(data_root: Path) -> None:
    words = ("quantize", "--network", "resnet8", "--data", data_root, "--normalize", "imagenet")
    run(*words, "--calibration", "2", "--images", "2", "--out", "net.blg")
    table = Preprocess.load(Path("net.preprocess.npy"))
    assert table.channels == 3 and not table.is_offset
    assert "is not there" not in run("quantize", "net.blg", "--data", data_root, "--images", "2").stderr


@pytest.mark.parametrize("name", ["lenet5", "resnet8"])
def test_macs_of_a_graph_are_those_of_its_network(name: str) -> None:
    network = obtain(NetworkRequest(network=name, dataset="digits", calibration_images=2))
    model = build(name, num_classes=10, in_channels=1, input_size=8)
    assert network.macs == macs(model, (1, 8, 8))
    assert network.macs == sum(useful_macs(network.graph, node) for node in network.graph.nodes)


def test_a_graph_named_after_a_network_of_the_zoo_has_its_usual_data_set() -> None:
    graph = obtain(NetworkRequest(network="lenet5", calibration_images=2)).graph
    for name, network in NETWORKS.items():
        usual = replace(graph, name=graph_name(name, network.dataset))
        assert usual_dataset(usual) == network.dataset
        assert usual_dataset(replace(graph, name=graph_name(name, "other"))) is None


def test_compiling_a_graph_needs_no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = obtain(NetworkRequest(network="lenet5", calibration_images=2)).graph
    write_graph(replace(graph, name="mine"), Path("mine.blg"))  # of no known data set

    def unread(*_: object, **__: object) -> None:
        raise AssertionError("images were read")

    monkeypatch.setattr(graph_files, "find_dataset", unread)
    for words, dataset in (((), None), (("--dataset", "digits"), "digits")):
        assert run("compile", "mine.blg", "--out", "mine", *words).status == ExitStatus.DONE
        assert json.loads(Path("mine", "manifest.json").read_text())["dataset"] == dataset
    outcome = run("compile", "mine.blg", "--out", "mine", "--dataset", "cifar10")
    assert outcome.status == ExitStatus.BAD_INPUT
    assert "takes images of (1, 8, 8), cifar10's are (3, 32, 32)" in outcome.stderr


def test_what_is_no_plain_file_stays_what_it_is(tmp_path: Path) -> None:
    needs.root()
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    outcome = run("quantize", *LENET, "--images", "2", "--out", tmp_path / "null")
    assert outcome.status == ExitStatus.DONE
    assert f"{tmp_path}/null: keeps no files, so the table of input codes is not written" in outcome.stderr
    assert (tmp_path / "null").is_char_device()
    outcome = run("compile", *LENET, "--out", tmp_path / "null")
    assert outcome.stderr.endswith(f"bitlathe: {tmp_path}/null: is a file; name a folder\n")
    assert [path.name for path in tmp_path.iterdir()] == ["null"]


def test_a_graph_written_through_a_link_is_read_by_both_its_names() -> None:
    Path("link.blg").symlink_to("far.blg")
    assert run("quantize", *LENET, "--images", "2", "--out", "link.blg").status == ExitStatus.DONE
    assert Path("link.blg").is_symlink()
    tables = [Path(f"{stem}.preprocess.npy").read_bytes() for stem in ("link", "far")]
    assert tables[0] == tables[1]


def test_a_path_that_is_no_text_is_printed_with_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, printed = os.fsdecode(b"Fr\xe4se"), io.BytesIO()
    words = ("quantize", *LENET, "--images", "2", "--out", f"{folder}/net.blg")
    monkeypatch.setattr("sys.argv", ["bitlathe", *words])
    with io.TextIOWrapper(printed, encoding="utf-8") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        with pytest.raises(SystemExit) as end:
            cli.main()
        stdout.flush()
        assert end.value.code == 0 and b"Fr\\udce4se/net.blg" in printed.getvalue()
    assert Path(folder, "net.blg").exists()


def test_the_version_is_the_package_s() -> None:
    assert run("--version").stdout == f"bitlathe {version('bitlathe')}\n"
