"""Files that an agent was given, each kept under its digest so that it is sent only once."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bitlathe.board import names
from bitlathe.board.errors import AgentError, BundleError, StoreFull
from bitlathe.board.manifest import MANIFEST, Manifest

_CHUNK = 1 << 16
_PARTIAL = ".part-"
PATIENCE_SECONDS = 20.0  # that an upload waits for others, and for jobs, to free what it needs


class Source(Protocol):
    """Where an upload comes from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, fewer at the end."""


@dataclass(slots=True, eq=False)
class _Upload:
    """A file that is being sent."""

    length: int  # bytes that were announced
    received: int = 0

    @property
    def missing(self) -> int:
        return self.length - self.received


class FileStore:
    """A folder of files named by their SHA-256, at most `most_bytes` together; longest unused go first.

    Bytes that were announced take no room from what is kept, bytes that came do. Nothing that a job holds or
    that is being sent is removed. An upload waits until all others can still end (the banker's rule, Dijkstra
    1965), so those that are sent at once never block each other for good, whatever their sizes. One that
    would wait for longer than `patience_seconds` is refused, to be sent again later.
    """

    def __init__(self, folder: Path, most_bytes: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._files = folder / "files"
        self._bundles = folder / "bundles"
        self._patience_seconds = patience_seconds
        self.most_bytes = most_bytes
        for path in (self._files, self._bundles):
            path.mkdir(parents=True, exist_ok=True)
        self._clear_leftovers()
        self._changed = threading.Condition()
        self._kept = _kept(self._files)
        self._held: Counter[str] = Counter()  # digests that jobs need
        self._uploads: list[_Upload] = []
        self._make_room(0)

    def missing(self, manifest: Manifest) -> list[str]:
        """Digests of a bundle's files that are not here."""
        with self._changed:
            return [digest for digest in _digests(manifest) if not self._has(digest)]

    def hold(self, manifest: Manifest) -> list[str]:
        """Keep a bundle's files until `let_go`; where some are missing, only return their digests.

        The others count as just used then, so that those that are sent next do not take their room.
        """
        with self._changed:
            missing = self.missing(manifest)
            for digest in _digests(manifest):
                if digest not in missing:
                    self._refresh(digest)
            if not missing:
                self._held.update(_digests(manifest))
            return missing

    def let_go(self, manifest: Manifest) -> None:
        """Undo a `hold`."""
        with self._changed:
            self._held.subtract(_digests(manifest))
            self._held += Counter()  # without those that nobody holds
            self._changed.notify_all()

    def put(self, digest: str, source: Source, length: int) -> None:
        """Take a file of `length` bytes.

        BundleError when it is cut short or is not what its name says, AgentError when there is no room for it
        now, StoreFull when the disk is full.
        """
        names.DIGEST.check(digest, "upload")
        if length > self.most_bytes:
            raise AgentError(f"a file of {length} bytes; this agent takes {self.most_bytes}")
        upload = _Upload(length)
        with self._changed:
            self._uploads.append(upload)
        try:
            self._receive(digest, source, upload)
        finally:
            with self._changed:
                self._uploads.remove(upload)
                self._changed.notify_all()

    @contextmanager
    def folder(self, manifest: Manifest) -> Iterator[Path]:
        """A bundle's folder made of files that are here, for the time of the block."""
        with _using(self._bundles):
            folder = Path(tempfile.mkdtemp(dir=self._bundles, prefix=_PARTIAL))
        try:
            with _using(folder):
                for name, entry in manifest.files.items():
                    self._link(entry.sha256, folder / name)
                (folder / MANIFEST).write_bytes(manifest.encode())
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # ---- an upload

    def _receive(self, digest: str, source: Source, upload: _Upload) -> None:
        with self._partial() as (handle, partial):
            found = hashlib.sha256()
            while upload.missing and (chunk := source.read(min(upload.missing, _CHUNK))):
                self._reserve(upload, len(chunk))
                found.update(chunk)
                with _using(self._files):
                    _write(handle, chunk)
            if upload.missing or found.hexdigest() != digest:
                raise BundleError(
                    f"file {digest[:16]}: {upload.received} of {upload.length} bytes came, or others; "
                    "send it again"
                )
            with _using(self._files):
                os.fsync(handle)  # boards are switched off without warning
            self._keep(digest, partial, upload)

    @contextmanager
    def _partial(self) -> Iterator[tuple[int, Path]]:
        """A new file to write, gone after the block unless it has got another name."""
        with _using(self._files):
            handle, name = tempfile.mkstemp(dir=self._files, prefix=_PARTIAL)
        try:
            yield handle, Path(name)
        finally:
            with _using(self._files):
                try:
                    os.close(handle)
                finally:
                    Path(name).unlink(missing_ok=True)

    def _reserve(self, upload: _Upload, size: int) -> None:
        """Make room for bytes that came, once all uploads can end nevertheless."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._can_take(upload, size), self._patience_seconds):
                raise AgentError(
                    "what jobs need and others send leaves no room for it now; send it again later, or start "
                    "the agent with a larger --most-mib"
                )
            self._make_room(size)
            upload.received += size

    def _can_take(self, upload: _Upload, size: int) -> bool:
        """Whether, with `size` bytes more of an upload here, all that can end at all still can."""
        room = self.most_bytes - sum(self._kept.get(digest, 0) for digest in self._held)
        free = room - sum(each.received for each in self._uploads) - size
        ending = [
            (each.missing - size * (each is upload), each.received + size * (each is upload))
            for each in self._uploads
            if each.length <= room
        ]
        if upload.length > room or free < 0:
            return False
        for missing, received in sorted(ending):
            if missing > free:
                return False
            free += received  # what was sent whole may be removed
        return True

    def _keep(self, digest: str, partial: Path, upload: _Upload) -> None:
        with self._changed, _using(self._files):
            if self._has(digest):  # a job may have the one that is here
                self._refresh(digest)
            else:
                os.replace(partial, self._files / digest)
                self._kept[digest] = upload.length
            upload.received = 0
            self._changed.notify_all()

    # ---- what is kept

    def _has(self, digest: str) -> bool:
        with _using(self._files, "read"):
            if digest in self._kept and not (self._files / digest).is_file():  # removed by hand
                del self._kept[digest]
        return digest in self._kept

    def _refresh(self, digest: str) -> None:
        """Make a file the last used."""
        self._kept[digest] = self._kept.pop(digest)

    def _make_room(self, size: int) -> None:
        """Remove what was not used for longest, unless a job needs it, for `size` bytes more."""
        used = sum(self._kept.values()) + sum(each.received for each in self._uploads)
        for digest in [each for each in self._kept if each not in self._held]:
            if used + size <= self.most_bytes:
                return
            with _using(self._files):
                (self._files / digest).unlink(missing_ok=True)
            used -= self._kept.pop(digest)

    def _link(self, digest: str, path: Path) -> None:
        """A hard link: the loader knows a library by its inode, so one that it has is not loaded again."""
        source = self._files / digest
        try:
            os.utime(source)
            os.link(source, path)
        except FileNotFoundError as error:
            raise AgentError(
                f"file {digest[:16]} had to make room for others; send the bundle again"
            ) from error

    def _clear_leftovers(self) -> None:
        """Delete the partial files of an agent that was killed."""
        for path in self._files.glob(f"{_PARTIAL}*"):
            path.unlink(missing_ok=True)
        for path in self._bundles.glob(f"{_PARTIAL}*"):
            shutil.rmtree(path, ignore_errors=True)


def _kept(folder: Path) -> dict[str, int]:
    """Sizes of the files that a folder has, the longest unused first."""
    files = [path for path in folder.iterdir() if names.DIGEST.fits(path.name) and path.is_file()]
    return {path.name: path.stat().st_size for path in sorted(files, key=lambda path: path.stat().st_mtime)}


def _digests(manifest: Manifest) -> list[str]:
    return sorted({entry.sha256 for entry in manifest.files.values()})


def _write(handle: int, chunk: bytes) -> None:
    """Write all of a chunk; unbuffered, so that a full disk shows here and not when the file is closed."""
    left = memoryview(chunk)
    while left:
        left = left[os.write(handle, left) :]


@contextmanager
def _using(folder: Path, how: str = "written") -> Iterator[None]:
    """Turn a disk that is full or fails, or a folder that is no longer ours, into an error that says so."""
    try:
        yield
    except OSError as error:
        remedy = "make room there, or start the agent with another --folder"
        raise StoreFull(f"{folder}: cannot be {how} ({error.strerror}); {remedy}") from error
