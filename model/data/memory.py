"""Whether this machine can hold what is to be read."""

from __future__ import annotations

import os

from bitlathe.model.graph.errors import DataError


def check_memory(what: str, size: int) -> None:
    """Raise DataError where `size` bytes are more than this machine's memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise DataError(
            f"{what}: takes {gigabytes(size)}, this machine has {gigabytes(memory)}; "
            "give fewer or smaller images"
        )


def gigabytes(size: int) -> str:
    """A number of bytes for a person.

    >>> gigabytes(2_400_000), gigabytes(36_000_000_000)
    ('2.4 MB', '36.0 GB')
    """
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
