"""Area of every target's engine by open synthesis, beside the limits of its part.

python benchmarks/resources.py

Prints a table a target and writes the rows to build/bench/resources.json.
Takes minutes a target; a row whose sources, parameters and tool have not changed is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bitlathe.flow.reports import show_resources
from bitlathe.flow.resources import measured_resources
from bitlathe.hls.config import TARGETS

OUT = Path(__file__).resolve().parents[1] / "build" / "bench" / "resources.json"


def main() -> int:
    """Exit status: 1 when an engine does not fit its part."""
    rows = [measured_resources(target, OUT) for target in TARGETS.values()]
    for row in rows:
        show_resources(row)
    return int(not all(row.fits for row in rows))


if __name__ == "__main__":
    sys.exit(main())
