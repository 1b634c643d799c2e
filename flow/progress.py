"""Progress of work under way: lines, and how much is done.

Every function that takes `progress` calls it with a `Note` or an `Advance`; `progress=print` shows both as
text. Nothing but the command line prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """A line for a person."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Advance:
    """How far one piece of work is, which begins with nothing done and ends with all of it.

    >>> print(Advance("simulating lenet5", 3, 20))
    simulating lenet5: 3 of 20
    """

    work: str  # the same text from its beginning to its end
    done: float
    total: float
    now: str = ""  # what is being done

    def __str__(self) -> str:
        return f"{self.work}: {self.done:g} of {self.total:g}{f', {self.now}' if self.now else ''}"


Progress = Callable[[Note | Advance], None]


def silent(event: Note | Advance) -> None:
    """Show nothing: the default `progress` of every function."""
