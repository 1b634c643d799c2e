"""The notebook's cells run from top to bottom on a simulated board."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import needs
import numpy as np
from board_bundles import bundle_folder
from repository import ROOT

from bitlathe.flow.boards.bundle import make_bundle, simulated_overlay
from bitlathe.flow.boards.latency import random_vectors
from bitlathe.hls.target.config import TARGETS
from bitlathe.hls.tools.scripts import EngineKind
from bitlathe.rtl_tb.random_networks.graphs import random_graph

needs.package("pynq")
needs.package("matplotlib")
UNSIGNED = 4  # seed of a graph whose input is
NOTEBOOK = ROOT / "board" / "notebooks" / "classify.ipynb"


def test_the_notebook_runs_on_a_simulated_board(tmp_path: Path) -> None:
    done = _run(tmp_path, bundle_folder("pynq-z2"))
    assert done.returncode == 0, done.stderr
    assert "clock 142.857 MHz; 0 output integers differ" in done.stdout
    assert re.search(r"engine 0\.2\d+ ms, processor \d+\.\d+ ms for the same integers", done.stdout)


def test_the_notebook_runs_without_a_profile_and_with_unsigned_codes(
    tmp_path: Path,
) -> None:
    target = TARGETS["pynq-z2"]
    graph = random_graph(np.random.default_rng(UNSIGNED))
    assert not graph.input.format.signed
    overlay = replace(simulated_overlay(target), kind=EngineKind.HLS)
    done = _run(tmp_path, make_bundle(graph, target, overlay, random_vectors(graph), tmp_path).folder)
    assert done.returncode == 0, done.stderr
    assert "this engine writes no profile; " in done.stdout


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


def _run(folder: Path, bundle: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "classify.py"
    script.write_text("\n".join(_code()))
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bitlathe.board.sim", "--board", "pynq-z2", str(script)],
        env={**os.environ, "BITLATHE_BUNDLE": str(bundle), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )


def _code() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
