"""Folders appear whole or not at all, and what is not ours stays."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from bitlathe.flow.errors import UsageError
from bitlathe.flow.files import check_replaceable, whole_folder
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.files.build_plan import BuildPlan


def test_a_folder_that_fails_while_it_is_filled_leaves_the_old_one(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", "marker") as folder:
        BuildPlan({"marker": b"", "a": b"old"}).fill(folder)
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out", "marker") as folder:
        BuildPlan({"marker": b"", "a": b"new"}).fill(folder)
        raise ZeroDivisionError
    assert (tmp_path / "out" / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("out", ["new/..", "new/../../results", "link"])
def test_another_s_files_are_safe_by_whatever_way_the_path_leads_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    results, here = tmp_path / "results", tmp_path / "here"
    for folder in (results, here):
        folder.mkdir()
        (folder / "thesis.tex").touch()
    (here / "link").symlink_to(results)
    monkeypatch.chdir(here)
    with pytest.raises(UsageError, match="holds files that are not ours"):
        check_replaceable(Path(out), "marker")
    with pytest.raises(UsageError), whole_folder(Path(out), "marker") as folder:
        BuildPlan({"marker": b""}).fill(folder)
    assert (results / "thesis.tex").exists() and (here / "thesis.tex").exists()
    assert {path.name for path in here.iterdir()} == {"thesis.tex", "link"}


def test_files_that_appear_while_a_folder_is_filled_are_safe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not ours"), whole_folder(tmp_path / "out", "marker") as folder:
        BuildPlan({"marker": b""}).fill(folder)
        BuildPlan({"thesis.tex": b"years"}).fill(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("out", [".", "..", "new/.."])
def test_the_folder_one_is_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    BuildPlan({"marker": b"", "here/marker": b""}).fill(tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    told = f"{Path(out)}: you are in this folder, so it cannot be replaced; name another"
    with pytest.raises(UsageError) as caught, whole_folder(Path(out), "marker"):
        raise AssertionError
    assert str(caught.value) == told


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", "marker") as folder:
        BuildPlan({"marker": b"", "a": b"old"}).fill(folder)
    (tmp_path / "out").chmod(0o750)
    (tmp_path / "link").symlink_to("out")
    with whole_folder(tmp_path / "link", "marker") as folder:
        BuildPlan({"marker": b"", "b/c": b"new"}).fill(folder)
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750
    assert (tmp_path / "out" / "b" / "c").read_bytes() == b"new" and not (tmp_path / "out" / "a").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "link"}


def test_a_folder_that_cannot_be_replaced_keeps_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with whole_folder(tmp_path / "out", "marker") as folder:
        BuildPlan({"marker": b"", "a": b"old"}).fill(folder)
    really = os.replace

    def busy(source: Path, target: Path) -> None:
        if target == tmp_path / "out" and (source / "a").read_bytes() == b"new":
            raise OSError(errno.EBUSY, "Device or resource busy")
        really(source, target)

    monkeypatch.setattr(os, "replace", busy)
    told = rf"^{tmp_path}/out: cannot be written \(Device or resource busy\); choose another folder$"
    with pytest.raises(DataError, match=told), whole_folder(tmp_path / "out", "marker") as folder:
        BuildPlan({"marker": b"", "a": b"new"}).fill(folder)
    assert (tmp_path / "out" / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
