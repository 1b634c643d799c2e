"""`import bitlathe` is light, gives what it says, and nothing behind the command line prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT, files_below

import bitlathe

BELOW = [
    path
    for room in ("board", "flow", "hls", "model")
    for path in files_below(room, "*.py")
    if path.relative_to(ROOT).parts[:2] != ("flow", "cli")
]
# Programs of their own: a board has no command line of ours, and the simulated one speaks through its pipes.
PROGRAMS = {
    "board/__main__.py",
    "board/agent.py",
    "board/worker.py",
    "board/sim/__main__.py",
    "board/sim/options.py",
}
FORBIDDEN = {"typer", "rich", "click"}


def test_importing_it_loads_neither_torch_nor_the_rest() -> None:
    program = "import bitlathe, sys; print(sorted({'torch', 'numpy', 'rich', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_scikit_learn_is_loaded_only_where_it_is_used() -> None:
    program = (
        "import sys, bitlathe, bitlathe.flow.cli.main, bitlathe.flow.network.integer_network\n"
        "[getattr(bitlathe, name) for name in bitlathe.__all__]\n"
        "print({'torch', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "{'torch'}\n"


def test_every_name_it_lists_is_there_and_described() -> None:
    assert set(bitlathe.__all__) == set(bitlathe._HOME) <= set(dir(bitlathe))
    for name in bitlathe.__all__:
        assert getattr(bitlathe, name).__doc__, name


def test_its_names_for_the_type_checker_are_those_that_are_loaded() -> None:
    tree = ast.parse((ROOT / "flow" / "bitlathe" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == bitlathe._HOME


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'bitlathe' has no attribute 'quantise'"):
        bitlathe.quantise  # noqa: B018


def test_its_types_are_shipped() -> None:
    assert (ROOT / "flow" / "bitlathe" / "py.typed").exists()


def objections(path: Path) -> list[str]:
    """Places where a module prints, ends the process, or uses what draws on a terminal."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            names = [called] if called in ("print", "sys.exit", "exit", "quit", "input", "os._exit") else []
            if called in ("sys.stdout.write", "sys.stderr.write", "logging.basicConfig"):
                names = [called]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module.split(".")[0] in FORBIDDEN else []
            names += [node.module] if node.module.startswith("bitlathe.flow.cli") else []
        elif isinstance(node, ast.Raise) and node.exc is not None:
            names = ["SystemExit"] if ast.unparse(node.exc).startswith("SystemExit") else []
        found += [f"{path.relative_to(ROOT)}:{node.lineno}: {name}" for name in names]
    return found


@pytest.mark.parametrize("path", BELOW, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_below_the_command_line_prints_or_exits(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() not in PROGRAMS:
        assert objections(path) == []


def test_printing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "some.py"
    file.write_text("from rich import console\nprint(1)\nsys.exit()\nraise SystemExit(2)\n")
    found = [line.partition(": ")[2] for line in objections(file)]
    assert sorted(found) == ["SystemExit", "print", "rich", "sys.exit"]
