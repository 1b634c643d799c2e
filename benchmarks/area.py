"""Area of the engines that hls/explore's model of LUTs and flip-flops is fitted to.

python benchmarks/area.py

Synthesizes with Yosys what has changed, minutes each, and writes hls/explore/measured.json; then prints each
engine beside an estimate fitted to the others. `--keep` fits to what is there and synthesizes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from resources import OUT

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.hardware.resources import measured_resources
from bitlathe.hls.target.area import deviations
from bitlathe.hls.target.config import TARGETS, EngineConfiguration, Target, reference_targets
from bitlathe.hls.target.measured import POINTS, AreaPoint, measured, text
from bitlathe.model.graph.files.storage import write_whole

PYNQ = TARGETS["pynq-z2"]
# The shipped engines, and small ones to separate the terms: fewer pixels, more outputs, wider words.
ENGINES = (
    *reference_targets().values(),
    replace(PYNQ, engine=EngineConfiguration(pp=2, banks=3, bank_lines=2048, weight_lines=1024)),
    replace(PYNQ, engine=EngineConfiguration(po=16, pp=3, banks=5, bank_lines=2048, weight_lines=2048)),
    replace(PYNQ, engine=EngineConfiguration(pi=16, po=16, pp=2, banks=3, bank_lines=1024, weight_lines=512)),
)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="synthesize nothing, show the model's errors")
    if not parser.parse_args(words).keep:
        points = text(tuple(map(_measured, ENGINES)))
        write_whole(POINTS, points.encode())
        measured.cache_clear()
    cells = [
        (
            each.point.configuration.label,
            each.point.family,
            f"{each.point.lut:,}",
            f"{100 * each.lut:+.1f} %",
            f"{each.point.ff:,}",
            f"{100 * each.ff:+.1f} %",
        )
        for each in deviations()
    ]
    columns = ("engine", "family", "LUT", "estimate by the others", "FF", "estimate by the others")
    print_table("measured engines", columns, cells)
    return 0


def _measured(target: Target) -> AreaPoint:
    row = measured_resources(target, OUT)
    return AreaPoint(
        family=target.family,
        configuration=target.engine,
        lut=row.lut,
        ff=row.ff,
        dsp=row.dsp,
        bram36=row.bram36,
        tool=row.tool,
        digest=row.digest,
    )


if __name__ == "__main__":
    sys.exit(main())
