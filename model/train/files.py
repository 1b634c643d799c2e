"""PyTorch files written whole or not at all, and read without running code from them."""

from __future__ import annotations

import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.storage import write_whole


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Save tensors and plain values as `write_whole` does; DataError where it cannot be written."""
    made = io.BytesIO()  # of a file or a path PyTorch makes errors of its own
    torch.save(content, made)
    write_whole(path, made.getbuffer())


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
