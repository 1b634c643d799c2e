"""Figures on the pages are those of the rows in benchmarks/results."""

from __future__ import annotations

import doctest
import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from repository import ROOT


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, loaded but not run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import report as loaded

    return loaded


@pytest.fixture
def results(report: ModuleType, tmp_path: Path) -> Path:
    """A copy of the rows."""
    return Path(shutil.copytree(report.RESULTS, tmp_path / "results"))


def test_every_table_of_a_page_is_what_the_rows_say(report: ModuleType) -> None:
    found = []
    for page in report.PAGES:
        text = page.read_text(encoding="utf-8")
        found += [block[2] for block in report.BLOCK.finditer(text)]
        assert report.rendered(text, report.RESULTS) == text, "write it by `python benchmarks/report.py`"
    assert sorted(found) == sorted(report.TABLES)


def test_every_drawing_is_what_the_rows_say(report: ModuleType, results: Path) -> None:
    import figures

    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert {path.name for path in report.FIGURES.iterdir()} == set(figures.FIGURES)
    for name, draw in figures.FIGURES.items():
        assert f"(figures/{name})" in pages
        drawn = (report.FIGURES / name).read_text(encoding="utf-8")
        assert draw(results) == drawn, "draw it by `python benchmarks/report.py`"
    path = results / "cycles.json"
    path.write_text(path.read_text().replace('"cycles": 107528', '"cycles": 207528'))
    assert all(draw(results) != (report.FIGURES / name).read_text() for name, draw in figures.FIGURES.items())


def test_a_figure_that_changes_on_a_page_alone_is_found(report: ModuleType) -> None:
    for page in report.PAGES:
        text = page.read_text(encoding="utf-8")
        wrong = re.sub(r"(\| `?pynq-z2.*?)\d", r"\g<1>x", text, count=1)
        assert wrong != text and report.rendered(wrong, report.RESULTS) == text


@pytest.mark.parametrize("name", ["cycles", "accuracy", "whole", "resources", "papers", "tries", "maps"])
def test_a_row_that_changes_alone_is_found(report: ModuleType, results: Path, name: str) -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    path = results / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))
    assert report.rendered(page, results) != page


def test_every_onnx_file_of_the_index_has_a_row_and_a_line_on_its_page(report: ModuleType) -> None:
    index = json.loads((ROOT / "benchmarks" / "onnx_files.json").read_text())
    rows = {row["file"]: row for row in json.loads((report.RESULTS / "imports.json").read_text())}
    page = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    assert sorted(rows) == sorted(entry["file"] for entry in index)
    for entry in index:
        row = rows[entry["file"]]
        assert entry.items() <= row.items()
        assert (row["exact"] is None) == (row["refusal"] is not None)
        address = entry.get("url") or f"../{entry['made']}"
        assert f"| [{entry['file'].removesuffix('.onnx')}]({address}) |" in page


def test_every_row_says_how_it_was_measured(report: ModuleType) -> None:
    for name in ("cycles", "accuracy", "whole", "resources", "imports", "maps"):
        for row in json.loads((report.RESULTS / f"{name}.json").read_text()):
            assert {"command", "seed", "machine", "date"} <= row.keys()


def test_rows_of_a_run_replace_those_of_the_same_network(
    report: ModuleType, results: Path, tmp_path: Path
) -> None:
    rows = json.loads((results / "cycles.json").read_text())
    measured = {**rows[1], "cycles": 700, "mismatches": 0, "violations": 0, "seconds": 1.0}
    (tmp_path / "cycles.json").write_text(json.dumps([measured]))
    report.keep(tmp_path, results)
    kept = json.loads((results / "cycles.json").read_text())
    assert [row["cycles"] for row in kept] == [rows[0]["cycles"], 700, *(row["cycles"] for row in rows[2:])]
    assert kept[1].keys() == rows[1].keys() and kept[1]["date"] > rows[1]["date"][:4]
    (tmp_path / "cycles.json").write_text(json.dumps([{**measured, "mismatches": 1}]))
    with pytest.raises(SystemExit, match="integers differ"):
        report.keep(tmp_path, results)


def test_the_example_holds(report: ModuleType) -> None:
    assert doctest.testmod(report).attempted and not doctest.testmod(report).failed
