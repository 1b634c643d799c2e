"""Examples and benchmarks run as their first lines say."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from command_line import run
from repository import ROOT


def module(path: str) -> ModuleType:
    """A script of the repository, loaded but not run."""
    spec = importlib.util.spec_from_file_location(f"script_{Path(path).stem}", ROOT / path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


def test_the_steps_from_python_give_equal_integers(capsys: pytest.CaptureFixture[str]) -> None:
    module("examples/from_python.py").main()
    assert capsys.readouterr().out.endswith("integers equal: True\n")


def test_a_network_of_ones_own_is_bit_exact() -> None:
    network = f"{ROOT / 'examples' / 'own_network.py'}:make_network"
    words = ("--network", network, "--dataset", "digits", "--calibration", "8", "--images", "4")
    result = run("simulate", *words, "--target", "pynq-z2", "--json").json
    assert (result["network"], result["mismatches"]) == ("make_network", 0)


def test_the_benchmark_of_cycles_writes_a_row_for_each_pair(tmp_path: Path) -> None:
    out = tmp_path / "cycles.json"
    words = ["--networks", "lenet5", "--targets", "pynq-z2", "--images", "2", "--out", str(out)]
    assert module("benchmarks/cycles.py").main(words) == 0
    (row,) = json.loads(out.read_text())
    assert (row["network"], row["target"], row["bits"], row["mismatches"]) == ("lenet5", "pynq-z2", 8, 0)
    assert row["efficiency"] == pytest.approx(row["ideal"] / row["cycles"])


def test_the_benchmark_of_cycles_leaves_out_what_has_no_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--networks", "resnet8", "--data", str(tmp_path), "--out", str(tmp_path / "cycles.json")]
    assert module("benchmarks/cycles.py").main(words) == 0
    assert "resnet8 is left out: cifar10: files not found" in capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_is_bit_exact_on_every_test_image(tmp_path: Path) -> None:
    result = run("demo", "--out", tmp_path / "demo", "--json").json
    assert (result["images"], result["mismatches"]) == (360, 0)
    assert result["accuracy_integer"] > 0.97
    assert json.loads((tmp_path / "demo" / "result.json").read_text()) == result
