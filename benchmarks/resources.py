"""Area of every target's engine by open synthesis, beside the limits of its part; and its longest path.

python benchmarks/resources.py

Prints the tables of each target and writes the rows to build/bench/resources.json.
Takes minutes a target; a row whose sources, parameters and tool have not changed is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bitlathe.flow.cli.tables import show_resources, show_timing
from bitlathe.flow.hardware.resources import measured_resources
from bitlathe.hls.target.config import reference_targets

OUT = Path(__file__).resolve().parents[1] / "build" / "bench" / "resources.json"


def main() -> int:
    """Exit status: 1 when an engine does not fit its part."""
    fits = True
    for target in reference_targets().values():
        row = measured_resources(target, OUT)
        show_resources(row)
        show_timing(row, target.clock_mhz)
        fits &= row.fits
    return int(not fits)


if __name__ == "__main__":
    sys.exit(main())
