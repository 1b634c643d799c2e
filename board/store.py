"""Files an agent was given, each under its own digest: what is there need not be sent again."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bitlathe.board.errors import AgentError, BundleError
from bitlathe.board.manifest import MANIFEST, Manifest

_CHUNK = 1 << 16
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PARTIAL = ".part-"


class Store:
    """A folder of files named by their SHA-256, at most `most_bytes` together; longest unused go first."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._files = folder / "files"
        self._bundles = folder / "bundles"
        self.most_bytes = most_bytes
        for path in (self._files, self._bundles):
            path.mkdir(parents=True, exist_ok=True)
        self._clear_leftovers()

    def missing(self, manifest: Manifest) -> list[str]:
        """Digests of a bundle's files that are not here."""
        digests = {entry.sha256 for entry in manifest.files.values()}
        return sorted(digest for digest in digests if not (self._files / digest).exists())

    def put(self, digest: str, stream: BinaryIO, length: int) -> None:
        """Take a file of `length` bytes; BundleError when it is cut short or is not what its name says."""
        if not _DIGEST.fullmatch(digest):
            raise BundleError(f"{digest[:80]!r} is no SHA-256 digest")
        if length > self.most_bytes:
            raise AgentError(f"a file of {length} bytes; this agent takes {self.most_bytes}")
        self._make_room(length)
        handle, partial = tempfile.mkstemp(dir=self._files, prefix=_PARTIAL)
        try:
            with os.fdopen(handle, "wb") as file:
                received, found = _copy(stream, file, length)
            if received != length or found != digest:
                raise BundleError(
                    f"file {digest[:16]}: {received} of {length} bytes came, or others; send it again"
                )
            os.replace(partial, self._files / digest)
        finally:
            Path(partial).unlink(missing_ok=True)

    @contextmanager
    def folder(self, manifest: Manifest) -> Iterator[Path]:
        """A bundle's folder made of files that are here, for the time of the block."""
        folder = Path(tempfile.mkdtemp(dir=self._bundles, prefix=_PARTIAL))
        try:
            for name, entry in manifest.files.items():
                self._link(entry.sha256, folder / name)
            (folder / MANIFEST).write_bytes(manifest.encode())
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

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

    def _make_room(self, length: int) -> None:
        files = sorted(self._files.iterdir(), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in files)
        while files and total + length > self.most_bytes:
            oldest = files.pop(0)
            total -= oldest.stat().st_size
            oldest.unlink(missing_ok=True)

    def _clear_leftovers(self) -> None:
        """Half files of an agent that was killed."""
        for path in self._files.glob(f"{_PARTIAL}*"):
            path.unlink(missing_ok=True)
        for path in self._bundles.glob(f"{_PARTIAL}*"):
            shutil.rmtree(path, ignore_errors=True)


def _copy(stream: BinaryIO, file: BinaryIO, length: int) -> tuple[int, str]:
    """Bytes copied, `length` at most, and their digest."""
    digest, left = hashlib.sha256(), length
    while left and (chunk := stream.read(min(left, _CHUNK))):
        digest.update(chunk)
        file.write(chunk)
        left -= len(chunk)
    return length - left, digest.hexdigest()
