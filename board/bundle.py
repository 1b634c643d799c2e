"""Bundles: a folder or one zip file with all that a board needs, named by the digest of its contents.

Nothing is used before it was verified, nothing is unpickled, and only what the
manifest lists is unpacked.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.errors import BundleError
from bitlathe.board.manifest import MANIFEST, Manifest, parse_manifest
from bitlathe.board.npy import array_from_npy
from bitlathe.board.text import MOST_SHOWN, one_line, shown

PROGRAM = "program.bin"
WEIGHTS = "weights.bin"
INPUT_INDEX = "input_index.npy"
OUTPUT_INDEX = "output_index.npy"  # of the only output; else `numbered`
PREPROCESS = "preprocess.npy"
IMAGES = "images.npy"
LABELS = "labels.npy"  # -1: the outputs of the network are not classes
EXPECTED = "expected.npy"  # as OUTPUT_INDEX
GRAPH = "graph.blg"
SUFFIX = ".bundle"

_DAMAGED_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    OverflowError,
)

MOST_BYTES = 256 << 20  # of a bundle's files together
MOST_MANIFEST_BYTES = 8 << 20
MOST_NAMED = 3  # files in a message


class BundleImages(NamedTuple):
    """Test images of a bundle, and what belongs to them."""

    pictures: NDArray[np.uint8]  # (N, H, W, C)
    labels: NDArray[np.integer[Any]]  # (N,); -1: the outputs of the network are not classes
    expected: list[NDArray[np.integer[Any]]]  # (N, C, H, W) codes of each output


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle whose files have the digests that its manifest names."""

    folder: Path
    manifest: Manifest

    def bytes(self, name: str) -> bytes:
        """A file's content."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder}: holds no {name}; make it again")
        return _content(self.folder / name, self.manifest.files[name].size)

    def array(self, name: str) -> NDArray[Any]:
        """The array of a .npy file."""
        return array_from_npy(self.bytes(name), str(self.folder / name))

    def arrays(self, name: str) -> list[NDArray[Any]]:
        """The arrays that there are one of for each output, such as EXPECTED."""
        count = len(self.manifest.outputs)
        return [self.array(numbered(name, number, count)) for number in range(count)]

    def test_images(self, count: int | None = None) -> BundleImages:
        """The first `count` test images (None: all); BundleError where there are not so many."""
        available = self.manifest.vectors
        wanted = available if count is None else count
        if not 1 <= wanted <= available:
            raise BundleError(
                f"{count} images asked for, the bundle has {available}; ask for 1 to {available}"
            )
        pictures, labels = self.array(IMAGES), self.array(LABELS)
        expected = self.arrays(EXPECTED)
        shapes = [(available, *entry.shape) for entry in self.manifest.outputs]
        fits = [codes.shape for codes in expected] == shapes and labels.ndim == 1
        if not fits or {len(pictures), len(labels)} != {available}:
            raise BundleError(f"{self.folder}: test images and outputs do not fit each other; make it again")
        return BundleImages(pictures[:wanted], labels[:wanted], [codes[:wanted] for codes in expected])

    @property
    def bit(self) -> Path:
        """The overlay's .bit; its .hwh is beside it."""
        return self.folder / self.manifest.overlay.bit


def numbered(name: str, number: int, count: int) -> str:
    """File of an output's array; where there are several, each has its number.

    >>> numbered(EXPECTED, 0, 1), numbered(EXPECTED, 1, 3)
    ('expected.npy', 'expected_1.npy')
    """
    return name if count == 1 else name.replace(".", f"_{number}.", 1)


def open_bundle(folder: Path) -> Bundle:
    """The bundle in a folder, every file verified; BundleError says what is wrong with it."""
    path = folder / MANIFEST
    if not os.path.isfile(path):  # unlike Path's method, raises for no name
        raise BundleError(f"{folder}: no {MANIFEST}, so no bundle; name the bundle's own folder")
    text = _content(path, MOST_MANIFEST_BYTES)
    _check_size(MANIFEST, text, MOST_MANIFEST_BYTES)
    manifest = parse_manifest(text)
    for name in manifest.files:
        _verify(folder / name, manifest)
    return Bundle(folder=folder, manifest=manifest)


def write_bundle(parent: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle's folder into `parent`, whole or not at all; an equal one that is there stays."""
    if set(files) != set(manifest.files):
        raise BundleError(f"manifest and files differ: {sorted(set(files) ^ set(manifest.files))}")
    folder = parent / manifest.name
    with _writing(folder):
        if not (folder / MANIFEST).exists():
            _write_folder(folder, {**files, MANIFEST: manifest.encode()})
    return open_bundle(folder)


def pack(bundle: Bundle, parent: Path) -> Path:
    """Write a bundle as one zip file into `parent`; equal bundles give equal bytes."""
    path = parent / f"{bundle.manifest.name}{SUFFIX}"
    partial = path.with_suffix(f".{os.getpid()}")
    with _writing(path):
        parent.mkdir(parents=True, exist_ok=True)
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
        raise BundleError(
            f"{path}: is not a readable bundle ({one_line(str(error), MOST_SHOWN)}); copy or make it again"
        ) from error
    for name, content in files.items():
        _check_content(path, name, content, manifest)
    return write_bundle(parent, manifest, files)


def find_bundle(path: Path, parent: Path) -> Bundle:
    """The bundle at a path: a folder, or a file that is unpacked into `parent`."""
    return open_bundle(path) if os.path.isdir(path) else unpack(path, parent)


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that appears with all of them or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
    try:
        for name, content in files.items():
            (partial / name).write_bytes(content)
        _settle(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _settle(partial: Path, folder: Path) -> None:
    """Give a complete folder its name, unless somebody else was faster."""
    try:
        os.replace(partial, folder)
    except OSError:
        if not (folder / MANIFEST).exists():
            raise


def _check_members(path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Raise BundleError unless the archive holds each file of the manifest once, and nothing else."""
    names = sorted(archive.namelist())
    if names != sorted([MANIFEST, *manifest.files]):
        strange = _listed(sorted(set(names) - set(manifest.files) - {MANIFEST}), "a file twice")
        missing = _listed(sorted(set(manifest.files) - set(names)), "none")
        raise BundleError(f"{path}: holds {strange}, lacks {missing}; make it again")
    if manifest.total_bytes > MOST_BYTES:
        raise BundleError(f"{path}: {manifest.total_bytes} bytes unpacked, at most {MOST_BYTES} are taken")


def _listed(names: Sequence[str], otherwise: str) -> str:
    """The first names of a list and how many more there are; `otherwise` where it is empty."""
    more = f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED)
    return ", ".join(shown(name) for name in names[:MOST_NAMED]) + more or otherwise


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A member's content, refused before it is inflated past `most` bytes."""
    with archive.open(name) as file:
        content = file.read(most + 1)
    _check_size(name, content, most)
    return content


def _check_size(name: str, content: bytes, most: int) -> None:
    if len(content) > most:
        raise BundleError(f"{name}: is larger than the {most} bytes that it may have; make the bundle again")


def _check_content(where: Path, name: str, content: bytes, manifest: Manifest) -> None:
    entry = manifest.files[name]
    if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise BundleError(f"{where}: {name} is damaged (its digest differs); copy or make it again")


def _verify(path: Path, manifest: Manifest) -> None:
    if os.path.islink(path) or not os.path.isfile(path):
        raise BundleError(f"{path.parent}: {path.name} is missing or not a plain file; copy or make it again")
    _check_content(path.parent, path.name, _content(path, manifest.files[path.name].size), manifest)


def _content(path: Path, most: int) -> bytes:
    """A file's content, one byte past `most` at the most; BundleError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(min(most, path.stat().st_size) + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); copy the bundle again") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn a disk that is full, or a folder that is not ours, into an error that says so."""
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be written ({error.strerror}); make room there, or name another folder"
        ) from error
