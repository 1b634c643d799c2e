"""Tell from its bytes what a file is that is not a PyTorch checkpoint, before anything unpacks it."""

from __future__ import annotations

import errno
import zipfile
from dataclasses import dataclass
from pathlib import Path

_HEAD = 512  # bytes that tell a kind
_SAVE = "save the weights from PyTorch by torch.save"
# beginning of a file -> what it is, what to do
_KINDS = (
    (b"version https://git-lfs", "it is a pointer of Git LFS", "fetch the file itself by git lfs pull"),
    (b"\x93NUMPY", "it is an array of NumPy", "save a dict of tensors by torch.save"),
    (b"\x89HDF\r\n", "it is an HDF5 file", _SAVE),
    (b"\x1f\x8b", "it is packed by gzip", "unpack it"),
    (b"BZh", "it is packed by bzip2", "unpack it"),
    (b"\xfd7zXZ", "it is packed by xz", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "it is packed by zstd", "unpack it"),
    (b"7z\xbc\xaf", "it is packed by 7-Zip", "unpack it"),
    (b"Rar!", "it is packed by RAR", "unpack it"),
    (b"%PDF", "it is a PDF", "get the checkpoint"),
)


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is, and what to do about it."""

    told: str
    remedy: str = "get it again"


def foreign_kind(path: Path) -> FileKind | None:
    """What a file is, None if it may be a checkpoint. Raises OSError if it cannot be read."""
    if not path.is_file():
        raise OSError(errno.EINVAL, "it is a folder or a device")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return FileKind("it is empty")
    for start, told, remedy in _KINDS:
        if head.startswith(start):
            return FileKind(told, remedy)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return FileKind("it is a web page", "download the file itself")
    if head[8:9] == b"{" and head[7] == 0:  # length of the header, then its JSON
        return FileKind("it is a safetensors file", "load it by safetensors and save its dict by torch.save")
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x3a"):
        return FileKind("it is an ONNX model", "give it as `network`, without `weights`")
    return _archive_kind(path) if head.startswith(b"PK") else None


def _archive_kind(path: Path) -> FileKind | None:
    """The same for a zip archive: PyTorch's archives are complete and uncompressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return FileKind("it is truncated or damaged")
    names = [entry.filename.rpartition("/")[2] for entry in entries]
    if any(name.endswith(".npy") for name in names):
        return FileKind("it is a file of NumPy arrays", "save a dict of tensors by torch.save")
    if "constants.pkl" in names:
        return FileKind("it is a module of TorchScript", "save its state_dict() by torch.save")
    if "data.pkl" not in names:
        return FileKind("it is an archive of other things")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > path.stat().st_size or any(entry.compress_type for entry in entries):
        return FileKind(f"it would unpack to {unpacked:,} bytes, which no checkpoint of PyTorch does")
    return None
