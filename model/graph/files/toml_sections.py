"""Sections of a TOML file as typed values; what is wrong is told by file, line and key."""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from bitlathe.model.graph.errors import BitlatheError, FormatError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Section = TypeVar("Section")
Keys = tuple[str, ...]

_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+|\"[^\"]+\")\s*=")


class WrongValue(FormatError):
    """A value that a section refuses; `read_section` adds file and line of its key."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(key, what)
        self.key, self.what = key, what

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"


def demand(section: object, key: str, fits: bool, wanted: str) -> None:
    """Raise WrongValue for a section's value that does not fit, saying what to give."""
    if not fits:
        value = getattr(section, key)
        written = list(value) if isinstance(value, tuple) else value
        raise WrongValue(key, f"is {written!r}; give {wanted}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlDocument:
    """A parsed file that still knows its lines."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[Keys, int]  # first line of each table and key, from 1

    def wrong(self, keys: Keys, what: str) -> FormatError:
        """Error about a key, or about a table where the key itself stands nowhere."""
        line = next((self.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), 1)
        return FormatError(f"{self.path}:{line}: {'.'.join(keys)}: {what}")

    def table(self, *keys: str) -> Mapping[str, Any]:
        """A table, empty where there is none; FormatError for anything else of that name."""
        found: Any = self.values
        for depth, key in enumerate(keys, 1):
            found = found.get(key, {})
            if not isinstance(found, dict):
                raise self.wrong(keys[:depth], f"is {found!r}; make it a table, [{'.'.join(keys[:depth])}]")
        return typing.cast(Mapping[str, Any], found)

    def check_keys(self, keys: Keys, known: typing.Iterable[str]) -> None:
        """Raise FormatError for an entry of a table that is not among `known`."""
        names = list(known)
        for name in self.table(*keys):
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
                raise self.wrong((*keys, name), f"is unknown; {hint}")


def read_toml(path: Path) -> TomlDocument:
    """A file's document; FormatError where it cannot be read or is not valid TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        return TomlDocument(path=path, values=tomllib.loads(text), lines=_lines(text))
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}); name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: is not valid TOML: {error}") from error


def read_section(document: TomlDocument, keys: Keys, kind: type[Section]) -> Section:
    """A table as the dataclass `kind`, whose fields are its keys and whose defaults are theirs.

    FormatError for an unknown key, a missing one, a value of another type, or one that `kind` refuses.
    """
    table, known = document.table(*keys), {field.name: field for field in _fields_of(kind)}
    document.check_keys(keys, known)
    hints = typing.get_type_hints(kind)
    for name, field in known.items():
        if name not in table and field.default is MISSING and field.default_factory is MISSING:
            raise document.wrong((*keys, name), "is missing")
    values = {name: _typed(document, (*keys, name), value, hints[name]) for name, value in table.items()}
    try:
        return kind(**values)
    except WrongValue as error:
        raise document.wrong((*keys, error.key), error.what) from error
    except BitlatheError as error:
        raise document.wrong(keys, str(error)) from error


def _fields_of(kind: type[Any]) -> tuple[Field[Any], ...]:
    return tuple(field for field in fields(kind) if field.init)


def _typed(document: TomlDocument, keys: Keys, value: Any, hint: Any) -> Any:
    """The value as its field's type."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        converted = _converted(value, option)
        if converted is not None:
            return converted
    raise document.wrong(keys, f"is {value!r}; give {_wanted(options)}")


def _converted(value: Any, option: Any) -> Any:
    """The value as one type, or None where it is not of it."""
    if typing.get_origin(option) is tuple:
        return _converted_tuple(value, typing.get_args(option))
    if isinstance(option, type) and issubclass(option, Enum):
        return next((choice for choice in option if choice.value == value), None)
    if option is Path:
        return Path(value) if isinstance(value, str) else None
    if option is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if isinstance(option, type) and type(value) is option else None


def _converted_tuple(value: Any, inner: tuple[Any, ...]) -> Any:
    if not isinstance(value, list):
        return None
    kinds = (inner[0],) * len(value) if inner[1:] == (...,) else inner
    if len(kinds) != len(value):
        return None
    items = tuple(_converted(item, kind) for item, kind in zip(value, kinds, strict=True))
    return None if None in items else items


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}


def _wanted(options: tuple[Any, ...]) -> str:
    """What a field takes, in words."""
    return " or ".join(_word(option) for option in options if option is not type(None))


def _word(option: Any) -> str:
    if typing.get_origin(option) is tuple:
        inner = typing.get_args(option)
        if inner[1:] == (...,):
            return f"a list of entries, each {_word(inner[0])}"
        return f"a list of {len(inner)}, each {_word(inner[0])}"
    if issubclass(option, Enum):
        return "one of " + ", ".join(repr(choice.value) for choice in option)
    return _WORDS[option]


def _lines(text: str) -> dict[Keys, int]:
    """Line of each table and each key; inline tables and dotted keys are found by their first word."""
    found: dict[Keys, int] = {}
    table: Keys = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = tuple(part.strip().strip('"') for part in header[1].split("."))
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, key[1].strip('"')), number)
    return found
