"""A file is written whole, where its path leads to, and whatever is no plain file stays what it is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import needs
import pytest

from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.files.storage import is_stream, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "file").write_bytes(b"old")
    (tmp_path / "far" / "second").symlink_to("file")
    (tmp_path / "first").symlink_to("far/second")
    write_whole(tmp_path / "first", b"new")
    assert (tmp_path / "far" / "file").read_bytes() == b"new"
    assert (tmp_path / "first").is_symlink() and (tmp_path / "far" / "second").is_symlink()
    assert (names(tmp_path), names(tmp_path / "far")) == (["far", "first"], ["file", "second"])


@pytest.mark.parametrize("target", ["there", "new/folder/there"])
def test_what_a_dangling_link_leads_to_is_made(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / target).read_bytes() == b"new"


def test_a_link_to_itself_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(DataError, match=r"link: cannot be written \(Too many levels of symbolic links\)"):
        write_whole(tmp_path / "link", b"new")
    assert names(tmp_path) == ["link"]


def test_a_file_keeps_its_rights_and_a_new_one_has_the_usual_ones(tmp_path: Path) -> None:
    old, new, usual = tmp_path / "old", tmp_path / "new", tmp_path / "usual"
    old.touch()
    old.chmod(0o640)
    usual.touch()
    for path in (old, new):
        write_whole(path, b"content")
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert new.stat().st_mode == usual.stat().st_mode


def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    needs.root()
    path = tmp_path / "file"
    path.touch()
    os.chown(path, 12, 34)
    write_whole(path, b"content")
    assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    needs.root()
    for name, number in (("null", 3), ("full", 7)):
        os.mknod(tmp_path / name, 0o666 | stat.S_IFCHR, os.makedev(1, number))
    (tmp_path / "link").symlink_to("null")
    for name in ("null", "link"):
        write_whole(tmp_path / name, b"content")
    with pytest.raises(DataError, match=r"full: cannot be written \(No space left on device\)"):
        write_whole(tmp_path / "full", b"content")
    assert all(stat.S_ISCHR((tmp_path / name).stat().st_mode) for name in ("null", "full"))
    assert names(tmp_path) == ["full", "link", "null"]


def test_a_pipe_passes_on_what_is_written(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match=r"pipe: is a pipe that nobody reads; start its reader first"):
        write_whole(pipe, b"content")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, b"content")
        assert os.read(reader, 100) == b"content"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and is_stream(pipe) and names(tmp_path) == ["pipe"]


WRITING = """
from pathlib import Path
from bitlathe.model.graph.files.storage import write_whole
print("before")
write_whole(Path("/dev/stdout"), b"content\\n")
print("after")
"""


@pytest.mark.parametrize("sink", ["file", "pipe"])
def test_stdout_takes_the_bytes_in_the_order_of_what_is_printed(tmp_path: Path, sink: str) -> None:
    command = [sys.executable, "-c", WRITING]
    if sink == "pipe":
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    else:
        with (tmp_path / "log").open("wb") as log:
            subprocess.run(command, check=True, stdout=log)
        made = (tmp_path / "log").read_bytes()
        assert names(tmp_path) == ["log"]
    assert made == b"before\ncontent\nafter\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_write_that_is_broken_off_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def broken_off(handle: int) -> None:
        raise error

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", broken_off)
    with pytest.raises(error if error is KeyboardInterrupt else DataError):
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_a_name_as_long_as_may_be_is_written_and_a_longer_one_told_of(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 255), b"content")
    with pytest.raises(DataError, match=r"cannot be written \(File name too long\)"):
        write_whole(tmp_path / ("n" * 256), b"content")
    assert names(tmp_path) == ["n" * 255]


@pytest.mark.parametrize("path", ["/proc/nowhere/file", "/proc/file", "/dev/fd/9999"])
def test_a_place_that_takes_no_files_is_told_of(path: str) -> None:
    with pytest.raises(DataError, match=rf"^{path}: cannot be written \("):
        write_whole(Path(path), b"content")


def test_a_folder_is_refused() -> None:
    with pytest.raises(DataError, match=r"^\.: is a folder; name a file in it$"):
        write_whole(Path("."), b"")
