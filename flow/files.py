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
    """Let `write` make a file under a temporary name of the same suffix, then give it its own."""
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
    check_replaceable(path, marker)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    with writable(path):
        try:
            partial.mkdir(parents=True)
            yield partial
            shutil.rmtree(path, ignore_errors=True)
            os.replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def fill(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, named relative to `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def check_replaceable(path: Path, marker: str) -> None:
    """Raise UsageError where `whole_folder` would."""
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path}: is a file; name a folder")
    if any(path.iterdir()) and not (path / marker).exists():
        raise UsageError(f"{path}: holds files that are not ours (no {marker}); name a new or empty folder")


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Tell a place that cannot be written from a defect of ours: UsageError instead of OSError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); choose a folder that can") from error
