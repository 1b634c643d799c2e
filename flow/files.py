"""Folders that appear whole or not at all, and JSON files."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bitlathe.flow.errors import UsageError
from bitlathe.model.graph.storage import writable, write_whole


def write_json(path: Path, content: object) -> None:
    """Write JSON text with a newline at its end; DataError as `write_whole`."""
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


@contextmanager
def whole_folder(path: Path, marker: str) -> Iterator[Path]:
    """A new folder to fill, which replaces `path` when the block ends well and is removed when it does not.

    UsageError where `path` holds something, unless the file `marker` shows that an earlier run made it;
    DataError where it cannot be written.
    """
    folder = _replaced(path)
    check_replaceable(path, marker)
    partial = _beside(folder)
    with writable(path):
        try:
            partial.mkdir(parents=True)
            yield partial
            check_replaceable(path, marker)  # what was done meanwhile may have put something there
            _settle(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def fill(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, named relative to `folder`."""
    for name, content in files.items():
        write_whole(folder / name, content)


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


def _settle(partial: Path, folder: Path) -> None:
    """Give a complete folder the place of the one that may be there, which stays where that fails."""
    if not folder.exists():
        os.replace(partial, folder)
        return
    partial.chmod(stat.S_IMODE(folder.stat().st_mode))
    aside = _beside(folder)
    os.replace(folder, aside)
    try:
        os.replace(partial, folder)
    except BaseException:
        os.replace(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _beside(folder: Path) -> Path:
    """A name of nothing yet, in the same folder."""
    return folder.with_name(f".{secrets.token_hex(8)}.part")


def _meant(path: Path) -> Path:
    """The folder that a path leads to once all of it is made: new/.. is the folder that new lies in."""
    return Path(os.path.realpath(path))


def _replaced(path: Path) -> Path:
    """The folder meant; UsageError where this process works in it and would lose the ground it stands on."""
    folder = _meant(path)
    if Path.cwd().is_relative_to(folder):
        raise UsageError(f"{path}: you are in this folder, so it cannot be replaced; name another")
    return folder
