"""A run tells what it skipped and why; where tools are required, a skip for want of one is a failure."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path

import needs
import pytest
from repository import ROOT

TOOL = "no-such-tool is not installed (Debian, Ubuntu: apt-get install tools)"
PACKAGE = "no_such_package cannot be imported (No module named 'no_such_package')"
TESTS = """
from pathlib import Path
import needs
import pytest

def test_of_a_tool(): needs.program("no-such-tool", debian="tools")
def test_of_the_same_tool(): needs.program("no-such-tool", debian="tools")
def test_of_a_package(): needs.package("no_such_package")
def test_of_data(): needs.data(Path("/no/such/data"), "no data")
def test_of_the_same_data(): needs.data(Path("/no/such/data"), "no data")
def test_of_other_data(): needs.data(Path("/no/such/data"), "no data")
def test_with_a_reason_of_its_own(): pytest.skip("no tool")

@pytest.mark.skip(reason="no tool")
def test_that_is_marked(): pass

@pytest.mark.skipif(True, reason="no tool")
def test_that_is_marked_by_a_condition(): pass

@pytest.fixture
def tool(): needs.program("no-such-tool", debian="tools")

def test_with_a_fixture(tool): pass
def test_that_needs_nothing(): pass
"""


def run_of(tests: str, folder: Path, *, required: bool) -> tuple[int, list[str]]:
    """Status and last lines of a run of a file of tests."""
    (folder / "test_some.py").write_text(tests)
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}
    surroundings.pop(needs.REQUIRE_VARIABLE, None)
    if required:
        surroundings[needs.REQUIRE_VARIABLE] = "1"
    words = ["-m", "pytest", "-q", "-p", "needs", "-p", "no:cacheprovider", "test_some.py"]
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=surroundings, capture_output=True, text=True
    )
    return done.returncode, done.stdout.splitlines()[-2:]


def test_a_run_ends_with_what_it_skipped_and_why(tmp_path: Path) -> None:
    status, (counts, line) = run_of(TESTS, tmp_path, required=False)
    assert (status, counts[:21]) == (0, "1 passed, 10 skipped ")
    reasons = (
        f"3: {TOOL}; 3: no data; 3: no tool; 1: {PACKAGE}; .venv/bin/python -m pip install -e '.[dev,board]'"
    )
    assert line == f"skipped: 10 ({reasons})"


def test_where_tools_are_required_only_data_may_be_missing(tmp_path: Path) -> None:
    status, (counts, line) = run_of(TESTS, tmp_path, required=True)
    assert (status, counts[:40]) == (1, "4 failed, 1 passed, 3 skipped, 3 errors ")  # errors before the test
    assert line == "skipped: 3 (3: no data)"


def test_where_tools_are_required_no_file_is_skipped_either(tmp_path: Path) -> None:
    tests = "import needs\nneeds.package('no_such_package')\ndef test_one(): pass\n"
    assert run_of(tests, tmp_path, required=False)[0] == pytest.ExitCode.NO_TESTS_COLLECTED
    status, (counts, line) = run_of(tests, tmp_path, required=True)
    assert (status, counts[:8], line) == (pytest.ExitCode.INTERRUPTED, "1 error ", "skipped: 0")


def test_what_is_there_is_handed_out() -> None:
    assert needs.package("json").loads("1") == 1
    assert needs.program("no-such-tool", "sh", debian="dash").endswith("/sh")
    assert needs.data(ROOT, "no repository") == ROOT


def test_the_example_holds() -> None:
    assert doctest.testmod(needs).attempted and not doctest.testmod(needs).failed


def test_ci_ends_with_a_line_where_a_tool_cannot_be_had(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "id"):
        (tmp_path / name).symlink_to(needs.program(name, debian="coreutils"))
    done = subprocess.run([ROOT / ".ci" / "run"], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"{ROOT}/.ci/run: g++ is missing, tests need it, and it could not be installed "
        "(no apt-get, or not root); install it\n"
    )
