"""What a user asks of a search."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bitlathe.flow.search.config import SearchConfig
from bitlathe.model.graph.files.toml_sections import TomlDocument

WORKERS = 2  # where nobody says how many


class ExecutorKind(Enum):
    """Who trains the candidates."""

    SEQUENTIAL = "sequential"  # this process, one after the other
    LOCAL = "local"  # processes of this machine
    RAY = "ray"  # a Ray cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A user's request for a search."""

    config: SearchConfig
    out: Path
    resume: bool = False
    seed: int | None = None  # instead of the configuration's
    data: Path | None = None
    boards: tuple[str, ...] = ()
    token_file: Path | None = None
    overlay: Path | None = None
    executor: ExecutorKind = ExecutorKind.SEQUENTIAL
    workers: int = WORKERS
    ray_address: str | None = None

    @property
    def command(self) -> str:
        """The command that repeats it, without `--data`, which says nothing of the result."""
        written = self.config.written
        if not isinstance(written, TomlDocument):
            return "bitlathe.search(...) from Python, of the configuration below"
        options: list[tuple[str, object]] = [("--out", self.out), ("--seed", self.seed)]
        options += [(f"--{key.replace('_', '-')}", value) for key, value in self.config.instead.items()]
        options += [("--board", board) for board in self.boards]
        options += [("--token-file", self.token_file), ("--overlay", self.overlay)]
        if self.executor is not ExecutorKind.SEQUENTIAL:
            options += [("--executor", self.executor.value), ("--workers", self.workers)]
        options.append(("--ray-address", self.ray_address))
        words = [word for name, value in options if value is not None for word in (name, str(value))]
        return shlex.join(["bitlathe", "search", str(written.path), *words])
