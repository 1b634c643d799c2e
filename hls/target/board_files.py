"""Which boards there are: one TOML file a board, here and in the folder that BITLATHE_BOARDS names.

`board/sim/boards.py` finds the same files by the same rule, as that room imports no other.
"""

import os
from pathlib import Path

from bitlathe.model.graph.errors import FormatError

BOARDS_VARIABLE = "BITLATHE_BOARDS"
PACKAGED = Path(__file__).with_name("boards")
SUFFIX = ".toml"


def board_files() -> dict[str, Path]:
    """The file of each board, by the board's name: the package's first, then those of BITLATHE_BOARDS.

    Raises FormatError where that is not a folder, or a name is in both.
    """
    found = _files_of(PACKAGED)
    given = os.environ.get(BOARDS_VARIABLE)
    if not given:
        return found
    if not Path(given).is_dir():
        raise FormatError(f"{BOARDS_VARIABLE}={given}: is not a folder; name one that holds board files")
    for name, path in _files_of(Path(given)).items():
        if name in found:
            raise FormatError(f"{path}: a board {name} is there already ({found[name]}); rename the file")
        found[name] = path
    return found


def listed_boards() -> list[str]:
    """Names for a help text, which is shown even where BITLATHE_BOARDS is wrong."""
    try:
        return list(board_files())
    except FormatError:
        return list(_files_of(PACKAGED))


def _files_of(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}
