"""The simulated boards, from the same files of boards that `hls/target` reads for everything else.

The files are found by the rule of `hls/target/board_files.py`, which this room cannot import.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitlathe.board.errors import BoardFileError, DeviceError
from bitlathe.board.sim.processors import PROCESSORS, SimulatedProcessor

BOARDS_VARIABLE = "BITLATHE_BOARDS"
PACKAGED = Path(__file__).parents[2] / "hls" / "target" / "boards"  # not on a real board
_RANGE = 0x1_0000  # bytes of registers


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardModel:
    """A simulated board."""

    name: str
    processor: SimulatedProcessor
    registers: int  # address of the engine's
    interrupts: int  # address of the interrupt controller
    memory_bytes: int  # for buffers


def simulated_boards() -> dict[str, Path]:
    """The file of each board by its name; DeviceError where BITLATHE_BOARDS names no folder."""
    given = os.environ.get(BOARDS_VARIABLE)
    if given and not Path(given).is_dir():
        raise DeviceError(f"{BOARDS_VARIABLE}={given}: is not a folder; name one that holds board files")
    folders = [PACKAGED, *([Path(given)] if given else [])]
    return {path.stem: path for folder in reversed(folders) for path in sorted(folder.glob("*.toml"))}


def board_model(name: str) -> BoardModel:
    """A board of a name; DeviceError lists the known ones, BoardFileError names a wrong file and key."""
    files = simulated_boards()
    if name not in files:
        raise DeviceError(f"no simulated board {name!r}; there are {', '.join(sorted(files)) or 'none here'}")
    values = _parsed(files[name])
    table = _Table(path=files[name], name="simulated", values=values.get("simulated"))
    return BoardModel(
        name=name,
        processor=_Table(path=files[name], name="board", values=values.get("board")).processor(),
        registers=table.address("registers"),
        interrupts=table.address("interrupts"),
        memory_bytes=table.integer("memory_mib", 1, 1 << 11) << 20,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table of a board's file."""

    path: Path
    name: str
    values: Any

    def processor(self) -> SimulatedProcessor:
        word = self._value("processor")
        if not isinstance(word, str) or word not in PROCESSORS:
            raise self._wrong("processor", f"is {word!r}; give one of {', '.join(PROCESSORS)}")
        return PROCESSORS[word]

    def address(self, key: str) -> int:
        value = self.integer(key, 0, (1 << 32) - _RANGE)
        if value % _RANGE:
            raise self._wrong(key, f"is {value:#x}; give a multiple of {_RANGE:#x}")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._value(key)
        if type(value) is not int or not low <= value <= high:
            raise self._wrong(key, f"is {value!r}; give a whole number from {low} to {high}")
        return value

    def _value(self, key: str) -> object:
        if not isinstance(self.values, dict) or key not in self.values:
            raise self._wrong(key, "is missing")
        return self.values[key]

    def _wrong(self, key: str, what: str) -> BoardFileError:
        return BoardFileError(f"{self.path}: {self.name}.{key}: {what}")


def _parsed(path: Path) -> Mapping[str, Any]:
    """A file's tables. The parser is loaded here, as a real board's Python 3.10 has none and needs none."""
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    except ImportError as error:
        raise DeviceError(f"reading {path} needs tomli ({error}): pip install tomli") from error
    try:
        values: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return values
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BoardFileError(f"{path}: is not valid TOML ({error})") from error
