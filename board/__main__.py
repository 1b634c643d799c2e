"""`python -m bitlathe.board BUNDLE`: measure a bundle on this board, or check the board; prints JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bitlathe.board.bundle import Bundle, find_bundle
from bitlathe.board.check import check_board
from bitlathe.board.errors import BoardError
from bitlathe.board.runner import measure


def main(words: Sequence[str] | None = None) -> None:
    """Measure; an error is one line, and the exit status is 1 when an output differs."""
    parser = argparse.ArgumentParser(prog="python -m bitlathe.board", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder or file")
    parser.add_argument("--images", type=int, help="test images, the first ones; all if not given")
    parser.add_argument("--check", action="store_true", help="look at the board itself, line by line")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bitlathe-") as folder:
        try:
            bundle = find_bundle(arguments.bundle, Path(folder))
            if arguments.check:
                return _check(bundle, arguments.images)
            measured = measure(bundle, arguments.images)
        except BoardError as error:
            raise SystemExit(f"bitlathe: {error}") from error
    print(json.dumps(measured.to_json(), indent=1))
    if measured.mismatches:
        raise SystemExit(f"bitlathe: {measured.mismatches} output integers differ from the bundle's")


def _check(bundle: Bundle, images: int | None) -> None:
    """Look at the board; exit status 1 when a line fails."""
    report = check_board(bundle, images)
    print(json.dumps(report.to_json(), indent=1))
    if report.failed:
        raise SystemExit(f"bitlathe: {report.failed[0].name}: {report.failed[0].says}")


if __name__ == "__main__":
    main()
