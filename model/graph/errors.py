"""One family of errors; a message says what is wrong, where, and how to mend it."""

from collections import defaultdict
from collections.abc import Sequence


class BitlatheError(Exception):
    """Base of every error that a user can cause or fix; commands print it as a line for each problem."""


class FormatError(BitlatheError):
    """A file or a fixed-point format is not what it should be (damaged, foreign, out of range)."""


class UnsupportedLayer(BitlatheError):
    """A layer or operation has no exact integer form here."""


class ShapeError(BitlatheError):
    """A tensor does not have the required shape."""


class OverflowRisk(BitlatheError):
    """An accumulator could leave its range for some input."""


class CapacityError(BitlatheError):
    """A network, map or program is larger than the store or window that must hold it."""


class DataError(BitlatheError):
    """A data set or checkpoint is missing, damaged or of another network."""


class MissingData(DataError):
    """The data set is absent or damaged."""


class ToolError(BitlatheError):
    """A tool is missing or failed."""


def first_of(names: Sequence[object], most: int = 3) -> str:
    """The first few names, and how many more there are.

    >>> first_of(["a", "b"]), first_of("abcde")
    ('a, b', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


_NAMED = 3  # places of equal problems behind the first


def together(errors: Sequence[BitlatheError], whose: str) -> BitlatheError:
    """One error, of the first one's kind, for all that is wrong with something: a line each below a head.

    Messages are PLACE: PROBLEM; equal problems share a line, which counts them.

    >>> print(together([BitlatheError(f"{place}: is odd; drop it") for place in ("a", "b", "c")], "net"))
    net: 3 problems
      a: is odd; drop it (and 2 more of the same, in b, c)
    """
    if len(errors) == 1:
        return errors[0]
    places = defaultdict[str, list[str]](list)
    for error in errors:
        place, _, problem = str(error).partition(": ")
        places[problem].append(place)
    lines = [f"  {where[0]}: {problem}{_also(where)}" for problem, where in places.items()]
    return type(errors[0])("\n".join([f"{whose}: {len(errors)} problems", *lines]))


def _also(places: Sequence[str]) -> str:
    """Words for the places behind the first, without the line where that is the first one's."""
    if len(places) == 1:
        return ""
    line, separator, _ = places[0].partition(" in ")
    rest = [place.removeprefix(f"{line}{separator}") if separator else place for place in places[1:]]
    more = ", ..." if len(rest) > _NAMED else ""
    return f" (and {len(rest)} more of the same, in {', '.join(rest[:_NAMED])}{more})"
