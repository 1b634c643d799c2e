"""State that a test could change for later ones in its process: compared before and after each test.

A pytest plugin, which `conftest.py` loads.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

OURS = "BITLATHE_"  # variables that we read; a library may set others of its own when a test first loads it


def traces() -> dict[str, Any]:
    """State of the process that outlives a test, by name."""
    root = logging.getLogger()
    found: dict[str, Any] = {
        "working folder": os.getcwd(),
        "sys.path": [entry for entry in sys.path if "site-packages" not in entry],  # those are libraries' own
        "sys.argv": list(sys.argv),
        "logging's level": root.level,
        "logging's disabled level": root.manager.disable,
        "handler of an interrupt": signal.getsignal(signal.SIGINT),
        "NumPy's treatment of errors": np.geterr(),
    }
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    found |= {f"variable {name}": value for name, value in variables.items()}
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        found |= {
            "torch's default type": torch.get_default_dtype(),
            "torch's recording of gradients": torch.is_grad_enabled(),
            "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        }
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The differences, a line each; variables and settings that a library brought do not count.

    >>> changes({"working folder": "/a"}, {"working folder": "/b"})
    ["working folder: '/a' became '/b'"]
    """
    names = [*before, *(name for name in after if name.startswith(f"variable {OURS}") and name not in before)]
    return [
        f"{name}: {before.get(name)!r} became {after.get(name)!r}"
        for name in names
        if before.get(name) != after.get(name)
    ]


@pytest.hookimpl(tryfirst=True)  # before the fixtures of a file or a run, which may draw too
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let every test start with equal global generators and threads, whatever those before it did."""
    random.seed(0)
    np.random.seed(0)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(0)
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # a training sets its own


@pytest.fixture(autouse=True)
def leaves_no_trace() -> Iterator[None]:
    """Fail a test that changes its process for those behind it: the first fixture, so the last to end."""
    before = traces()
    yield
    left = changes(before, traces())
    assert not left, "left behind, where the next test meets it: " + "; ".join(left)
