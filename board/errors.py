"""Errors of the board: what is wrong, where, and how to mend it, in one line.

A family of its own, because the board has this room and nothing else of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator

from bitlathe.board.text import one_line


class BoardError(Exception):
    """Base of everything that can go wrong between a bundle and its measurement."""


class BundleError(BoardError):
    """A bundle is damaged, incomplete, foreign, or made for something else."""


class DeviceError(BoardError):
    """The device is missing, is another board, or cannot be used (rights, environment, memory)."""


class BoardFileError(BoardError):
    """The file that describes a board is damaged or lacks something."""


class ClockError(BoardError):
    """The fabric's clock cannot be brought to where the design is known to work."""


class EngineFault(BoardError):
    """The engine stopped a run and says why."""


class EngineHung(BoardError):
    """A run was not done by its deadline; the overlay must be loaded again."""


class AgentError(BoardError):
    """An agent cannot be reached, refuses, or lost a job."""


class StoreFull(AgentError):
    """The machine of an agent, or what it may keep, is full."""


class AgentLost(AgentError):
    """An agent cannot be reached, is silent, or was started again; another one may do its job."""


def error_named(name: str, message: str) -> BoardError:
    """The error of a class name and a message that came over the network; unknown names become AgentError.

    >>> error_named("ClockError", "too fast")
    ClockError('too fast')
    """
    kinds = {kind.__name__: kind for kind in _below(BoardError)}
    return kinds.get(name, AgentError)(one_line(message))


def _below(kind: type[BoardError]) -> Iterator[type[BoardError]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from _below(narrower)
