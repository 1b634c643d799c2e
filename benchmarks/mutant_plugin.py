"""A pytest plugin: which lines each test runs, how long it takes, and which fails first.

Loaded by `-p mutant_plugin`. Writes an object of its findings to the file that BITLATHE_MUTANT_REPORT names;
lines are watched where BITLATHE_MUTANT_LINES names the folders they are in.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

REPORT, LINES = "BITLATHE_MUTANT_REPORT", "BITLATHE_MUTANT_LINES"


class Watch:
    """Seconds, end and lines of each test."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.ends: dict[str, str] = {}  # passed, skipped or the words of a failure
        self.failed: list[str] = []  # in the order in which they failed
        self.coverage = _coverage()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        if self.coverage:
            self.coverage.switch_context(item.nodeid)
        yield
        if self.coverage:
            self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self._fails(report.nodeid, report.longreprtext)
        elif report.skipped or report.when == "call":
            self.ends.setdefault(report.nodeid, report.outcome)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._fails(report.nodeid, report.longreprtext)

    def pytest_sessionfinish(self) -> None:
        lines: dict[str, dict[str, list[int]]] = {}
        if self.coverage:
            self.coverage.stop()
            data = self.coverage.get_data()
            for file in data.measured_files():
                name = str(Path(file).relative_to(Path.cwd()))
                for line, contexts in data.contexts_by_lineno(file).items():
                    for test in filter(None, contexts):
                        lines.setdefault(test, {}).setdefault(name, []).append(line)
        found = {"seconds": self.seconds, "ends": self.ends, "failed": self.failed, "lines": lines}
        Path(os.environ[REPORT]).write_text(json.dumps(found), encoding="utf-8")

    def _fails(self, test: str, words: str) -> None:
        self.failed.append(test)
        self.ends[test] = words


def _coverage() -> Any:
    """What watches the lines of the folders, started before any of them is imported."""
    folders = os.environ.get(LINES, "").split()
    if not folders:
        return None
    from coverage import Coverage

    made = Coverage(
        data_file=None, config_file=False, include=[f"{Path.cwd()}/{folder}/*" for folder in folders]
    )
    made.start()
    return made


def pytest_configure(config: pytest.Config) -> None:
    if REPORT in os.environ:
        config.pluginmanager.register(_WATCH)
    # A fault is found once an example fails; a smaller example would cost minutes and tell nothing more.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", settings.get_profile("bitlathe"), phases=phases)
    settings.load_profile("mutants")


_WATCH = Watch()
