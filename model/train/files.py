"""PyTorch files written whole or not at all, and read without running code from them."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bitlathe.model.graph.errors import DataError


def make_folder(path: Path) -> None:
    """Make a folder and those above it; DataError where that cannot be."""
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)


def write_atomically(path: Path, content: dict[str, Any]) -> None:
    """Save tensors and plain values; a reader never sees half a file.

    DataError where it cannot be written.
    """
    make_folder(path.parent)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with _writing(path):
        try:
            with partial.open("wb") as file:  # of a path PyTorch makes errors of its own
                torch.save(content, file)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error


def read_tensors(path: Path) -> dict[str, Any]:
    """Content of a file of tensors and plain values; DataError says what is wrong with any other."""
    try:
        with warnings.catch_warnings():
            # of an unusual pickle PyTorch warns first and fails then; the failure says enough
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the path of a checkpoint") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: not a readable PyTorch checkpoint ({reason}); it is truncated or foreign, get it again"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}; a checkpoint holds a dict of tensors")
    return content
