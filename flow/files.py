"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bitlathe.flow.errors import UsageError


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file under a temporary name of the same suffix, then give it its own.

    UsageError for a place that cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file")
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    with writable(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write JSON text with a newline at its end."""
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file."""

    def write(partial: Path) -> None:
        partial.write_bytes(content)

    write_whole(path, write)


@contextmanager
def whole_folder(path: Path, marker: str) -> Iterator[Path]:
    """A new folder to fill, which replaces `path` when the block ends well and is removed when it does not.

    UsageError where `path` holds something, unless the file `marker` shows that an earlier run made it.
    """
    folder = _replaced(path)
    check_replaceable(path, marker)
    partial = folder.with_name(f".{os.getpid()}.{folder.name}")
    with writable(path):
        try:
            partial.mkdir(parents=True)
            yield partial
            check_replaceable(path, marker)  # what was done meanwhile may have put something there
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def fill(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, named relative to `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def check_replaceable(path: Path, *markers: str) -> None:
    """Raise UsageError where a folder holds something, but none of the files that show it is ours."""
    with writable(path):
        folder = _meant(path)
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UsageError(f"{path}: is a file; name a folder")
        if not any(folder.iterdir()) or any((folder / marker).exists() for marker in markers):
            return
    raise UsageError(f"{path}: holds files that are not ours (no {markers[0]}); name a new or empty folder")


def _meant(path: Path) -> Path:
    """The folder that a path leads to once all of it is made: new/.. is the folder that new lies in."""
    return Path(os.path.realpath(path))


def _replaced(path: Path) -> Path:
    """The folder meant; UsageError where this process works in it and would lose the ground it stands on."""
    folder = _meant(path)
    if Path.cwd().is_relative_to(folder):
        raise UsageError(f"{path}: you are in this folder, so it cannot be replaced; name another")
    return folder


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Tell a place that cannot be written from a defect of ours: UsageError instead of OSError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); choose a folder that can") from error
