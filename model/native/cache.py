"""Cache of compiled files: a folder with names by content, and one maker at a time."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bitlathe.model.graph.errors import ToolError

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE_VARIABLE = "BITLATHE_CACHE"


def cache_folder() -> Path:
    """Where libraries are kept: $BITLATHE_CACHE, else build/sim of a checkout, else the user's cache.

    Raises ToolError if it cannot be made.
    """
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        folder = Path(given).absolute()  # compilers run in folders of their own
    elif (CHECKOUT / "pyproject.toml").exists():
        folder = CHECKOUT / "build" / "sim"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bitlathe" / "sim"
    with _usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def kept(name: str, make: Callable[[Path], Path]) -> Path:
    """The file or folder of a name in the cache, made if it does not exist yet.

    `make` gets an empty folder to work in and returns the part of it to keep, or the folder itself. One
    process at a time makes it while others wait; it gets its name only when complete, so interrupted work is
    never used. Raises ToolError if the cache cannot be written.
    """
    folder = cache_folder()
    product = folder / name
    if product.exists():
        return product
    with _usable(folder), _locked(folder / f"{name}.lock"):
        if not product.exists():
            work = folder / f"{name}.part"
            shutil.rmtree(work, ignore_errors=True)  # of a maker that was killed
            work.mkdir()
            try:
                made = make(work)
                _sync(made)
                made.replace(product)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return product


def digest_of(words: Sequence[str], files: Sequence[Path]) -> str:
    """Name for something made from words (flags, versions) and the names and contents of files."""
    digest = hashlib.sha256(os.fsencode("\0".join(words)))
    for path in files:
        digest.update(os.fsencode(path.name) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def copied(files: Iterable[Path], folder: Path) -> list[str]:
    """Copy files into the folder that a tool works in and return their names there.

    The tool's output then names them without their folder, which may hold characters that break a string.
    """
    return [Path(shutil.copy(path, folder)).name for path in files]


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Raise ToolError instead of OSError, to tell an unwritable cache from a defect of ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ToolError(
            f"{folder}: compiled simulators cannot be kept there ({reason}); "
            f"name a folder that can be written in {CACHE_VARIABLE}"
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sync(made: Path) -> None:
    """Flush bytes to disk before they get their name, or a crash could leave the name without them."""
    for path in made.rglob("*") if made.is_dir() else (made,):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
