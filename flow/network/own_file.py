"""Functions in the user's own Python files, FILE.py:FUNCTION: found, called, and located when they fail."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from bitlathe.flow.errors import UsageError
from bitlathe.model.graph.errors import BitlatheError, DataError, ShapeError

OWN_MODULE = "bitlathe_own_file"  # what FILE.py is called while it is loaded, its digest behind it
_PACKAGE = Path(__file__).resolve().parents[2]

UserSource = str | object  # FILE.py:FUNCTION, or the function or module that was handed in


def is_function(text: str) -> bool:
    """Whether a text is FILE.py:FUNCTION.

    >>> is_function("nets.py:make"), is_function("mse")
    (True, False)
    """
    return ".py:" in text


def own_function(text: str, returns: str) -> Callable[..., Any]:
    """FUNCTION of FILE.py, whose imports find what is beside the file.

    Raises UsageError, with file and line, for what goes wrong in it; `returns` says what the function makes.
    """
    file, _, name = text.rpartition(":")
    with beside(Path(file)), located(text):
        function = getattr(_module(Path(file)), name, None)
    if not callable(function):
        raise UsageError(f"{file}: has no function {name}; name one that returns {returns}")
    found: Callable[..., Any] = function
    return found


def called(function: Callable[..., object], text: str) -> object:
    """What a function returns; UsageError for one that wants arguments."""
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise UsageError(
            f"{place(function, text)}: is called without arguments ({error}); give each a default"
        ) from error
    except ValueError:  # of what has no signature, such as a function in C
        pass
    return function()


@contextmanager
def located(source: UserSource, doing: str = "") -> Iterator[None]:
    """Turn whatever the user's own code raises into one line: file and line, and what it was `doing`."""
    try:
        yield
    except BitlatheError:
        raise
    except (Exception, SystemExit) as error:
        where = doing if isinstance(error, (RuntimeError, ValueError)) else ""
        raise UsageError(f"{_raised_at(error, source)}: {_described(error)}{where}; mend it there") from error


@contextmanager
def naming(source: UserSource) -> Iterator[None]:
    """Put a network's name before what does not fit its outputs."""
    try:
        yield
    except (DataError, ShapeError) as error:
        raise type(error)(f"{label(source)}: {error}") from error


def place(function: Callable[..., object], text: str) -> str:
    """FILE.py:LINE of a function or class, followed by its name."""
    file, _, name = text.rpartition(":")
    try:
        source, line = inspect.getsourcefile(function) or file, inspect.getsourcelines(function)[1]
    except (OSError, TypeError):
        return text
    return f"{file if Path(source).resolve() == Path(file).resolve() else source}:{line}: {name}"


def label(source: UserSource) -> str:
    """A source's name in messages: as it was given, else that of the function, or of the module's class."""
    if isinstance(source, str):
        return source
    return getattr(source, "__name__", type(source).__name__)


@contextmanager
def beside(file: Path) -> Iterator[None]:
    """Let imports find what is in the file's folder, as when Python runs the file."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _raised_at(error: BaseException, source: UserSource) -> str:
    """FILE:LINE of the innermost code of the user's that an error passed: in the file, or in its folder."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    installed = [f for f in frames if "site-packages" not in Path(f.filename).parts]
    name = source.rpartition(":")[0] if isinstance(source, str) else _file_of(source)
    if name is not None:
        file = Path(name).resolve()
        own = [f for f in installed if file.parent in Path(f.filename).resolve().parents]
        inside = [f for f in own if Path(f.filename).resolve() == file] or own
    else:
        inside = [f for f in installed if _PACKAGE not in Path(f.filename).resolve().parents]
    return f"{inside[-1].filename}:{inside[-1].lineno}" if inside else label(source)


def _file_of(function: object) -> str | None:
    """The file of a function that was handed in; None of a module."""
    code = getattr(function, "__code__", None)
    return None if code is None else str(code.co_filename)


def _described(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)  # its place is in the message already
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _module(file: Path) -> ModuleType:
    name = f"{OWN_MODULE}_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"{file}: no such Python file; give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up by its name
    spec.loader.exec_module(module)
    return module
