"""docs/licences.md lists every dependency with the licence that it says it has."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata

from repository import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ROWS = re.findall(
    r"^\| ([\w.-]+) \| ([^|]+) \| ([^|]+) \|$",
    (ROOT / "docs" / "licences.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
LISTED = {name: (licence, place) for name, licence, place in ROWS if name not in ("package", "---")}
FAMILY = re.compile(
    r"Apache|BSD|MIT|ISC|MPL|Python Software Foundation|General Public License", re.IGNORECASE
)


def required() -> dict[str, set[str]]:
    """The extras that name each package; none of those that are always installed."""
    found: dict[str, set[str]] = {}
    for extra, lines in {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}.items():
        for line in lines:
            name = re.match(r"[\w.-]+", line)
            assert name
            found.setdefault(name[0], set()).update({extra} - {""})
    return found


def test_every_dependency_is_listed_with_its_extras() -> None:
    assert LISTED.keys() == required().keys()
    for name, extras in required().items():
        assert set(re.findall(r"`(\w+)`", LISTED[name][1])) == extras, name


def test_the_licences_that_are_listed_are_the_packages_own() -> None:
    told = {name: text for name in LISTED if (text := own_words(name)) is not None}
    assert len(told) > 30  # the others are of an extra that is not installed, or of another Python
    for name, text in told.items():
        family = FAMILY.search(LISTED[name][0])
        assert family and family[0].lower() in text.lower(), f"{name}: {text[:200]}"


def own_words(name: str) -> str | None:
    """What an installed package says of its licence."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return None
    told = [about.get(field) or "" for field in ("License-Expression", "License")]
    return " ".join([*told, *(about.get_all("Classifier") or [])])
