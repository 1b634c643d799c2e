"""The command line in this process, for tests: what a command prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import typer.main
from typer.testing import CliRunner

from bitlathe.flow.cli.main import app

# The smallest network that is trained and comes with the package, calibrated on few images.
LENET = ("--network", "lenet5", "--calibration", "16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished command."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        values: dict[str, Any] = json.loads(self.stdout)
        return values


COMMANDS: Mapping[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group has them
Run = Callable[..., Outcome]


def run(*words: object) -> Outcome:
    """Run `bitlathe` with these words; an error that is not ours is raised unchanged."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return Outcome(status=result.exit_code, stdout=result.stdout, stderr=result.stderr)


def complaint(name: str, *words: str) -> str | None:
    """What the argument parser finds wrong with a command's words, None if nothing; nothing is run."""
    if name not in COMMANDS:
        return f"no command {name}"
    try:
        COMMANDS[name].make_context(name, list(words))
    except Exception as error:  # of click or of its copy in typer, by version
        return str(error) or type(error).__name__
    return None
