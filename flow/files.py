"""Folders that appear whole or not at all, and JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitlathe.flow.errors import UsageError
from bitlathe.model.graph.files.storage import new_folder, writable, write_whole


def write_json(path: Path, content: object) -> None:
    """Write JSON text with a newline at its end; DataError as `write_whole`."""
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


@contextmanager
def whole_folder(path: Path, marker: str) -> Iterator[Path]:
    """A new folder to fill, which replaces `path` when the block ends well and is removed when it does not.

    UsageError where `path` holds something, unless the file `marker` shows that an earlier run made it;
    DataError where it cannot be written.
    """
    check_replaceable(path, marker)
    _check_not_here(path)
    with new_folder(path) as partial:
        yield partial
        check_replaceable(path, marker)  # somebody may have put something there meanwhile


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
    """The folder that a path leads to once all of it is made: new/.. is the folder that new is in."""
    return Path(os.path.realpath(path))


def _check_not_here(path: Path) -> None:
    """Raise UsageError where the folder is, or contains, this process's working folder."""
    if Path.cwd().is_relative_to(_meant(path)):
        raise UsageError(f"{path}: you are in this folder, so it cannot be replaced; name another")
