"""Bundles: a folder or one zip file with all that a board needs, named by the digest of its contents.

Nothing is used before it was verified, nothing is unpickled, and only what the
manifest lists is unpacked.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.errors import BundleError
from bitlathe.board.manifest import MANIFEST, Manifest, parse_manifest

PROGRAM = "program.bin"
WEIGHTS = "weights.bin"
INPUT_INDEX = "input_index.npy"
OUTPUT_INDEX = "output_index.npy"
PREPROCESS = "preprocess.npy"
IMAGES = "images.npy"
LABELS = "labels.npy"
EXPECTED = "expected.npy"
GRAPH = "graph.blg"
SUFFIX = ".bundle"

_DAMAGED_ARRAY = (ValueError, EOFError, SyntaxError, tokenize.TokenError)  # what np.load raises for one
_DAMAGED_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    KeyError,
)

MOST_BYTES = 256 << 20  # of a bundle's files together
MOST_MANIFEST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle whose files have the digests that its manifest names."""

    folder: Path
    manifest: Manifest

    def bytes(self, name: str) -> bytes:
        """A file's content."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: holds no {name}; make it again")
        return (self.folder / name).read_bytes()

    def array(self, name: str) -> NDArray[Any]:
        """The array of a .npy file."""
        try:
            loaded = np.load(io.BytesIO(self.bytes(name)), allow_pickle=False)
        except _DAMAGED_ARRAY as error:
            raise BundleError(
                f"{self.folder / name}: is no readable array ({error}); make it again"
            ) from error
        if not isinstance(loaded, np.ndarray):
            raise BundleError(f"{self.folder / name}: holds several arrays, needed one")
        return loaded

    @property
    def bit(self) -> Path:
        """The overlay's .bit; its .hwh lies beside it."""
        return self.folder / self.manifest.overlay.bit


def open_bundle(folder: Path) -> Bundle:
    """The bundle in a folder, every file verified; BundleError says what is wrong with it."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder}: no {MANIFEST}, so no bundle; name the bundle's own folder")
    manifest = parse_manifest(path.read_bytes())
    for name in manifest.files:
        _verify(folder / name, manifest)
    return Bundle(folder=folder, manifest=manifest)


def write_bundle(parent: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle's folder into `parent`, whole or not at all; an equal one that is there stays."""
    if set(files) != set(manifest.files):
        raise BundleError(f"manifest and files differ: {sorted(set(files) ^ set(manifest.files))}")
    folder = parent / manifest.name
    if not (folder / MANIFEST).exists():
        parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=parent, prefix=".part-"))
        try:
            for name, content in files.items():
                (partial / name).write_bytes(content)
            (partial / MANIFEST).write_bytes(manifest.encode())
            _settle(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return open_bundle(folder)


def pack(bundle: Bundle, parent: Path) -> Path:
    """Write a bundle as one zip file into `parent`; equal bundles give equal bytes."""
    parent.mkdir(parents=True, exist_ok=True)
    path = parent / f"{bundle.manifest.name}{SUFFIX}"
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in (MANIFEST, *sorted(bundle.manifest.files)):
                entry = zipfile.ZipInfo(name)  # its date is fixed
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, (bundle.folder / name).read_bytes())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def unpack(path: Path, parent: Path) -> Bundle:
    """Unpack a bundle's zip file into a folder of `parent`; BundleError where it is not whole and sound."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = parse_manifest(_member(archive, MANIFEST, MOST_MANIFEST_BYTES))
            _check_members(path, archive, manifest)
            files = {name: _member(archive, name, entry.size) for name, entry in manifest.files.items()}
    except _DAMAGED_ARCHIVE as error:
        raise BundleError(f"{path}: is no readable bundle ({error}); copy or make it again") from error
    for name, content in files.items():
        _check_content(path, name, content, manifest)
    return write_bundle(parent, manifest, files)


def find_bundle(path: Path, parent: Path) -> Bundle:
    """The bundle at a path: a folder, or a file that is unpacked into `parent`."""
    return open_bundle(path) if path.is_dir() else unpack(path, parent)


def _settle(partial: Path, folder: Path) -> None:
    """Give a complete folder its name, unless somebody else was faster."""
    try:
        os.replace(partial, folder)
    except OSError:
        if not (folder / MANIFEST).exists():
            raise


def _check_members(path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Nothing in the archive but what the manifest lists: no folder, no other path, no second copy."""
    names = sorted(archive.namelist())
    if names != sorted([MANIFEST, *manifest.files]):
        strange = sorted(set(names) - set(manifest.files) - {MANIFEST})
        missing = sorted(set(manifest.files) - set(names))
        raise BundleError(f"{path}: holds {strange or 'a file twice'}, lacks {missing}; make it again")
    if manifest.total_bytes > MOST_BYTES:
        raise BundleError(f"{path}: {manifest.total_bytes} bytes unpacked, at most {MOST_BYTES} are taken")


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A member's content, refused before it is inflated past `most` bytes."""
    with archive.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise BundleError(f"{name}: is larger than the {most} bytes that it may have; make the bundle again")
    return content


def _check_content(where: Path, name: str, content: bytes, manifest: Manifest) -> None:
    entry = manifest.files[name]
    if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BundleError(f"{where}: {name} is damaged (its digest differs); copy or make it again")


def _verify(path: Path, manifest: Manifest) -> None:
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path.parent}: {path.name} is missing or no plain file; copy or make it again")
    _check_content(path.parent, path.name, path.read_bytes(), manifest)
