"""Folders appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitlathe.flow.files import fill, whole_folder


def test_a_folder_that_fails_while_it_is_filled_leaves_the_old_one(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", "marker") as folder:
        fill(folder, {"marker": b"", "a": b"old"})
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "out", "marker") as folder:
        fill(folder, {"marker": b"", "a": b"new"})
        raise ZeroDivisionError
    assert (tmp_path / "out" / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
