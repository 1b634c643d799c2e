"""What a command leaves on disk, decided before anything is written.

Compiled networks, bundles, HLS and hls4ml projects and block designs are all such plans.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.files.storage import new_folder, writable, write_all, write_whole

SCRIPT, RUNS = ".sh", 0o755  # scripts stay executable


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The files of a folder by their path in it; FormatError for a path that leads out of it."""

    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or not path.parts or ".." in path.parts:
                raise FormatError(f"{name!r}: is not a path below a folder; name a file in it")

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> "BuildPlan":
        """A plan of text files."""
        return cls({name: text.encode() for name, text in texts.items()})

    @property
    def digest(self) -> str:
        """SHA-256 of all paths and contents, in any order.

        >>> BuildPlan({"a": b"1", "b": b"2"}).digest == BuildPlan({"b": b"2", "a": b"1"}).digest
        True
        """
        whole = hashlib.sha256()
        for name, entry in sorted(self.entries().items()):
            whole.update(f"{name}\0{entry['sha256']}\n".encode())
        return whole.hexdigest()

    def entries(self) -> dict[str, dict[str, object]]:
        """Size and SHA-256 of each file, as a manifest lists them."""
        return {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in self.files.items()
        }

    def with_json(self, name: str, values: object) -> "BuildPlan":
        """This plan and one more file, which comes last: JSON, such as a manifest."""
        return BuildPlan({**self.files, name: (json.dumps(values, indent=1) + "\n").encode()})

    def write(self, folder: Path) -> None:
        """Make a folder with only these files; it replaces an existing one.

        Raises DataError, with nothing changed, if that fails.
        """
        with new_folder(folder) as made:
            self.fill(made)

    def write_over(self, folder: Path) -> None:
        """Write these files over those of an earlier run and leave others, such as a tool's results.

        An unchanged file keeps its date. Raises DataError, with no file changed, if one cannot be written.
        """
        paths = {folder / name: content for name, content in self.files.items()}
        with writable(folder):
            changed = {path: content for path, content in paths.items() if not _holds(path, content)}
        write_all(changed)
        _let_run(paths)

    def fill(self, folder: Path) -> None:
        """Write the files into a folder; the caller moves it into place."""
        paths = {folder / name: content for name, content in self.files.items()}
        for path, content in paths.items():
            write_whole(path, content)
        _let_run(paths)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _let_run(paths: Mapping[Path, bytes]) -> None:
    for path in paths:
        if path.suffix == SCRIPT:
            path.chmod(RUNS)
