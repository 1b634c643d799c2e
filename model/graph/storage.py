"""A graph's bytes on disk: written whole or not at all, read with the file's name in every error."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bitlathe.model.graph.errors import BitlatheError, DataError, FormatError

Decoded = TypeVar("Decoded")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, which appears whole or not at all; DataError where it cannot be written."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file in it")
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
    finally:
        partial.unlink(missing_ok=True)


def read_decoded(path: Path, decode: Callable[[bytes], Decoded], suffix: str) -> Decoded:
    """What `decode` makes of a file; FormatError, naming it, if it fails, DataError if there is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); name a {suffix} file") from error
    try:
        return decode(data)
    except BitlatheError as error:
        raise FormatError(f"{path}: {error}") from error
