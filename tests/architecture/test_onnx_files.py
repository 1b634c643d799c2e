"""The benchmark of ONNX files from elsewhere tells what each file is, and where its integers ran."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import needs
import numpy as np
import pytest
from onnx_files import node, write
from repository import ROOT

needs.package("onnx")
needs.package("onnxruntime")


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, loaded but not run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import imports as loaded

    return loaded


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two files, one of which is not read."""
    constants = {"k": rng.normal(0, 0.3, (4, 3, 8, 8)).astype(np.float32)}
    for name, operator in (("net", "Relu"), ("odd", "Det")):
        nodes = [node("Conv", "x k", "c"), node(operator, "c", "d"), node("Flatten", "d", "y")]
        write(tmp_path / f"{name}.onnx", nodes, constants)
    return tmp_path


def rows(imports: ModuleType, folder: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    out = folder / "rows.json"
    status = imports.main([str(folder), *words, "--out", str(out)])
    return status, json.loads(out.read_text()) if out.exists() else []


def test_a_file_that_is_read_runs_bit_for_bit(imports: ModuleType, folder: Path) -> None:
    status, (row,) = rows(imports, folder, "--new", "net.onnx=3,8,8")
    assert (status, row["refusal"], row["opset"]) == (0, None, 17)
    assert row["operators"] == {"Conv": 1, "Flatten": 1, "Relu": 1}
    assert row["exact"]["differing"] == {"compiled": 0, "engine": 0}
    assert row["difference"] <= 1e-4 * row["magnitude"]


def test_a_file_that_is_refused_says_so_in_one_line(imports: ModuleType, folder: Path) -> None:
    rows(imports, folder, "--new", "net.onnx=3,8,8")
    status, (_, row) = rows(imports, folder, "--new", "odd.onnx=3,8,8")
    assert status == 0 and row["exact"] is None
    assert row["refusal"].startswith("d: Det is not read; ") and "\n" not in row["refusal"]


def test_a_file_that_is_not_the_one_of_the_index_is_not_measured(imports: ModuleType, folder: Path) -> None:
    entry = {"file": "net.onnx", "image": [3, 8, 8], "sha256": "0" * 64}
    with pytest.raises(SystemExit, match="is not the file of the index"):
        imports.measured(folder / "net.onnx", entry, 0)


def test_a_folder_without_any_of_the_files_is_told(imports: ModuleType, folder: Path) -> None:
    assert rows(imports, folder) == (3, [])
