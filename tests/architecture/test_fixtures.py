"""The shared fixtures repeat."""

from __future__ import annotations

import zlib

import numpy as np
import pytest


def test_a_seed_follows_from_the_tests_name_unless_given(seed: int, request: pytest.FixtureRequest) -> None:
    given = request.config.getoption("--seed")
    assert seed == (zlib.crc32(request.node.nodeid.encode()) if given is None else given)


def test_equal_seeds_draw_equal_numbers(rng: np.random.Generator, seed: int) -> None:
    assert (
        rng.integers(1 << 32, size=8).tolist()
        == np.random.default_rng(seed).integers(1 << 32, size=8).tolist()
    )
