"""A test that changes its process for those behind it fails, and says what it changed."""

from __future__ import annotations

import doctest
import logging
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import traces
from repository import ROOT

LEAKS = {
    "working folder": "os.chdir('/')",
    "sys.path": "sys.path.append('/')",
    "sys.argv": "sys.argv.append('x')",
    "variable BITLATHE_X": "os.environ['BITLATHE_X'] = '1'",
    "variable HOME": "del os.environ['HOME']",
    "logging's level": "logging.getLogger().setLevel(logging.CRITICAL)",
    "logging's disabled level": "logging.disable()",
    "handler of an interrupt": "signal.signal(signal.SIGINT, signal.SIG_DFL)",
    "NumPy's treatment of errors": "np.seterr(all='ignore')",
    "torch's default type": "torch.set_default_dtype(torch.float64)",
    "torch's recording of gradients": "torch.set_grad_enabled(False)",
    "torch's deterministic algorithms": "torch.use_deterministic_algorithms(True)",
}
MODULES = (logging, np, os, random, signal, sys, torch)


def test_what_leaks_fails_its_test_and_is_named(tmp_path: Path) -> None:
    lines = [f"import {', '.join(module.__name__ for module in MODULES)}".replace("numpy", "numpy as np")]
    for number, leak in enumerate(LEAKS.values()):
        lines += [f"def test_{number}():", f"    {leak}"]
    lines += ["def test_that_leaves_nothing(monkeypatch):", "    monkeypatch.setenv('BITLATHE_Y', '1')"]
    (tmp_path / "test_some.py").write_text("\n".join(lines))
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}
    words = ["-m", "pytest", "-q", "-p", "traces", "-p", "no:cacheprovider", "test_some.py"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=surroundings, capture_output=True, text=True
    )
    assert f"{len(LEAKS) + 1} passed, {len(LEAKS)} errors" in done.stdout
    for name in LEAKS:
        assert f"left behind, where the next test meets it: {name}: " in done.stdout


@pytest.mark.parametrize("order", ["first", "second"])
def test_the_global_generators_start_alike_in_every_test(order: str) -> None:
    drawn = random.random(), float(np.random.random()), float(torch.rand(()))
    expected = random.Random(0).random(), np.random.RandomState(0).random()
    assert drawn == (*expected, float(torch.rand((), generator=torch.Generator().manual_seed(0))))


@pytest.mark.parametrize("number", [2, 3])
def test_every_test_starts_with_the_threads_of_the_run(number: int) -> None:
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(number)


def test_what_a_library_sets_when_it_is_loaded_is_its_own() -> None:
    before = {"variable HOME": "a"}
    assert traces.changes(before, {**before, "variable OTHER": "1", "torch's default type": "x"}) == []


def test_the_example_holds() -> None:
    assert doctest.testmod(traces).attempted and not doctest.testmod(traces).failed
