"""The structure's figures count what they say."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from types import ModuleType

import pytest
from repository import ROOT


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, loaded but not run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import house as loaded

    return loaded


def test_the_examples_hold(house: ModuleType) -> None:
    results = doctest.testmod(house)
    assert results.attempted >= 4 and not results.failed


def test_an_alias_that_is_annotated_is_a_type(house: ModuleType) -> None:
    sources = {"a.py": "Codes: TypeAlias = int", "b.py": "Codes = int", "c.py": "Codes: int = 1"}
    assert house.repeated_types(sources) == {"Codes (a.py, b.py)": 2}


def test_parts_that_import_each_other_are_a_ring(house: ModuleType) -> None:
    sources = {
        "hls/compile/plan.py": "from bitlathe.hls.explore import search",
        "hls/explore/search.py": "from bitlathe.hls.target.config import find_target",
        "hls/target/config.py": "def late():\n    from bitlathe.hls.compile.plan import plan",
        "hls/emit.py": "from bitlathe.hls.target.config import find_target",
    }
    assert "hls.compile <-> hls.explore <-> hls.target" in house.arrows_up(sources)


def test_an_arrow_that_the_table_forbids_is_counted(house: ModuleType) -> None:
    (line,) = house.arrows_up({"hls/emit.py": "from bitlathe.flow import cli"})
    assert line.startswith("hls/emit.py:1: bitlathe.flow.cli is an arrow the wrong way")


def test_files_are_entered_by_calls_and_not_by_imports(house: ModuleType) -> None:
    from bitlathe.model.graph.fixed_point import FixedPoint

    entered = house.files_entered(lambda: FixedPoint(bits=8, frac=3).lo)
    assert list(entered) == ["model/graph/fixed_point.py"]
    assert house.files_entered(lambda: __import__("bitlathe.rtl_tb.random_networks.layers")) == {}


def test_every_figure_is_printed_and_written(
    house: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(house, "OUT", tmp_path / "house.json")
    status, printed = house.main(), capsys.readouterr().out
    rows = {row["what"]: row for row in json.loads((tmp_path / "house.json").read_text())}
    assert status == int(not all(row["is_met"] for row in rows.values()))
    assert all(f"\n{what}:\n" in printed for what in rows)
    lines = rows["lines of product Python"]
    assert lines["found"] == sum(lines["places"].values()) > 10_000
    assert "model/zoo/registry.py" in rows["files entered to load a network's weights"]["places"]
    assert "model/zoo/registry.py" in rows["files entered by a search request"]["places"]
