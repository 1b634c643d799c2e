"""Skipping tests whose requirements are missing: one way to do it, reported at the end of every run.

A pytest plugin, which `conftest.py` loads. With BITLATHE_REQUIRE_TOOLS=1, as CI sets it, a test that is
skipped for want of a tool fails; only what cannot be installed may then be missing.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections import Counter
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

REQUIRE_VARIABLE = "BITLATHE_REQUIRE_TOOLS"


class Uninstallable(pytest.skip.Exception):
    """A test is skipped for what cannot be installed: data beside the clone, or the account of root."""


def package(name: str) -> Any:
    """The module of a package; without it the test is skipped, or the file with the call at its top."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of a package while it is loaded are its own affair
            return import_module(name)
    except ImportError as missing:
        pytest.skip(
            f"{name} cannot be imported ({missing}); .venv/bin/python -m pip install -e '.[dev,board]'",
            allow_module_level=True,
        )


def program(*names: str, debian: str) -> str:
    """Path of the first of some programs that is there; `debian` is the package that brings it."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"{' or '.join(names)} is not installed (Debian, Ubuntu: apt-get install {debian})")
    return found


def nvidia_gpu() -> None:
    """A GPU that PyTorch can use."""
    if not package("torch").cuda.is_available():
        pytest.skip("no NVIDIA GPU")


def root() -> None:
    """The account that may make devices and give files away."""
    if os.getuid() != 0:
        raise Uninstallable("not run as root")


def data(path: Path, what: str) -> Path:
    """A file or folder beside the clone; without it the test is skipped."""
    if not path.exists():
        raise Uninstallable(what)
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a test that is skipped into a failure where tools are required."""
    report = yield
    return _judged(report, call, item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Likewise for a whole file."""
    report = yield
    return _judged(report, getattr(report, "call", None), collector.nodeid)


def _judged(report: Any, call: pytest.CallInfo[Any] | None, name: str) -> Any:
    is_skipped = report.outcome == "skipped" and not hasattr(report, "wasxfail")
    raised = call.excinfo if call is not None else None
    if (
        not is_skipped
        or not os.environ.get(REQUIRE_VARIABLE)
        or (raised and raised.errisinstance(Uninstallable))
    ):
        return report
    report.outcome = "failed"
    report.longrepr = f"{name}: skipped, which {REQUIRE_VARIABLE} forbids: {_reason(report)}"
    return report


def _reason(report: Any) -> str:
    """Why a test was skipped."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    return str(reason).removeprefix("Skipped: ").removeprefix("needs.Uninstallable: ")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """End a run with a line of how many tests were skipped, and why."""
    yield
    terminal: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not session.config.option.collectonly:
        terminal.write_line(skipped([_reason(report) for report in terminal.stats.get("skipped", ())]))


def skipped(reasons: list[str]) -> str:
    """The line of a run that skipped tests for these reasons.

    >>> skipped(["no GPU", "no data", "no data"])
    'skipped: 3 (2: no data; 1: no GPU)'
    >>> skipped([])
    'skipped: 0'
    """
    by_number = "; ".join(f"{number}: {reason}" for reason, number in Counter(reasons).most_common())
    return f"skipped: {len(reasons)}" + (f" ({by_number})" if reasons else "")
