"""Folders appear whole or not at all, and what is not ours stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitlathe.flow.errors import UsageError
from bitlathe.flow.files import check_replaceable, fill, whole_folder, write_bytes
from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.storage import write_whole


def test_a_folder_that_fails_while_it_is_filled_leaves_the_old_one(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", "marker") as folder:
        fill(folder, {"marker": b"", "a": b"old"})
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out", "marker") as folder:
        fill(folder, {"marker": b"", "a": b"new"})
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
        fill(folder, {"marker": b""})
    assert (results / "thesis.tex").exists() and (here / "thesis.tex").exists()
    assert {path.name for path in here.iterdir()} == {"thesis.tex", "link"}


def test_files_that_appear_while_a_folder_is_filled_are_safe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not ours"), whole_folder(tmp_path / "out", "marker") as folder:
        fill(folder, {"marker": b""})
        fill(tmp_path / "out", {"thesis.tex": b"years"})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("out", [".", "..", "new/.."])
def test_the_folder_one_is_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    fill(tmp_path, {"marker": b"", "here/marker": b""})
    monkeypatch.chdir(tmp_path / "here")
    told = f"{Path(out)}: you are in this folder, so it cannot be replaced; name another"
    with pytest.raises(UsageError) as caught, whole_folder(Path(out), "marker"):
        raise AssertionError
    assert str(caught.value) == told


def test_a_file_cannot_take_the_place_of_a_folder() -> None:
    with pytest.raises(UsageError, match=r"^\.: is a folder; name a file$"):
        write_bytes(Path("."), b"")
    with pytest.raises(DataError, match=r"^\.: is a folder; name a file in it$"):
        write_whole(Path("."), b"")
