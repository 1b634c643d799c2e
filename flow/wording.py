"""Numbers as words."""

from __future__ import annotations


def percent(share: float | None) -> str:
    """Text of a share.

    >>> percent(0.97777), percent(None)
    ('97.78 %', '-')
    """
    return "-" if share is None else f"{100 * share:.2f} %"
