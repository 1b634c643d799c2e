"""What becomes of each operator of PyTorch: exact, by table, on the host, or refused with a way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bitlathe.model.capture.advice import ADVICE
from bitlathe.model.capture.calls import CallReader
from bitlathe.model.capture.registry import EXACT, HOST, TABLE

_LAST = "at the end: left to the host, with a note; larger stays larger"


def operators_table() -> str:
    """What becomes of each operator, as a Markdown table."""
    rows = [*_rows(EXACT, "exact"), *_rows(TABLE, "by table")]
    rows.append((tuple(dict.fromkeys(HOST.values())), "on the host", _LAST))
    by_mend: dict[str, list[str]] = {}
    for word, mend in ADVICE.items():
        by_mend.setdefault(mend, []).append(word.strip("_"))
    rows += [(tuple(words), "refused", mend) for mend, words in by_mend.items()]
    lines = [
        f"| {', '.join(f'`{name}`' for name in names)} | {kind} | {text} |" for names, kind, text in rows
    ]
    return "\n".join(("| operator | becomes | how |", "| --- | --- | --- |", *lines))


def bare_name(operator: str) -> str:
    """An operator as PyTorch's function is called.

    >>> bare_name("aten.conv2d.padding")
    'conv2d'
    """
    return operator.split(".")[1]


def _rows(handlers: Mapping[str, CallReader], kind: str) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """A row for each handler: the operators that it reads, and what its docstring says of them."""
    by_handler: dict[CallReader, list[str]] = {}
    for operator, handler in handlers.items():
        if not operator.startswith("aten._"):  # an inner form of another one
            by_handler.setdefault(handler, []).append(bare_name(operator))
    for handler, names in by_handler.items():
        yield tuple(dict.fromkeys(names)), kind, _told(handler)


def _told(handler: CallReader) -> str:
    """The first line of a docstring, without the names that it may start with, and the full stop."""
    first = (handler.__doc__ or "").partition("\n")[0].rstrip(".")
    return first.rpartition(": ")[2]
