"""Where compiled things are kept: a folder, a name by content, and one maker at a time."""

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

    ToolError where it cannot be made.
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
    """The file or folder of a name in the cache, made where it is not there yet.

    `make` gets an empty folder to work in and returns what is to be kept of it, or the folder itself. One
    process at a time makes it and the others wait; it gets its name when it is complete, so what is broken
    off is never used. ToolError where the cache cannot be written.
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
    """Name of whatever is made from words (flags, versions) and the names and contents of files."""
    digest = hashlib.sha256(os.fsencode("\0".join(words)))
    for path in files:
        digest.update(os.fsencode(path.name) + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def copied(files: Iterable[Path], folder: Path) -> list[str]:
    """Copy files into the folder that a tool works in; their names there.

    What the tool generates then names them without their folder, whose name may hold what breaks a string.
    """
    return [Path(shutil.copy(path, folder)).name for path in files]


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Tell a cache that cannot be made or written from a defect of ours: ToolError instead of OSError."""
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
    """Bring bytes to the disk before they get their name, or a machine that stops may leave a name alone."""
    for path in made.rglob("*") if made.is_dir() else (made,):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
