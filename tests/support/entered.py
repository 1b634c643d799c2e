"""Which functions a call enters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

IMPORT_SYSTEM = "<frozen importlib._bootstrap>"


def functions_entered(call: Callable[[], object], *folders: Path) -> tuple[tuple[Path, str], ...]:
    """File and name of every function below the folders that a call enters, in the order of first entries.

    Code that runs only because a module is imported does not count.
    """
    beginnings = tuple(f"{folder}/" for folder in folders)
    entered: dict[CodeType, None] = {}

    def on_event(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        is_new = event == "call" and code.co_filename.startswith(beginnings) and code not in entered
        if is_new and not _is_importing(frame):
            entered[code] = None

    before = sys.getprofile()
    sys.setprofile(on_event)
    try:
        call()
    finally:
        sys.setprofile(before)
    return tuple((Path(code.co_filename), code.co_name) for code in entered)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False
