"""Figures on the pages are those of the rows in benchmarks/results."""

from __future__ import annotations

import doctest
import json
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


def test_a_figure_that_changes_on_a_page_alone_is_found(report: ModuleType) -> None:
    for page in report.PAGES:
        text = page.read_text(encoding="utf-8")
        wrong = text.replace("35,312", "35,311")
        assert wrong != text and report.rendered(wrong, report.RESULTS) == text


@pytest.mark.parametrize("name", ["cycles", "accuracy", "whole", "resources", "papers", "tries"])
def test_a_row_that_changes_alone_is_found(report: ModuleType, results: Path, name: str) -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    path = results / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))
    assert report.rendered(page, results) != page


def test_every_row_says_how_it_was_measured(report: ModuleType) -> None:
    for name in ("cycles", "accuracy", "whole", "resources"):
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
