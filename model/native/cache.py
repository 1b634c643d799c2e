"""Where compiled things are kept: a folder, a name by content, and one maker at a time."""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE_VARIABLE = "BITLATHE_CACHE"


def cache_folder() -> Path:
    """Where libraries are kept: $BITLATHE_CACHE, else build/sim of a checkout, else the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        folder = Path(given) / "sim"
    elif (CHECKOUT / "pyproject.toml").exists():
        folder = CHECKOUT / "build" / "sim"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bitlathe" / "sim"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest_of(words: Sequence[str], files: Sequence[Path]) -> str:
    """Name of whatever is made from words (flags, versions) and the names and contents of files."""
    digest = hashlib.sha256("\0".join(words).encode())
    for path in files:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


@contextmanager
def locked(product: Path) -> Iterator[None]:
    """One process at a time makes a product; the others wait for it."""
    with product.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
