"""Describe a failure in a user's forward by the user's own file and line, without PyTorch's internals."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

import torch

# folders of frames that are not the user's: PyTorch's, this package's, Python's
_ROOMS = Path(__file__).parents[2]
_OURS = (Path(torch.__file__).parent, _ROOMS / "model", _ROOMS / "flow", Path(os.__file__).parent)
_VALUES = ("data-dependent", "Dynamic control flow", "guard on")  # PyTorch's words for control flow by values


@contextmanager
def quiet() -> Iterator[None]:
    """Keep stderr and logs quiet inside: a failed export writes its whole program there."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(disabled)


def told(error: BaseException) -> str:
    """An error's first line, with the place in the user's code where it arose.

    >>> told(ValueError("too wide"))
    'too wide'
    """
    first = next(iter(str(error).splitlines()), "").strip()
    plain = first if isinstance(error, (RuntimeError, ValueError)) and first else _named(error, first)
    return ", ".join(filter(None, (plain, place(error))))


def place(error: BaseException) -> str:
    """`in FILE:LINE` of the innermost line of the user's code that led to an error, or nothing."""
    seen: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        for frame in traceback.extract_tb(cause.__traceback__):
            file = Path(frame.filename)
            if file.is_file() and not any(file.is_relative_to(folder) for folder in _OURS):
                seen.append(f"in {_short(file)}:{frame.lineno}")
        if seen:
            return seen[-1]
        cause = cause.__cause__ or cause.__context__
    return ""


def chooses_by_values(error: BaseException) -> bool:
    """Whether an export failed because forward branches on the value of a tensor."""
    return any(word in str(error) for word in _VALUES)


def _named(error: BaseException, line: str) -> str:
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _short(file: Path) -> Path:
    """A path relative to the current folder if it is below it."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
