"""Tables of settings, of a TOML file or elsewhere; what is wrong is told by its place."""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from bitlathe.model.graph.errors import BitlatheError, FormatError
from bitlathe.model.graph.files.settings import WrongValue, check_keys, read_choices, read_settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Section = TypeVar("Section")
Keys = tuple[str, ...]

_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_-]+|\"[^\"]+\")\s*=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections(ABC):
    """Tables of values as TOML has them."""

    values: Mapping[str, Any]

    @abstractmethod
    def wrong(self, keys: Keys, what: str) -> BitlatheError:
        """Error about a key, or about a table, that says where it was written."""

    def table(self, *keys: str) -> Mapping[str, Any]:
        """A table, empty where there is none; `wrong` for anything else of that name."""
        found: Any = self.values
        for depth, key in enumerate(keys, 1):
            found = found.get(key, {})
            if not isinstance(found, dict):
                raise self.wrong(keys[:depth], f"is {found!r}; make it a table, [{'.'.join(keys[:depth])}]")
        return cast(Mapping[str, Any], found)

    @contextmanager
    def placed(self, keys: Keys) -> Iterator[None]:
        """Report a WrongValue of the block with the place of its key in a table."""
        try:
            yield
        except WrongValue as error:
            raise self.wrong((*keys, error.key) if error.key else keys, error.what) from error

    def check_keys(self, keys: Keys, known: Iterable[str]) -> None:
        """Raise what `wrong` makes for an entry of a table that is not among `known`."""
        with self.placed(keys):
            check_keys(self.table(*keys), known)

    def section(self, keys: Keys, kind: type[Section]) -> Section:
        """A table as the dataclass `kind`; what `read_settings` refuses is raised with its place."""
        with self.placed(keys):
            return read_settings(kind, self.table(*keys))

    def choices(
        self, keys: Keys, kind: type[Section], old_names: Mapping[str, str], usual: Mapping[str, Any]
    ) -> tuple[Section, ...]:
        """By `read_choices`; keys may have names of earlier versions, and `usual` holds other defaults."""
        table = self.table(*keys)
        written = {old_names.get(key, key): key for key in table}
        for old, new in old_names.items():
            if old in table and new in table:
                raise self.wrong((*keys, old), f"is given twice; {new} is its name now")
        try:
            return read_choices(kind, {**usual, **{key: table[name] for key, name in written.items()}})
        except WrongValue as error:
            error.key = written.get(error.key, error.key)
            with self.placed(keys):
                raise


@dataclass(frozen=True, slots=True, kw_only=True)
class TomlDocument(Sections):
    """A parsed file that still knows its lines."""

    path: Path
    lines: Mapping[Keys, int]  # first line of each table and key, from 1
    text: str = ""

    def wrong(self, keys: Keys, what: str) -> FormatError:
        """Error about a key, or about a table where the key itself stands nowhere."""
        line = next((self.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), 1)
        return FormatError(f"{self.path}:{line}: {'.'.join(keys)}: {what}")


def read_toml(path: Path) -> TomlDocument:
    """A file's document; FormatError if it cannot be read or is not valid TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        return TomlDocument(path=path, values=tomllib.loads(text), lines=_lines(text), text=text)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}); name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: is not valid TOML: {error}") from error


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
