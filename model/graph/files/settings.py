"""Settings that a user writes: frozen dataclasses that check themselves, read from plain values or words.

Any error is a WrongValue, which names the field; callers that know where it was written add the place.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from bitlathe.model.graph.errors import BitlatheError, FormatError

Settings = TypeVar("Settings")

MAX_SEED = 2**63 - 1
SEEDS = "0..2**63-1"  # in words


class WrongValue(FormatError):
    """Why a field's value is refused; the key is empty if no single field is at fault."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(key, what)
        self.key, self.what = key, what

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" if self.key else self.what


def demand(settings: object, key: str, fits: bool, wanted: str) -> None:
    """Raise WrongValue for a field whose value does not fit, saying what to give."""
    if not fits:
        value = getattr(settings, key)
        written = list(value) if isinstance(value, tuple) else value
        raise WrongValue(key, f"is {written!r}; give {wanted}")


def is_seed(value: int) -> bool:
    """Whether NumPy's and PyTorch's generators accept it, even with an epoch's number added."""
    return 0 <= value <= MAX_SEED


@contextmanager
def about(key: str) -> Iterator[None]:
    """Turn an error of the block into a WrongValue of the field."""
    try:
        yield
    except WrongValue as error:
        raise WrongValue(key, error.what) from error
    except BitlatheError as error:
        raise WrongValue(key, str(error)) from error


def check_keys(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise WrongValue for a key that is not among `known`, with the nearest one."""
    names = list(known)
    for key in given:
        if key not in names:
            near = get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
            raise WrongValue(key, f"is unknown; {hint}")


def read_settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """A dataclass from TOML values, by the names of its fields; missing fields take their defaults.

    WrongValue for an unknown key, a missing one, a value of another type, or one that `kind` refuses.
    """
    (only,) = read_choices(kind, values, alone=True)
    return only


def read_words(kind: type[Settings], words: Mapping[str, str], usual: Mapping[str, Any]) -> Settings:
    """`read_settings` of text; entries of a list are joined by +, and `usual` holds other defaults."""
    hints = typing.get_type_hints(kind)
    given = {key: _value_of(word, hints[key]) if key in hints else word for key, word in words.items()}
    return read_settings(kind, {**usual, **given})


def read_choices(
    kind: type[Settings], values: Mapping[str, Any], alone: bool = False
) -> tuple[Settings, ...]:
    """`read_settings`, where a list in place of one value gives settings for each entry, unless `alone`.

    With several lists, that of the first field changes slowest.
    """
    known: dict[str, Field[Any]] = {field.name: field for field in fields(kind) if field.init}  # type: ignore[arg-type]
    check_keys(values, known)
    for key, field in known.items():
        if key not in values and field.default is MISSING and field.default_factory is MISSING:
            raise WrongValue(key, "is missing")
    hints = typing.get_type_hints(kind)
    choices = [_choices(key, values[key], _options(hints[key]), alone) for key in known if key in values]
    names = [key for key in known if key in values]
    return tuple(_made(kind, dict(zip(names, each, strict=True))) for each in product(*choices))


def _made(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    try:
        return kind(**values)
    except WrongValue:
        raise
    except BitlatheError as error:
        raise WrongValue("", str(error)) from error


def _options(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _choices(key: str, value: Any, options: tuple[Any, ...], alone: bool) -> tuple[Any, ...]:
    """The value, or each entry of a list of them, as one of a field's types."""
    one = _first(value, options)
    if one is not None:
        return (one,)
    if alone or not isinstance(value, list):
        raise WrongValue(key, f"is {value!r}; give {_wanted(options)}")
    found = tuple(_first(entry, options) for entry in value)
    if not found:
        raise WrongValue(key, "is empty; name one at least")
    if None in found:
        raise WrongValue(key, f"is {value!r}; give {_wanted(options)}, or a list of such")
    return found


def _first(value: Any, options: tuple[Any, ...]) -> Any:
    converted = (_converted(value, option) for option in options)
    return next((found for found in converted if found is not None), None)


def _converted(value: Any, option: Any) -> Any:
    """The value as one type, or None if it does not fit."""
    inner = typing.get_args(option)
    if typing.get_origin(option) is tuple:
        return _converted_tuple(value, inner)
    if inner and isinstance(value, dict):
        entries = {name: _converted(entry, inner[1]) for name, entry in value.items()}
        return None if None in entries.values() else entries
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


def _value_of(word: str, hint: Any) -> Any:
    """A word as TOML would give it to a field of this type; unchanged if it does not fit."""
    for option in _options(hint):
        if typing.get_origin(option) is tuple:
            return [_value_of(part, typing.get_args(option)[0]) for part in word.split("+")]
        if option is bool and word in ("true", "false"):
            return word == "true"
        if option in (int, float):
            try:
                return option(word)
            except ValueError:
                return word
    return word


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}


def _wanted(options: tuple[Any, ...]) -> str:
    """What a field takes, in words."""
    return " or ".join(_word(option) for option in options if option is not type(None))


def _word(option: Any) -> str:
    inner = typing.get_args(option)
    if typing.get_origin(option) is tuple:
        if inner[1:] == (...,):
            return f"a list of entries, each {_word(inner[0])}"
        return f"a list of {len(inner)}, each {_word(inner[0])}"
    if inner:
        return f"a table whose entries are each {_word(inner[1])}"
    if issubclass(option, Enum):
        return "one of " + ", ".join(repr(choice.value) for choice in option)
    return _WORDS[option]
