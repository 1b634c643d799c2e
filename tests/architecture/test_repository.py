"""Facts about the repository's own files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from repository import ROOT, packages_on_disk, python_files, text_files

LONGEST_FILE = 450  # lines; past about 400 a file usually holds two ideas

# A path of one machine works nowhere else, and a registry's host is the installer's choice.
MACHINE_PATH = re.compile(r"(?<![\w.}*])/(?:work|tmp|root)/")
REGISTRY_HOST = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|download\.pytorch\.org|npmjs\.org|deb\.debian\.org|archive\.ubuntu\.com|anaconda\.org)\b"
)


def _places(pattern: re.Pattern[str], files: tuple[Path, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def _listed_packages() -> set[str]:
    # tomllib came with Python 3.11; this list is one literal
    table = re.search(
        r"^packages = (\[.*?^\])", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    assert table is not None
    return set(ast.literal_eval(table.group(1)))


def test_pyproject_lists_exactly_the_packages_on_disk() -> None:
    assert _listed_packages() == packages_on_disk()


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
