"""The blocks of code on a page, and what each of them is."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Fenced, or set in by four spaces below an empty line or a mark: a comment on a line of its own.
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n|(?<=\n)\n|\A)"
    r"(?:```(?P<language>\w*)\n(?P<fenced>.*?)^```$|(?P<indented>(?:    [^\n]*\n|\n(?=    ))+))",
    re.MULTILINE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"^\w+=\S*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBlock:
    """A block of a page."""

    page: Path
    line: int  # of its first line of code
    mark: str  # the comment above it, empty where there is none
    language: str  # of a fence, empty where none is named
    code: str

    @property
    def place(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.name}:{self.line}"

    @property
    def programs(self) -> set[str]:
        """What its lines call, were it a shell's."""
        return {words[0] for words in self.commands if words}

    @property
    def commands(self) -> list[list[str]]:
        """The words of its lines, were it a shell's: without comments and assignments before a program."""
        try:
            lines = [shlex.split(line, comments=True) for line in self.code.replace("\\\n", "").splitlines()]
        except ValueError:  # an apostrophe: no shell's
            return []
        return [_from_program(words) for words in lines if words]

    @property
    def tree(self) -> ast.Module | None:
        """Its syntax as Python's, None where it is not."""
        try:
            return ast.parse(self.code)
        except SyntaxError:
            return None


def code_blocks(page: Path) -> Iterator[CodeBlock]:
    """Every block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        name = "indented" if found["fenced"] is None else "fenced"
        code = found[name] if name == "fenced" else re.sub(r"^    ", "", found[name], flags=re.MULTILINE)
        yield CodeBlock(
            page=page,
            line=text.count("\n", 0, found.start(name)) + 1,
            mark=found["mark"] or "",
            language=found["language"] or "",
            code=code,
        )


def _from_program(words: list[str]) -> list[str]:
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    return words
