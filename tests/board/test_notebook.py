"""The notebook's cells run from top to bottom on a simulated board."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from board_bundles import bundle_folder
from repository import ROOT

pytest.importorskip("pynq", exc_type=ImportError)
pytest.importorskip("matplotlib")
NOTEBOOK = ROOT / "board" / "notebooks" / "classify.ipynb"


def test_the_notebook_runs_on_a_simulated_board(tmp_path: Path) -> None:
    script = tmp_path / "classify.py"
    script.write_text("\n".join(_code()))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bitlathe.board.sim", "--board", "pynq-z2", str(script)],
        env={**os.environ, "BITLATHE_BUNDLE": str(bundle_folder("pynq-z2")), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "clock 142.857 MHz; 0 output integers differ" in done.stdout
    assert re.search(r"engine 0\.2\d+ ms, processor \d+\.\d+ ms for the same integers", done.stdout)


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def _code() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
