"""The repository as the architecture tests see it: its rooms, its files, its packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("board", "flow", "hls", "model", "rtl_tb")
NAMESPACE = "bitlathe"
FACE = ROOT / "flow" / NAMESPACE  # the package of that name itself, whose subpackages the rooms are

_FOLDERS = (*ROOMS, "tests", "benchmarks", "docs", "examples", ".ci")
_MADE = {"__pycache__", "build", "sim_build"}  # folders that hold what tools made
_TEXT = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".sv",
    ".svh",
    ".j2",
    ".cpp",
    ".hpp",
    ".h",
    ".tcl",
    ".yaml",
    ".yml",
    ".sh",
    "",
}


def files_below(folder: str, pattern: str = "*") -> Iterator[Path]:
    """Files under a top-level folder in a stable order, without what tools made."""
    for path in sorted((ROOT / folder).rglob(pattern)):
        if path.is_file() and not _MADE.intersection(path.relative_to(ROOT).parts):
            yield path


def python_files() -> tuple[Path, ...]:
    """Every Python file that we wrote."""
    return (*ROOT.glob("*.py"), *(path for folder in _FOLDERS for path in files_below(folder, "*.py")))


def text_files() -> tuple[Path, ...]:
    """Every file of text that we wrote, those at the root included."""
    below = (path for folder in _FOLDERS for path in files_below(folder))
    at_root = (path for path in sorted(ROOT.iterdir()) if path.is_file() and path.name != ".git")
    return tuple(path for path in (*at_root, *below) if path.suffix in _TEXT)


def packages_on_disk() -> set[str]:
    """Import names of the folders below the rooms that hold an `__init__.py`, and of all of them together."""
    inits = (path for room in ROOMS for path in files_below(room, "__init__.py") if path.parent != FACE)
    return {NAMESPACE, *(".".join((NAMESPACE, *path.parent.relative_to(ROOT).parts)) for path in inits)}
