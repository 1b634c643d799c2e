"""Names of nodes: the path of the PyTorch module as an identifier, or what a file calls it."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

_WRITTEN = "_bitlathe_written"  # of a module


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenNode:
    """The node of a file that a module was made from, as its reader knows it."""

    name: str
    operator: str


def note_written(module: object, node: WrittenNode) -> None:
    """Let a module, and its copies, remember the node that it was made from."""
    module.__dict__[_WRITTEN] = node


def written_of(module: object) -> WrittenNode | None:
    """The node that a module was made from, where a file has one."""
    found: WrittenNode | None = module.__dict__.get(_WRITTEN)
    return found


def identifier(path: str) -> str:
    """A name of letters, digits and underscores, starting with a letter.

    >>> identifier("layer1.0.conv1"), identifier("0.conv"), identifier("")
    ('layer1_0_conv1', 'n0_conv', 'n')
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", path)
    return name if re.match(r"[A-Za-z]", name) else f"n{name}"


def unused(name: str, taken: Container[str]) -> str:
    """`name`, or the first of name_2, name_3, ... that is not taken.

    >>> unused("add", {"add", "add_2"})
    'add_3'
    """
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
