"""What tests of simulated boards share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bitlathe.board.overlay import import_pynq


@pytest.fixture
def without_a_device() -> Iterator[None]:
    """What one test makes active is gone for the next."""
    yield
    pynq = import_pynq()
    for name in ("_active_device", "_devices"):
        if hasattr(pynq.Device, name):
            delattr(pynq.Device, name)
