"""`python -m bitlathe.board BUNDLE`: measure a bundle on this board and print one JSON object."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bitlathe.board.bundle import find_bundle
from bitlathe.board.errors import BoardError
from bitlathe.board.runner import measure


def main(words: Sequence[str] | None = None) -> None:
    """Measure; an error is one line, and the exit status is 1 when an output differs."""
    parser = argparse.ArgumentParser(prog="python -m bitlathe.board", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder or file")
    parser.add_argument("--images", type=int, help="test images, the first ones; all if not given")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bitlathe-") as folder:
        try:
            measured = measure(find_bundle(arguments.bundle, Path(folder)), arguments.images)
        except BoardError as error:
            raise SystemExit(f"bitlathe: {error}") from error
    print(json.dumps(measured.to_json(), indent=1))
    if measured.mismatches:
        raise SystemExit(f"bitlathe: {measured.mismatches} output integers differ from the bundle's")


if __name__ == "__main__":
    main()
