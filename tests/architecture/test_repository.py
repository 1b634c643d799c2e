"""Facts about the repository's own files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from repository import FACE, ROOMS, ROOT, files_below, packages_on_disk, python_files, text_files

DATA_PACKAGES = {"bitlathe.examples.search"}  # no code: what `bitlathe demo` searches by
LONGEST_FILE = 450  # lines; past about 400 a file usually holds two ideas

# A path of one machine works nowhere else, and a registry's host is the installer's choice.
MACHINE_PATH = re.compile(r"(?<![\w.}*])/(?:work|tmp|root)/")
REGISTRY_HOST = re.compile(
    r"\b(?:(?:pypi|pythonhosted|pytorch|npmjs|anaconda)\.org|(?:deb|archive)\.(?:debian|ubuntu)\.(?:org|com))\b"
)


def _places(pattern: re.Pattern[str], files: tuple[Path, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def _literal(pattern: str) -> list[tuple[str, list[str]]]:
    """Key and list for each line of pyproject.toml that fits; tomllib came only with Python 3.11."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.findall(rf"^{pattern} = (\[.*?\]$)", text, re.MULTILINE | re.DOTALL)
    return [(key, ast.literal_eval(value)) for key, value in found]


def _files_that_an_install_brings() -> set[Path]:
    patterns = _literal(rf'"bitlathe(|\.(?:{"|".join(ROOMS)}))"')
    folders = [(ROOT / name[1:] if name else FACE, globs) for name, globs in patterns]
    return {path for folder, globs in folders for glob in globs for path in folder.glob(glob)}


def test_pyproject_lists_exactly_the_packages_on_disk() -> None:
    ((_, listed),) = _literal("(packages)")
    assert set(listed) == packages_on_disk() | DATA_PACKAGES
    assert listed == sorted(listed)


def test_an_install_brings_every_file_that_is_not_python() -> None:
    others = {path for name in ROOMS for path in files_below(name) if path.suffix != ".py"}
    assert others - _files_that_an_install_brings() == set()


def test_the_newest_release_of_the_changelog_is_the_version() -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    released = re.search(
        r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert version is not None and released is not None
    assert version[1] == released[1]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _places(MACHINE_PATH, text_files()) == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert _places(REGISTRY_HOST, text_files()) == []


def test_no_python_file_holds_two_ideas() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in python_files()
    }
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


@pytest.mark.parametrize("text", ["open('{}tmp/x')", "cd {}work/here", "'{}root/.cache'"])
def test_a_path_of_one_machine_is_recognised(text: str) -> None:
    assert MACHINE_PATH.search(text.format("/"))


@pytest.mark.parametrize(
    "text", ["frame/work/x", "build/tmp/x", "/home/xilinx/", "{out}/tmp/", "https://host.example/a"]
)
def test_another_path_is_left_alone(text: str) -> None:
    assert not MACHINE_PATH.search(text)
