"""Describe a failure in a user's forward by the user's own file and line, without PyTorch's internals."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import cache
from io import StringIO
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import fx, nn

# folders of frames that are not the user's: PyTorch's, this package's, Python's
_ROOMS = Path(__file__).parents[2]
_PACKAGE = (_ROOMS / "model", _ROOMS / "flow")
_OURS = (Path(torch.__file__).parent, *_PACKAGE, Path(os.__file__).parent)
_MADE_AT = "_bitlathe_made_at"  # of a module
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
    cause: BaseException | None = error
    while cause is not None:
        if seen := _innermost(traceback.extract_tb(cause.__traceback__)):
            return f"in {seen}"
        cause = cause.__cause__ or cause.__context__
    return ""


def _innermost(frames: Iterable[traceback.FrameSummary]) -> str:
    """FILE:LINE of the innermost frame of the user's code, or nothing."""
    seen = [frame for frame in frames if _is_users(frame.filename)]
    return f"{_short(Path(seen[-1].filename))}:{seen[-1].lineno}" if seen else ""


@cache
def _is_users(name: str) -> bool:
    file = Path(name)
    return file.is_file() and not any(file.is_relative_to(folder) for folder in _OURS)


@cache
def _is_package(name: str) -> bool:
    """Whether it is a file of this package's, behind which a stack goes on to who calls it."""
    return any(Path(name).is_relative_to(folder) for folder in _PACKAGE)


@contextmanager
def keeping_lines() -> Iterator[None]:
    """Let an export keep, of each operation, the lines of the user's code; `line_of` reads them.

    By itself torch.export keeps those in functions called forward alone.
    """

    def users(tracer: object, frames: traceback.StackSummary) -> traceback.StackSummary:
        inner = takewhile(lambda frame: not _is_package(frame.filename), reversed(frames))
        return traceback.StackSummary.from_list([f for f in inner if _is_users(f.filename)][::-1])

    with patched(fx.proxy.TracerBase, "_filter_traceback_frames", users):
        yield


def line_of(node: fx.Node) -> str:
    """FILE:LINE of the user's code that called an operation, or nothing."""
    lines = re.findall(r'File "(.+)", line (\d+), in ', node.meta.get("stack_trace") or "")
    return _innermost(traceback.FrameSummary(file, int(line), "", lookup_line=False) for file, line in lines)


@contextmanager
def noting_lines() -> Iterator[None]:
    """Let each module that is made meanwhile remember the line of the user's code that makes it."""
    original = nn.Module.__init__

    def init(module: nn.Module, *args: Any, **kwargs: Any) -> None:
        original(module, *args, **kwargs)
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and not _is_users(frame.f_code.co_filename):
            frame = None if _is_package(frame.f_code.co_filename) else frame.f_back
        if frame is not None:
            module.__dict__[_MADE_AT] = f"{_short(Path(frame.f_code.co_filename))}:{frame.f_lineno}"

    with patched(nn.Module, "__init__", init):
        yield


def made_at(module: nn.Module) -> str:
    """FILE:LINE that made a module, where `noting_lines` saw it, or nothing."""
    line: str = module.__dict__.get(_MADE_AT, "")
    return line


@contextmanager
def patched(owner: type, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Another function in a class, meanwhile."""
    original = getattr(owner, name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, original)


def chooses_by_values(error: BaseException) -> bool:
    """Whether an export failed because forward branches on the value of a tensor."""
    return any(word in str(error) for word in _VALUES)


def _named(error: BaseException, line: str) -> str:
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _short(file: Path) -> Path:
    """A path relative to the current folder if it is below it."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
