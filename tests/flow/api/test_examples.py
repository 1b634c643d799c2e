"""Examples and benchmarks run as their first lines say."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from command_line import complaint, run
from repository import ROOT

from bitlathe.flow.api.demo import next_commands
from bitlathe.flow.hardware.latency import CycleModelRung
from bitlathe.hls.target.config import find_target
from bitlathe.model.graph.files.archive import read_graph


def module(path: str) -> ModuleType:
    """A script of the repository, loaded but not run."""
    spec = importlib.util.spec_from_file_location(f"script_{Path(path).stem}", ROOT / path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks import one another, as they do when run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def test_the_steps_from_python_give_equal_integers(capsys: pytest.CaptureFixture[str]) -> None:
    module("examples/from_python.py")
    assert capsys.readouterr().out.endswith("every integer matches\n")


@pytest.mark.parametrize("script", sorted((ROOT / "examples" / "papers").glob("*.py")), ids=lambda p: p.stem)
def test_each_paper_has_a_script_that_keeps_the_accuracy(
    script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module(str(script.relative_to(ROOT))).main()
    told = re.findall(r"accuracy (0\.\d+)", capsys.readouterr().out)
    assert told and all(float(accuracy) > 0.94 for accuracy in told)


def test_a_network_of_ones_own_is_bit_exact() -> None:
    network = f"{ROOT / 'examples' / 'own_network.py'}:make_network"
    words = ("--network", network, "--dataset", "digits", "--calibration", "8", "--images", "4")
    result = run("simulate", *words, "--target", "pynq-z2", "--json").json
    assert (result["network"], result["mismatches"]) == ("make_network", 0)


def test_a_network_and_pictures_of_ones_own_go_from_training_to_a_board_s_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module("examples/own_network.py").main(str(tmp_path / "board"))
    printed = capsys.readouterr().out
    assert float(printed.splitlines()[0]) > 0.8 and "every integer matches" in printed
    assert (tmp_path / "board" / "agent.sh").exists() and list((tmp_path / "board").glob("*.bundle"))


def test_maps_of_classes_are_searched_under_a_bound_of_a_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module("examples/other_tasks.py").main(str(tmp_path))
    trained, found, simulated = capsys.readouterr().out.splitlines()
    assert "missed" in trained and "every integer matches" in simulated
    assert float(re.findall(r"missed (\S+),", found)[0]) <= 0.1
    before, after = (
        int(number.replace(",", "")) for number in re.findall(r"([\d,]+)(?: cycles before| after)", found)
    )
    assert after < before


def test_the_boxes_that_a_detector_should_give_are_all_found() -> None:
    detector = module("examples/detection/detector.py")
    labels = np.full((3, 5, 5), -1, np.float32)
    labels[0, :2] = (3, 2, 4, 30, 44), (3, 40, 10, 60, 30)
    labels[2, 0] = 9, 70, 70, 94, 96
    maps = torch.zeros(3, 4, 12, 12, requires_grad=True), torch.zeros(3, 10, 12, 12, requires_grad=True)
    detector.detection_loss(maps, torch.from_numpy(labels)).backward()
    assert all(map_.grad.isfinite().all() and map_.grad.any() for map_ in maps)
    _, centres, boxes, classes = detector._cells_of(torch.from_numpy(labels), maps[0])
    there = torch.nn.functional.one_hot(classes, 10).permute(0, 3, 1, 2).bool() & centres[:, None]
    right = boxes, torch.where(there, 8.0, -8.0)
    assert detector.mean_precision(tuple(each.numpy() for each in right), labels) == 1.0
    assert detector.detection_loss(right, torch.from_numpy(labels)) < 0.01
    outputs = tuple(each.numpy() for each in right)
    assert [len(found.boxes) for found in detector.found(outputs)] == [2, 0, 1]
    drawn = detector.mean_precision.draw(np.zeros((3, 96, 96, 1), np.uint8), outputs, labels)
    assert [picture.count("<rect") for picture in drawn] == [4, 0, 2], "what was found, and what is there"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "epochs"),
    [("detection/detector", None), ("detection/detector", 1), ("segmentation/segmenter", 1)],
)
def test_boxes_and_masks_are_learned_and_are_exact(
    script: str, epochs: int | None, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module(f"examples/{script}.py").main(str(tmp_path), epochs)
    assert "every integer matches" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "found.html").read_text()


@pytest.mark.parametrize(
    "name", [path.stem for path in (ROOT / "benchmarks" / "networks").glob("digit-*.pt")]
)
def test_a_kept_network_of_maps_is_that_of_its_row(name: str) -> None:
    maps = module("benchmarks/maps.py")
    (row,) = [row for row in json.loads(maps.RESULTS.read_text()) if row["network"] == name]
    graph = read_graph(maps.NETWORKS / f"{name}.blgc")
    note = maps.read_metadata(maps.NETWORKS / f"{name}.pt")
    assert maps.graph_digest(graph) == row["graph"]
    assert (note.score, note.command) == (row["float"], row["training"]) and row["mismatches"] == 0
    assert row["images"] >= 200 and row["board_images"] > 0
    assert row["float"] - row["integer"] <= 0.01 and row["on_those"] - row["hardware"] <= 0.01
    predicted = CycleModelRung(target=find_target(row["target"])).cycles(graph)
    assert predicted == pytest.approx(row["cycles"], rel=1e-3)


def test_the_benchmark_of_cycles_writes_a_row_for_each_pair_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cycles.json"
    words = ["--networks", "lenet5", "--targets", "pynq-z2", "--images", "2", "--out", str(out)]
    cycles = module("benchmarks/cycles.py")
    assert cycles.main(words) == 0
    (row,) = json.loads(out.read_text())
    assert (row["network"], row["target"], row["bits"], row["mismatches"]) == ("lenet5", "pynq-z2", 8, 0)
    assert row["efficiency"] == pytest.approx(row["ideal"] / row["cycles"], rel=1e-3)
    assert row["ideal"] <= row["array_bound"]
    assert row["cycles"] >= max(row["array_bound"], row["ddr_bound"]) and row["violations"] == 0
    assert row["cycles_stalled"] > row["cycles"] and row["model_error_worst"] < 0.01
    monkeypatch.setattr(cycles, "measure", None)  # a row of the same program and engine is not measured again
    assert cycles.main(words) == 0 and json.loads(out.read_text()) == [row]


def test_the_c_simulation_is_exact_at_a_hundred_million_products_a_second() -> None:
    csim = module("benchmarks/csim.py")
    row = csim.measure(csim.TARGETS["pynq-z2"], csim.Types.PLAIN, images=2, seed=0)
    assert row.mismatches == 0
    assert row.mega_macs_per_cpu_second > 100  # 300 on a core shared with trainings


def test_the_kept_network_of_the_searches_is_the_one_simulated_and_still_exact(data_root: Path) -> None:
    searches = module("benchmarks/searches.py")
    kept = searches.NETWORKS / f"{searches.SIMULATED}.blgc"
    results = json.loads(searches.RESULTS.read_text())
    row, simulated = results["pipelines"][f"{searches.SIMULATED}/search"], results["simulated"]
    assert searches.graph_digest(searches.read_graph(kept)) == row["graph"] == simulated["graph"]
    assert (simulated["mismatches"], simulated["images"]) == (0, searches.IMAGES)
    assert simulated["accuracy_integer"] == row["test_accuracy"]
    again = run("simulate", kept, "--data", data_root, "--images", "4", "--json").json
    assert (again["mismatches"], again["cycles"]) == (0, simulated["cycles"])


def test_a_simulation_counts_for_its_own_network_alone() -> None:
    exact = module("benchmarks/searches.py")._exact
    simulated = {"graph": "sha256:1", "images": 10_000, "mismatches": 0, "accuracy_integer": 0.9}
    assert exact({"graph": "sha256:1"}, simulated) == ("0 integers differ, 90.00 %", True)
    assert not exact({"graph": "sha256:1"}, {**simulated, "mismatches": 1})[1]
    assert not exact({"graph": "sha256:1"}, {**simulated, "images": 9_999})[1]
    assert exact({"graph": "sha256:2"}, simulated) == exact(None, simulated) == ("not measured", False)


def test_bars_are_met_missed_or_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars, cycles = module("benchmarks/bars.py"), importlib.import_module("cycles")
    names = cycles.Row.__dataclass_fields__
    whole = {**dict.fromkeys(names, 0), "bits": 8, "variant": "", "target": "pynq-z2"}
    rows = [
        cycles.Row(**{**whole, "network": network, "cycles": 37_000}) for network in ("resnet8", "resnet56")
    ]
    rows.append(cycles.Row(**{**whole, "network": "resnet8", "bits": 4, "cycles": 37_000}))
    monkeypatch.setattr(bars, "read_rows", lambda path: rows)
    monkeypatch.setattr(bars, "OUT", tmp_path / "bars.json")
    monkeypatch.setattr(bars, "RESOURCES", tmp_path / "none.json")
    assert bars.main() == 1
    met = {bar["what"]: bar["is_met"] for bar in json.loads((tmp_path / "bars.json").read_text())}
    assert met["resnet8: cycles"] and met["resnet56: cycles"] and met["all: mismatches"]
    assert not met["resnet20: cycles"] and not met["resnet8 at 4 bits: of 8 bits"] and not met["engine: lut"]
    assert "not measured" in capsys.readouterr().out


def test_a_routed_block_is_read_from_its_report() -> None:
    def step(kind: str, delay: float, cell: str) -> dict[str, object]:
        end = {"cell": cell, "port": "Q"}
        return {"type": kind, "delay": delay, "from": end, "to": end}

    steps = [
        step("clk-to-q", 0.4, "a_q_TRELLIS_FF_Q"),
        step("routing", 0.8, "x"),
        step("setup", 0.1, "b_q_TRELLIS_FF_Q"),
    ]
    report = {
        "fmax": {"clk_i": {"achieved": 92.106, "constraint": 150}},
        "critical_paths": [
            {"from": "async", "to": "posedge clk_i", "path": steps[:1]},
            {"from": "posedge clk_i", "to": "posedge clk_i", "path": steps},
        ],
    }
    routed = module("benchmarks/timing.py").routed_of("sequencer", report)
    assert (routed.fmax_mhz, routed.logic_ns, routed.routing_ns) == (92.1, 0.5, 0.8)
    assert (routed.begins, routed.ends) == ("a_q", "b_q")


def test_product_quantized_cases_keep_every_layer_exact() -> None:
    cases = module("benchmarks/cases.py")
    subject = cases.shared(cases.zoo("lenet5")).make(2, None)
    books = [node for node in subject.graph.nodes if getattr(node, "codebook", None) is not None]
    assert len(books) >= 2 and subject.weights.startswith("codewords of")
    for node in books:
        assert (node.codebook.decode(node.weight.shape[1]) == node.weight).all()


def test_the_benchmark_of_cycles_leaves_out_what_has_no_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--networks", "resnet8", "--data", str(tmp_path), "--out", str(tmp_path / "cycles.json")]
    assert module("benchmarks/cycles.py").main(words) == 0
    assert "resnet8 is left out: cifar10: files not found" in capsys.readouterr().err


def test_the_demo_is_bit_exact_on_every_test_image(tmp_path: Path) -> None:
    result = run("demo", "--out", tmp_path / "demo", "--json").json
    assert (result["images"], result["mismatches"]) == (360, 0)
    assert result["accuracy_integer"] > 0.97
    assert json.loads((tmp_path / "demo" / "result.json").read_text()) == result
    search = json.loads((tmp_path / "demo" / "search" / "result.json").read_text())
    (ordinary,) = (tmp_path / "demo" / "search" / "baselines").iterdir()
    baseline = json.loads((ordinary / "result.json").read_text())
    assert search["found"]["accuracy"] >= baseline["found"]["accuracy"], "on the images that judge"
    assert search["found"]["cycles"] < baseline["found"]["cycles"]
    assert search["budget"]["met"]
    for command in next_commands(tmp_path / "demo"):
        program, *words = shlex.split(command)
        assert program == "bitlathe" and complaint(*words) is None
