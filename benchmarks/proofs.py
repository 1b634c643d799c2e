"""Proofs of the engine's blocks by solvers, with a fault for each that must be noticed.

python benchmarks/proofs.py --blocks fifo skid

Prints a line per answer and a table of the blocks; writes the rows of all blocks to build/bench/proofs.json.
Takes minutes; the products of `mac_pair` longer, `--except mac_pair` leaves them out. Exit status 1 where a
theorem does not hold, or its fault is not noticed, or a state is not reached; 3 where a package is missing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bitlathe.flow.cli.output import note, print_table
from bitlathe.flow.files import write_json
from bitlathe.model.graph.errors import ToolError
from bitlathe.rtl_tb.formal.prove import Row, prove_all, questions, theorems
from bitlathe.rtl_tb.formal.tables import BLOCKS

BUILD = Path(__file__).resolve().parents[1] / "build"
OUT = BUILD / "bench" / "proofs.json"
NAMES = tuple(dict.fromkeys(block.name for block in BLOCKS))


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--blocks", nargs="*", choices=NAMES, default=NAMES, metavar="BLOCK", help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument("--except", nargs="*", choices=NAMES, default=[], dest="without", metavar="BLOCK")
    parser.add_argument("--theorems", action="store_true", help="on the first sizes alone, and no faults")
    parser.add_argument("--jobs", type=int, default=2, help="solvers at once")
    arguments = parser.parse_args(words)
    started = time.monotonic()
    chosen = [block for block in BLOCKS if block.name in {*arguments.blocks} - {*arguments.without}]
    try:
        rows = prove_all(
            chosen, BUILD / "prove", arguments.jobs, _tell, theorems if arguments.theorems else questions
        )
    except ToolError as error:
        print(f"prove: {error}", file=sys.stderr)
        return 3
    if len(chosen) == len(BLOCKS) and not arguments.theorems:
        write_json(OUT, [row.to_json() for row in rows])
    _show(rows)
    failed = [row for row in rows if not row.holds]
    note(f"{len(rows)} rows, {len(failed)} failed, in {time.monotonic() - started:.0f} s")
    return int(bool(failed))


def _tell(row: Row) -> None:
    note(f"{row.block}: {row.property} [{row.configuration}]: {row.result}, {row.seconds} s")


def _show(rows: Sequence[Row]) -> None:
    cells = []
    for name in dict.fromkeys(row.block for row in rows):
        own = [row for row in rows if row.block == name]
        counts = [sum(row.result == result for row in own) for result in ("proved", "refuted", "reached")]
        bounded = sum(row.bounded for row in own)
        failed = sum(not row.holds for row in own)
        cells.append((name, *(str(count) for count in (*counts, bounded, failed))))
    print_table("proofs", ("block", "proved", "faults noticed", "reached", "bounded", "failed"), cells)


if __name__ == "__main__":
    sys.exit(main())
