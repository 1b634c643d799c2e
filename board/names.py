"""Every kind of name that a bundle, an overlay, a request or an answer brings, by its pattern.

Names become paths, keys of what pynq read, and lines of a log. The objects that hold them check them when
they are made, so whoever writes a name is checked as whoever reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bitlathe.board.errors import BundleError
from bitlathe.board.text import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A kind of name."""

    what: str
    pattern: re.Pattern[str]  # of the whole name, which is printable too
    rule: str  # the pattern in words

    def fits(self, text: str) -> bool:
        """Whether a text is such a name."""
        return self.pattern.fullmatch(text) is not None and text.isprintable()

    def check(self, text: str, where: str) -> None:
        """Raise BundleError, which names `where`, unless a text is such a name."""
        if not self.fits(text):
            raise BundleError(f"{where}: {shown(text)} cannot be the {self.what}: it must be {self.rule}")


def _word(what: str, most: int) -> Name:
    """A name that is safe as a part of a path: not a folder, not hidden, not a command's option."""
    return Name(
        what=what,
        pattern=re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{most - 1}}}"),
        rule=f"letters, digits, '_', '.' and '-', at most {most}, neither of the last two first",
    )


def _identifier(what: str) -> Name:
    return Name(
        what=what,
        pattern=re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}"),
        rule="letters, digits and '_', at most 64, no digit first",
    )


def _digits(what: str, count: int) -> Name:
    return Name(
        what=what,
        pattern=re.compile(rf"[0-9a-f]{{{count}}}"),
        rule=f"{count} hexadecimal digits, small letters",
    )


BOARD = _word("name of a board", 64)
ARCHITECTURE = _word("name of a processor's architecture", 64)
NETWORK = _word("name of a network", 64)
FILE = _word("name of a file in a bundle", 100)
REGISTER = _identifier("name of a register")
ERROR = _identifier("name of an error")
OPCODE = _identifier("opcode")
DIGEST = _digits("SHA-256 digest", 64)
JOB = _digits("job's identifier", 32)
INSTANCE = Name(
    what="instance of a core",
    pattern=re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*"),
    rule="letters, digits, '_', '.' and '-', at most 128, a '/' between levels of the design",
)
NODE = Name(what="name of a node", pattern=re.compile(r".{0,500}"), rule="at most 500 printable characters")
OUTPUT = Name(what="name of an output", pattern=re.compile(r".{1,500}"), rule="1 to 500 printable characters")
VERSION = Name(
    what="version",
    pattern=re.compile(r"[A-Za-z0-9_.+!-]{1,64}"),
    rule="letters, digits, '.', '+', '!', '_' and '-', at most 64",
)
