"""Fixtures of `tests/` and `rtl_tb/` alike; at the root because both are below it."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

pytest_plugins = ["needs", "traces"]  # in tests/support: what is skipped is told, what leaks is an error

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: workers share the cores already

# Deadlines measure the machine, not the code; a derandomized run repeats exactly, here and in CI.
settings.register_profile("bitlathe", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("bitlathe")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, help="seed of the `rng` fixture; default: one per test, from its name"
    )


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Seed of this test: --seed, else a checksum of the test's name; printed, so a failure shows it."""
    chosen = request.config.getoption("--seed")
    value = zlib.crc32(request.node.nodeid.encode()) if chosen is None else int(chosen)
    print(f"seed {value}; repeat with: python -m pytest '{request.node.nodeid}' --seed {value}")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """Random generator of this test, from `seed`."""
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the image data sets; the test skips where there is none."""
    from needs import Uninstallable  # once pytest has loaded it as a plugin

    from bitlathe.model.data.load import DATA_VARIABLE, data_root  # after OMP_NUM_THREADS is set

    root = data_root()
    if root is None or not any(root.glob("*/*.npz")):
        raise Uninstallable(
            f"no image data: set {DATA_VARIABLE} to the folder that holds cifar10/, mnist/, fashion_mnist/"
        )
    return root
