"""HLS C++ cut into the blocks that pragmas govern: enough of the language for our own sources."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bitlathe.hls.vitis.lint.directives import Scope

_TOKEN = re.compile(
    r"(?P<pragma>^[ \t]*#[ \t]*pragma[^\n]*$)|(?P<directive>^[ \t]*#(?:[^\n\\]|\\\n|\\.)*$)"
    r"|(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<string>\"(?:[^\"\\\n]|\\.)*\")|(?P<open>\{)"
    r"|(?P<close>\})|(?P<semicolon>;)|(?P<newline>\n)|(?P<other>[^\n])",
    re.MULTILINE | re.DOTALL,
)
_LOOP = re.compile(r"\b(?:for|while|do)\b\s*(?:\(.*\)\s*)?$", re.DOTALL)
_CONTAINER = re.compile(r"\b(?:namespace|struct|class|enum|union|extern)\b[^()]*$", re.DOTALL)
_CONDITION = re.compile(r"\b(?:if|else|switch|try|catch)\b[^;]*$", re.DOTALL)
_DECLARED = re.compile(r"\b([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*(?=[,;=()]|$)")
STREAM_DECLARED = re.compile(r"\bStream<(?P<arguments>.*)>\s*&?\s*(?P<name>\w+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pragma:
    """A `#pragma` line."""

    line: int
    text: str  # behind `#pragma`
    after_statement: bool  # some statement of its block precedes it


@dataclass(slots=True)
class SourceBlock:
    """A pair of braces: what opens it, what is declared in it, which pragmas stand directly in it."""

    head: str
    line: int
    parent: "SourceBlock | None"
    scope: Scope | None = None  # None: neither function nor loop
    statements: list[str] = field(default_factory=list)
    pragmas: list[Pragma] = field(default_factory=list)

    def governing(self) -> "SourceBlock | None":
        """The function or loop that a pragma in this block governs."""
        return self if self.scope else self.parent.governing() if self.parent else None

    def names(self) -> set[str]:
        """Names declared here and further out, as far as a function reaches."""
        texts = [self.head, *self.statements]
        found = {name for text in texts for name in _DECLARED.findall(text)}
        outer = self.parent.names() if self.parent and self.scope is not Scope.FUNCTION else set()
        return found | outer

    def parameters(self) -> list[str]:
        """Names of a function's parameters, in order."""
        inside = self.head[self.head.index("(") + 1 : self.head.rindex(")")]
        return [found[-1] for part in inside.split(",") if (found := _DECLARED.findall(part.strip()))]


def synthesized(text: str) -> str:
    """The text with the lines blank that a synthesizer does not see; line numbers stay.

    >>> synthesized("#ifdef __SYNTHESIS__\\na;\\n#else\\nb;\\n#endif\\n").split()
    ['a;']
    """
    kept, branches = [], [True]
    for line in text.split("\n"):
        word = line.replace("# ", "#").split(maxsplit=1)[0] if line.strip() else ""
        if word.startswith("#if"):
            branches.append("__SYNTHESIS__" in line)
            seen = word != "#ifndef" or not branches[-1]
            branches.append(seen)
        elif word == "#else":
            branches[-1] = not branches[-2] or not branches[-1]
        elif word == "#endif":
            del branches[-2:]
        hidden = word in ("#else", "#endif") or word.startswith("#if")
        kept.append(line if all(branches[2::2]) and not hidden else "")
    return "\n".join(kept)


def blocks(text: str) -> list[SourceBlock]:
    """Blocks of a source file, outermost first."""
    return list(_blocks(synthesized(text)))


def _blocks(text: str) -> Iterator[SourceBlock]:
    current = SourceBlock(head="", line=1, parent=None)
    pending, line = "", 1
    yield current
    for token in _TOKEN.finditer(text):
        kind, part = token.lastgroup, token[0]
        if kind == "open":
            current = _opened(pending, line, current)
            yield current
            pending = ""
        elif kind == "close":
            assert current.parent is not None, f"line {line}: a brace too many"
            current.parent.statements.append("{}")
            current, pending = current.parent, ""
        elif kind == "semicolon" and pending.count("(") == pending.count(")"):
            current.statements.append(pending + ";")
            pending = ""
        elif kind == "pragma":
            current.pragmas.append(
                Pragma(
                    line=line,
                    text=part.split("pragma", 1)[1].strip(),
                    after_statement=bool(current.statements),
                )
            )
        elif kind not in ("comment", "directive"):
            pending += part
        line += part.count("\n")


def _opened(head: str, line: int, parent: SourceBlock) -> SourceBlock:
    head = head.strip()
    made = SourceBlock(head=head, line=line, parent=parent)
    if _LOOP.search(head):
        made.scope = Scope.LOOP
    elif "(" in head and not _CONTAINER.search(head) and not _CONDITION.search(head):
        made.scope = Scope.FUNCTION
    return made
