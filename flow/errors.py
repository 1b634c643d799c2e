"""Exit statuses, and the errors of what a user asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, IntEnum
from typing import TypeVar

from bitlathe.model.graph.errors import (
    BitlatheError,
    CapacityError,
    DataError,
    FormatError,
    MissingData,
    ShapeError,
    ToolError,
    UnsupportedLayer,
)
from bitlathe.model.graph.files.settings import WrongValue
from bitlathe.model.prune.errors import PruneError


class ExitStatus(IntEnum):
    """The exit status of a command."""

    DONE = 0
    CHECK_FAILED = (
        1  # integers differ, an accumulator could overflow, the engine stopped, a training diverged
    )
    BAD_INPUT = 2  # an option, a file or a network that cannot be used
    MISSING = 3  # a tool, a board or the data set
    INTERRUPTED = 130  # as shells count a program ended by SIGINT


class CheckFailed(BitlatheError):
    """Results are wrong; raised after they were printed."""


class UsageError(BitlatheError):
    """Arguments that do not go together, or a value that is out of range.

    Its text names arguments in backquotes, as all messages do: `images`, or `images=5` with a value. The
    command line writes them as the options they are there.
    """


EnumKind = TypeVar("EnumKind", bound=Enum)


def member_of(kind: type[EnumKind], argument: str, word: str) -> EnumKind:
    """The member of a value; UsageError, which names the argument, lists the values where there is none."""
    try:
        return kind(word)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise UsageError(f"`{argument}={word}`: choose one of {known}") from None


def refuse_idle(server: str, is_there: bool, **arguments: object) -> None:
    """Raise UsageError for an argument that is given (not None) where what it serves is not there.

    >>> refuse_idle("boards", False, overlay=None)
    """
    idle = [name for name, value in arguments.items() if value is not None]
    if idle and not is_there:
        raise UsageError(f"`{idle[0]}`: does nothing without `{server}`; give that too, or leave it out")


@contextmanager
def argument_errors(prefix: str = "") -> Iterator[None]:
    """Turn a WrongValue of the block into a UsageError about the argument of the field's name, prefixed."""
    try:
        yield
    except WrongValue as error:
        raise UsageError(f"`{prefix}{error.key}`: {error.what}") from error


# The first class that fits decides; whatever is not listed is a check that failed.
_STATUS: tuple[tuple[type[BitlatheError], ExitStatus], ...] = (
    (MissingData, ExitStatus.MISSING),
    (ToolError, ExitStatus.MISSING),
    (UsageError, ExitStatus.BAD_INPUT),
    (DataError, ExitStatus.BAD_INPUT),
    (FormatError, ExitStatus.BAD_INPUT),
    (UnsupportedLayer, ExitStatus.BAD_INPUT),
    (ShapeError, ExitStatus.BAD_INPUT),
    (CapacityError, ExitStatus.BAD_INPUT),
    (PruneError, ExitStatus.BAD_INPUT),
)


def status_of(error: BitlatheError) -> ExitStatus:
    """Exit status of an error.

    >>> status_of(MissingData("")), status_of(DataError(""))
    (<ExitStatus.MISSING: 3>, <ExitStatus.BAD_INPUT: 2>)
    """
    return next((status for kind, status in _STATUS if isinstance(error, kind)), ExitStatus.CHECK_FAILED)
