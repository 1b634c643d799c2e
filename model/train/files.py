"""PyTorch files written whole or not at all, and read without running code from them."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from bitlathe.model.graph.errors import DataError
from bitlathe.model.graph.files.storage import write_whole
from bitlathe.model.train.file_kinds import foreign_kind

# PyTorch's words for an unknown name in a pickle
_CODE = re.compile(r"GLOBAL ([\w.]+) (?:was not an allowed global|whose module)")


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Save tensors and plain values as `write_whole` does; DataError if the file cannot be written."""
    made = io.BytesIO()  # not the path itself, for which PyTorch raises errors of its own
    torch.save(content, made)
    write_whole(path, made.getbuffer())


def read_tensors(path: Path) -> dict[str, Any]:
    """Content of a file of tensors and plain values; DataError says what is wrong with any other."""
    if not path.exists():
        raise DataError(f"{path}: no such file; give the path of a checkpoint")
    try:
        kind = foreign_kind(path)
    except OSError as error:
        reason = error.strerror or "no file"
        raise DataError(f"{path}: cannot be read ({reason}); give the path of a checkpoint") from error
    if kind is not None:
        raise DataError(f"{path}: not a readable PyTorch checkpoint ({kind.told}); {kind.remedy}")
    content = _unpickled(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}; a checkpoint holds a dict of tensors")
    return content


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # PyTorch warns of an unusual pickle before it fails; the failure says enough
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle can fail in any way, and PyTorch's advice is to run its code
        named = _CODE.search(str(error))
        if named is None:
            problem = "not a readable PyTorch checkpoint (it is truncated or foreign); get it again"
        else:
            what = "a whole module" if named[1].startswith("torch.nn.") else "an object"
            problem = (
                f"holds {what} ({named[1]}), which only its own code can read; "
                "save its state_dict() alone by torch.save"
            )
        raise DataError(f"{path}: {problem}") from error
