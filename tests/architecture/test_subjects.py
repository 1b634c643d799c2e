"""Commits' subjects are held to their length, by history and by hook."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import needs
import pytest
from repository import ROOT

SCRIPT = ROOT / ".ci" / "subjects"
LONG = "area: " + "x" * 66  # 72 characters
AUTHOR = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A repository whose first commit is older than the rule, and too long."""
    needs.program("git", debian="git")
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", LONG)
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci" / "subjects")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "ci: hold subjects to their length")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    environment = {**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", str(folder), *words], check=True, env=environment)


def judged(folder: Path, *words: str) -> tuple[int, str]:
    """Status and stderr of the script in a folder."""
    command = [str(folder / ".ci" / "subjects"), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stderr


def test_a_long_subject_is_told_once_the_rule_is_there(history: Path) -> None:
    assert judged(history) == (0, "")
    git(history, "commit", "-q", "--allow-empty", "-m", LONG[:-1], "-m", "body " * 40)
    assert judged(history) == (0, "")
    git(history, "commit", "-q", "--allow-empty", "-m", LONG)
    assert judged(history) == (1, f"subject of 72 characters or more, shorten it:\n{LONG}\n")


def test_what_a_release_holds_is_not_judged_again(history: Path) -> None:
    git(history, "commit", "-q", "--allow-empty", "-m", LONG)
    git(history, "tag", "v0.1.0")
    assert judged(history) == (0, "")


def test_a_message_is_judged_before_it_is_committed(history: Path, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_text(f"# a comment of git's\n{LONG}\n\nbody\n")
    assert judged(history, str(message))[0] == 1
    message.write_text(f"{LONG[:-1]}\n\n{'body ' * 40}\n")
    assert judged(history, str(message)) == (0, "")


def test_without_a_history_there_is_nothing_to_judge(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci" / "subjects")
    assert judged(tmp_path) == (0, "")
