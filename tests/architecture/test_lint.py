"""`make lint` looks at all SystemVerilog and C++ of ours, and finds what is wrong in it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import needs
import pytest
from repository import ROOT, files_below

from bitlathe.hls.target.config import TARGETS


@pytest.fixture(scope="module")
def lint() -> ModuleType:
    """The script."""
    spec = importlib.util.spec_from_file_location("lint_script", ROOT / ".ci" / "lint.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_every_cpp_file_is_laid_out_or_generated(lint: ModuleType) -> None:
    written = set(lint.cpp_sources())
    others = {path for room in ("hls", "model", "tests") for path in files_below(room, "*.[ch]pp")} - written
    assert len(written) > 20
    assert all(lint.GENERATED.search(path.read_text()) or "golden" in path.parts for path in others)


def test_the_formatter_lays_out_code_and_leaves_pragmas_alone(lint: ModuleType) -> None:
    needs.package("clang_format")
    text = "void f( ){\n#pragma HLS PIPELINE II=1\n  g( );\n}\n"
    tidy = "void f() {\n#pragma HLS PIPELINE II=1\n  g();\n}\n"
    assert lint.formatted(text, ROOT / "hls" / "made_up.hpp") == tidy
    assert lint.formatted(tidy, ROOT / "hls" / "made_up.hpp") == tidy


def test_an_untidy_file_is_named_with_its_place(
    lint: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs.package("clang_format")
    shutil.copy(ROOT / ".clang-format", tmp_path)
    (tmp_path / "a.hpp").write_text("int f();\nint  g();\n")
    monkeypatch.setattr(lint, "ROOT", tmp_path)
    assert lint.is_untidy(tmp_path / "a.hpp")
    told = "a.hpp: @@ -2 +2 @@: run .venv/bin/python .ci/lint.py --format\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("old", "new", "judge"),
    [
        ("{column_q[PO-2:0], column_q[PO-1]}", "column_q[PO-2:0]", "verilator"),  # widths differ
        ("PO'({column_q, 8'b0})", "column_q << 8", "slang"),  # by its whole width at PO = 8
    ],
)
def test_the_front_ends_see_what_is_wrong_in_the_engine(
    lint: ModuleType, old: str, new: str, judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs.package("pyslang")
    shutil.copytree(ROOT / "hls" / "rtl", tmp_path / "rtl")
    path = tmp_path / "rtl" / "load_unit.sv"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    sources = tuple(tmp_path / "rtl" / each.name for each in lint.engine_sources())
    monkeypatch.setattr(lint, "ROOT", tmp_path)
    monkeypatch.setattr(lint, "engine_sources", lambda: sources)
    assert lint.is_refused(getattr(lint, judge)(TARGETS["pynq-z2"]))


def test_a_missing_package_is_told_in_a_line(
    lint: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lint, "find_spec", lambda name: None)
    assert lint.main([]) == 3
    told = "lint: clang_format is missing: .venv/bin/python -m pip install -e '.[dev,board]'\n"
    assert capsys.readouterr().err == told
