"""Names of nodes: the path of the PyTorch module as an identifier."""

from __future__ import annotations

import re
from collections.abc import Container


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
