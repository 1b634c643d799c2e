"""Reading JSON from outside into typed values, with an error that names the field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from bitlathe.board.errors import BundleError
from bitlathe.board.text import MOST_SHOWN, one_line, shown

MOST_DIGITS = 40  # of an integer: longer ones take quadratic time to read, and mean nothing here
LARGEST = (1 << 63) - 1  # of an integer


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonFields:
    """One JSON object and where it stands; every reader raises BundleError for what it does not expect."""

    where: str
    values: Mapping[str, Any]

    @classmethod
    def parse(cls, text: bytes | str, where: str) -> JsonFields:
        """The object that a JSON text holds."""
        try:
            return cls.of(json.loads(text, parse_int=_integer, parse_constant=_constant), where)
        except (ValueError, RecursionError) as error:
            raise BundleError(
                f"{where}: is not JSON ({one_line(str(error), MOST_SHOWN)}); make it again"
            ) from error

    @classmethod
    def of(cls, value: object, where: str) -> JsonFields:
        """A parsed value that must be an object."""
        if not isinstance(value, dict):
            raise BundleError(f"{where}: is a JSON {type(value).__name__}, needed an object; make it again")
        return cls(where=where, values=value)

    def text(self, name: str) -> str:
        """A string."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a string")
        return value

    def integer(self, name: str, low: int = 0, high: int = LARGEST) -> int:
        """An integer in low..high."""
        value = self._value(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(name, value, f"an integer in {low}..{high}")
        return value

    def number(self, name: str) -> float:
        """A positive, finite number."""
        value = self._value(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise self._wrong(name, value, "a positive number")
        return float(value)

    def any_number(self, name: str) -> float:
        """A finite number."""
        value = self._value(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._wrong(name, value, "a number")
        return value

    def flag(self, name: str) -> bool:
        """A boolean."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def fields(self, name: str) -> JsonFields:
        """An object inside this one."""
        return JsonFields.of(self._value(name), f"{self.where}: {one_line(name, MOST_SHOWN)}")

    def items(self, name: str) -> Iterator[JsonFields]:
        """The objects of a list."""
        for index, value in enumerate(self._list(name)):
            yield JsonFields.of(value, f"{self.where}: {name}[{index}]")

    def integers(self, name: str) -> tuple[int, ...]:
        """A list of integers that are not negative."""
        values = self._list(name)
        if not all(type(value) is int and 0 <= value <= LARGEST for value in values):
            raise self._wrong(name, values, f"a list of integers in 0..{LARGEST}")
        return tuple(values)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, values, "a list of strings")
        return tuple(values)

    def mapping(self, name: str) -> dict[str, int]:
        """An object of integers."""
        inner = self.fields(name)
        return {key: inner.integer(key) for key in inner.values}

    def _list(self, name: str) -> list[Any]:
        value = self._value(name)
        if not isinstance(value, list):
            raise self._wrong(name, value, "a list")
        return value

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise BundleError(
                f"{self.where}: field {one_line(name, MOST_SHOWN)} is missing; "
                "make it again with this version"
            )
        return self.values[name]

    def _wrong(self, name: str, value: object, needed: str) -> BundleError:
        return BundleError(
            f"{self.where}: field {one_line(name, MOST_SHOWN)} is {shown(value)}, needed {needed}"
        )


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
