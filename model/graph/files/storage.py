"""Files on disk: written whole or not at all, read with the file's name in every error."""

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from bitlathe.model.graph.errors import BitlatheError, DataError, FormatError

MOST_LINKS = 40  # links to follow in a row, Linux's limit

Content = TypeVar("Content")


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file and the folders above it; it appears whole or not at all. DataError if that fails.

    A link stays, and the file it leads to is written and keeps its owner and permissions. Anything but a
    plain file, such as a device, a pipe or /dev/stdout, takes the bytes as they come.
    """
    with writable(path):
        if path.is_dir():
            raise DataError(f"{path}: is a folder; name a file in it")
        place = _behind_links(path)
        if _is_open(place) or _is_special(place):
            with _stream(place) as stream:
                stream.write(data)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            _replace(place, data)


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several plain files in order, all or none; DataError if one cannot be written.

    All bytes are on disk before the first file gets its name.
    """
    staged: list[tuple[Path, Path]] = []
    try:
        for path, data in files.items():
            with writable(path):
                if path.is_dir():
                    raise DataError(f"{path}: is a folder; name a file in it")
                place = _behind_links(path)
                place.parent.mkdir(parents=True, exist_ok=True)
                staged.append((_partial(place), place))
                _stage(*staged[-1], data)
        for partial, place in staged:
            with writable(place):
                os.replace(partial, place)
    finally:
        for partial, _ in staged:
            partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which replaces `path` when the block succeeds and is removed otherwise.

    A link at `path` stays, and the folder that it leads to is replaced. DataError if that fails.
    """
    with writable(path):
        folder = Path(os.path.realpath(path))  # new/.. is the folder that new would be in
        partial = _partial(folder)
        try:
            partial.mkdir(parents=True)
            yield partial
            _settle(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def is_stream(path: Path) -> bool:
    """Whether bytes written to a path are passed on rather than kept: a device, a pipe, stdout."""
    with writable(path):
        place = _behind_links(path)
        return _is_open(place) or _is_special(place)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; DataError if that fails."""
    with writable(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Raise DataError instead of OSError, to tell an unwritable place from a defect of ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be written ({reason}); choose another folder") from error


def read_decoded(path: Path, decode: Callable[[bytes], Content], suffix: str) -> Content:
    """What `decode` makes of a file; FormatError, naming it, if that fails, DataError if there is no file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a {suffix} file") from error
    try:
        return decode(data)
    except BitlatheError as error:
        raise FormatError(f"{path}: {error}") from error


def _behind_links(path: Path) -> Path:
    """The place that a path leads to, existing or not; for links to open files, the last link."""
    place = path
    for _ in range(MOST_LINKS):
        place = Path(os.path.realpath(place.parent)) / place.name
        if _is_open(place) or not place.is_symlink():
            return place
        place = place.parent / os.readlink(place)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_open(place: Path) -> bool:
    """Whether a place stands for an open file of this process, as /dev/stdout finally does."""
    return place.name.isdecimal() and place.parent == Path(f"/proc/{os.getpid()}/fd")


def _is_special(place: Path) -> bool:
    """Whether it exists but holds no bytes: a device, a pipe."""
    return place.exists() and not place.is_file()


def _stream(place: Path) -> BinaryIO:
    """A file that is open or special, to write to its end."""
    if _is_open(place):
        sys.stdout.flush()  # what was printed before comes first
        return os.fdopen(os.dup(int(place.name)), "wb")
    try:
        handle = os.open(place, os.O_WRONLY | os.O_NONBLOCK)  # so as not to wait for a pipe's reader
    except OSError as error:
        if error.errno == errno.ENXIO and place.is_fifo():
            raise DataError(f"{place}: is a pipe that nobody reads; start its reader first") from error
        raise
    os.set_blocking(handle, True)
    return os.fdopen(handle, "wb")


def _replace(place: Path, data: bytes | memoryview) -> None:
    """Replace the file, if it exists, by a new one with the same owner and permissions."""
    partial = _partial(place)
    try:
        _stage(partial, place, data)
        os.replace(partial, place)
    finally:
        partial.unlink(missing_ok=True)


def _stage(partial: Path, place: Path, data: bytes | memoryview) -> None:
    """Write a file's replacement to disk, with the owner and permissions of that file."""
    with partial.open("xb") as file:
        file.write(data)
        _take_rights(file.fileno(), place)
        file.flush()
        os.fsync(file.fileno())  # else a crash now could leave the new name without its bytes


def _settle(partial: Path, folder: Path) -> None:
    """Move a complete folder into the place of an existing one, which stays if that fails."""
    if not folder.exists():
        os.replace(partial, folder)
        return
    partial.chmod(stat.S_IMODE(folder.stat().st_mode))
    aside = _partial(folder)
    os.replace(folder, aside)
    try:
        os.replace(partial, folder)
    except BaseException:
        os.replace(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _partial(place: Path) -> Path:
    """An unused name in the same folder, short enough for any file system."""
    return place.with_name(f".{secrets.token_hex(8)}.part")


def _take_rights(handle: int, place: Path) -> None:
    try:
        there = place.stat()
    except FileNotFoundError:
        return
    with suppress(PermissionError):  # the file belongs to somebody else, in a folder that we may write to
        os.fchown(handle, there.st_uid, there.st_gid)
    os.fchmod(handle, stat.S_IMODE(there.st_mode))
