"""A plan's files are written all or none, over what is there or in its place."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from bitlathe.model.graph.errors import DataError, FormatError
from bitlathe.model.graph.files.build_plan import BuildPlan

PLAN = BuildPlan({"a": b"new", "below/b": b"new"})


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder of an earlier run, in which a tool has left something."""
    folder = tmp_path / "out"
    BuildPlan({"a": b"old", "below/b": b"old", "tool.log": b"log"}).write(folder)
    return folder


def test_a_folder_is_replaced_by_the_plans_files_alone(old: Path) -> None:
    PLAN.write(old)
    assert contents(old) == PLAN.files
    assert [path.name for path in old.parent.iterdir()] == ["out"]


def test_files_are_written_over_and_a_tools_stay(old: Path) -> None:
    PLAN.write_over(old)
    assert contents(old) == {**PLAN.files, "tool.log": b"log"}


def test_a_file_that_is_equal_keeps_its_date(old: Path) -> None:
    os.utime(old / "a", (1, 1))
    BuildPlan({"a": b"old", "below/b": b"new"}).write_over(old)
    assert (old / "a").stat().st_mtime == 1 and (old / "below" / "b").read_bytes() == b"new"


@pytest.mark.parametrize("write", [BuildPlan.write, BuildPlan.write_over])
@pytest.mark.parametrize("last", ["a", "below/b"])
def test_where_one_file_cannot_be_written_none_is(
    old: Path, monkeypatch: pytest.MonkeyPatch, write: object, last: str
) -> None:
    before, really = contents(old), os.fsync
    written = 0

    def full(handle: int) -> None:
        nonlocal written
        written += 1
        if written == 1 + list(PLAN.files).index(last):
            raise OSError(28, "No space left on device")
        really(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        write(PLAN, old)  # type: ignore[operator]
    assert contents(old) == before
    assert [path.name for path in old.parent.iterdir()] == ["out"]


def test_a_folder_in_a_files_place_changes_nothing(old: Path) -> None:
    before = contents(old)
    with pytest.raises(DataError, match="below: is a folder; name a file in it"):
        BuildPlan({"a": b"new", "below": b"new"}).write_over(old)
    assert contents(old) == before


def test_a_link_is_written_through_and_rights_stay(old: Path) -> None:
    (old / "a").chmod(0o600)
    (old / "a").rename(old / "elsewhere")
    (old / "a").symlink_to("elsewhere")
    PLAN.write_over(old)
    assert (old / "a").is_symlink() and (old / "elsewhere").read_bytes() == b"new"
    assert stat.S_IMODE((old / "elsewhere").stat().st_mode) == 0o600


@pytest.mark.parametrize("write", [BuildPlan.write, BuildPlan.write_over])
def test_a_script_may_be_run(tmp_path: Path, write: object) -> None:
    write(BuildPlan({"go.sh": b"", "a": b""}), tmp_path / "out")  # type: ignore[operator]
    assert stat.S_IMODE((tmp_path / "out" / "go.sh").stat().st_mode) == 0o755
    assert not (tmp_path / "out" / "a").stat().st_mode & 0o111


def test_the_digest_is_of_paths_and_contents_and_not_of_their_order() -> None:
    turned = BuildPlan(dict(reversed(list(PLAN.files.items()))))
    assert turned.digest == PLAN.digest
    others = [{"a": b"new"}, {"a": b"new", "below/c": b"new"}, {"a": b"new", "below/b": b"old"}]
    assert len({PLAN.digest, *(BuildPlan(files).digest for files in others)}) == 4


def test_a_manifest_comes_last_and_says_what_the_files_are() -> None:
    plan = PLAN.with_json("manifest.json", {"network": "x", "files": PLAN.entries()})
    assert list(plan.files) == ["a", "below/b", "manifest.json"]
    entry = {"bytes": 3, "sha256": hashlib.sha256(b"new").hexdigest()}
    said = {"network": "x", "files": {"a": entry, "below/b": entry}}
    assert json.loads(plan.files["manifest.json"]) == said


@pytest.mark.parametrize("name", ["/a", "../a", "a/../../b", "", "."])
def test_a_path_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(FormatError, match="is not a path below a folder"):
        BuildPlan({name: b""})
