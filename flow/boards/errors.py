"""Turns the board's errors into those of the command line, by family."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bitlathe.board.errors import AgentError, BoardError, BoardFileError, BundleError, DeviceError
from bitlathe.flow.errors import CheckFailed
from bitlathe.model.graph.errors import BitlatheError, FormatError, ToolError

# The first class that fits decides; whatever is not listed is a check that failed.
_FAMILY: tuple[tuple[type[BoardError], type[BitlatheError]], ...] = (
    (BundleError, FormatError),
    (BoardFileError, FormatError),
    (DeviceError, ToolError),
    (AgentError, ToolError),
)


@contextmanager
def board_errors() -> Iterator[None]:
    """Turn the board's errors into those of the command line, their words unchanged."""
    try:
        yield
    except BoardError as error:
        family = next((ours for theirs, ours in _FAMILY if isinstance(error, theirs)), CheckFailed)
        raise family(str(error)) from error
