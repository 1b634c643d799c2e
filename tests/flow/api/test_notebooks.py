"""The notebooks of examples/notebooks run from top to bottom, by the public names of `bitlathe` alone."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import needs
import pytest
from repository import ROOT

import bitlathe

nbformat = needs.package("nbformat")
nbclient = needs.package("nbclient")
needs.package("ipykernel")

FOLDER = ROOT / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LIBRARIES = {"matplotlib", "pathlib", "torch"}
SECONDS = 600  # for a cell; the first that simulates compiles the simulator


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """A notebook after its run, in a repository of links, so that what it writes is nobody else's."""
    notebook: Path = request.param
    folder = tmp_path / "examples" / "notebooks"
    folder.mkdir(parents=True)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    (tmp_path / "examples" / "detection").symlink_to(ROOT / "examples" / "detection")
    shutil.copy(notebook, folder)
    if notebook.stem == "detection":
        monkeypatch.setenv("BITLATHE_DATA", str(request.getfixturevalue("data_root")))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # else jupyter_core warns that it will be so
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    content = nbformat.read(folder / notebook.name, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    handler = signal.getsignal(signal.SIGINT)  # which nbclient does not put back
    try:
        nbclient.NotebookClient(content, timeout=SECONDS, resources=resources).execute(env=dict(os.environ))
    finally:
        signal.signal(signal.SIGINT, handler)
    return content


def printed(notebook: Any) -> str:
    """What its cells print or show as text."""
    made = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(output.get("text") or output.data.get("text/html", "") for output in made)


def by_name(name: str) -> pytest.MarkDecorator:
    """The test's notebook."""
    return pytest.mark.parametrize("executed", [FOLDER / f"{name}.ipynb"], indirect=True, ids=[name])


def code_of(path: Path) -> list[str]:
    """Text of the code cells."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@by_name("from_pytorch")
def test_a_network_goes_from_pytorch_to_the_simulated_board(executed: Any) -> None:
    assert "every integer matches" in printed(executed)


@by_name("search_under_a_budget")
def test_a_search_meets_its_budget(executed: Any) -> None:
    assert "every integer matches" in printed(executed)


@by_name("detection")
def test_boxes_of_the_simulated_hardware_are_drawn(executed: Any) -> None:
    shown = printed(executed)
    assert "every integer matches" in shown
    assert shown.count("<svg") == 2 and shown.count("<rect") >= 4


@by_name("on_the_board")
def test_a_simulated_board_measures_without_a_difference(executed: Any) -> None:
    assert "0 integers differ" in printed(executed) and "agent.sh" in printed(executed)


def test_every_notebook_has_a_test_that_runs_it() -> None:
    run = re.findall(r'^@by_name\("(\w+)"\)$', Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(run) == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_without_outputs_and_uses_public_names_alone(path: Path) -> None:
    content = nbformat.read(path, as_version=4)
    nbformat.validate(content)
    assert not [cell for cell in content.cells if cell.get("outputs") or cell.get("execution_count")]
    for node in (node for code in code_of(path) for node in ast.walk(ast.parse(code))):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= {"bitlathe", *LIBRARIES}
            assert not [alias for alias in node.names if alias.name.startswith("bitlathe.")]
        elif isinstance(node, ast.ImportFrom):
            assert str(node.module).partition(".")[0] in LIBRARIES
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.value.id != "bitlathe" or node.attr in bitlathe.__all__
