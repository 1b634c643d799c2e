"""Bars that the engine must reach on pynq-z2, judged by the rows of cycles.py and resources.py.

python benchmarks/bars.py

Prints one line per bar and writes them to build/bench/bars.json; exit status 1 where one is missed or not
measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from cases import pruned
from cycles import OUT as CYCLES
from cycles import Row, read_rows

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.files import write_json
from bitlathe.hls.target.config import TARGETS

OUT = CYCLES.with_name("bars.json")
RESOURCES = CYCLES.with_name("resources.json")
TARGET = "pynq-z2"
MOST_OF_LANES = 3  # depthwise layers must reach a third of what the scratchpad's lanes allow
MODEL_ERROR = 0.01
WHOLE = pruned(3, (16, 32, 64)).variant
NARROW = {(11, 22, 44): 0.85, (8, 16, 32): 0.56}
AREA = {"dsp": 212, "lut": 36_000, "bram36": 130}
MOST_CYCLES = {"resnet8": 38_000, "resnet20": 120_000, "resnet56": 380_000}
SPARSE = {
    ("mobilenet", "4-bit weights, 60 % zeros"): 300_000,
    ("vgg16", "4-bit weights, 70 % zeros"): 1_150_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: a value of at most `limit`."""

    what: str
    limit: float
    reached: float | None  # None: not measured

    @property
    def is_met(self) -> bool:
        return self.reached is not None and self.reached <= self.limit


def main() -> int:
    """Exit status: 1 when a bar is missed or not measured."""
    bars = list(_bars(read_rows(CYCLES), _area()))
    cells = [(bar.what, _text(bar.limit), _text(bar.reached), "yes" if bar.is_met else "NO") for bar in bars]
    print_table(f"to reach on {TARGET}", ("what", "at most", "reached", "met"), cells)
    write_json(OUT, [{**asdict(bar), "is_met": bar.is_met} for bar in bars])
    return int(not all(bar.is_met for bar in bars))


def _bars(rows: list[Row], area: dict[str, float]) -> Iterator[Bar]:
    def row(network: str, bits: int = 8, variant: str = "") -> Row | None:
        wanted = (network, bits, variant, TARGET)
        return next((r for r in rows if (r.network, r.bits, r.variant, r.target) == wanted), None)

    for network, most in MOST_CYCLES.items():
        found = row(network)
        yield Bar(what=f"{network}: cycles", limit=most, reached=found.cycles if found else None)
    for (network, variant), most in SPARSE.items():
        found = row(network, variant=variant)
        yield Bar(what=f"{network}, {variant}: cycles", limit=most, reached=found.cycles if found else None)
    whole, shared = row("vgg16"), row("vgg16", variant="product-quantized")
    yield Bar(what="vgg16: of its bound", limit=1.1, reached=whole.bound_ratio if whole else None)
    yield Bar(  # its bound asks that each pixel of a 2 x 2 map leaves out its padding, which no group can
        what="vgg16 product-quantized: of its products' cycles, padding's included",
        limit=1.1,
        reached=shared.cycles * TARGETS[TARGET].engine.macs_per_cycle / shared.macs if shared else None,
    )
    yield Bar(
        what="vgg16 product-quantized: DDR bound of the array's",
        limit=1.0,
        reached=shared.ddr_bound / shared.array_bound if shared else None,
    )
    mobile = row("mobilenet")
    yield Bar(what="mobilenet: of its bound", limit=1.1, reached=mobile.bound_ratio if mobile else None)
    yield Bar(
        what="mobilenet: depthwise layers, of the lanes' bound",
        limit=MOST_OF_LANES,
        reached=mobile.lanes_cycles / mobile.lanes_bound if mobile else None,
    )
    yield _ratio("resnet8 at 4 bits: of 8 bits", 0.6, row("resnet8", bits=4), row("resnet8"))
    for inner, limit in NARROW.items():
        variant = pruned(3, inner).variant
        yield _ratio(
            f"resnet20, {variant}: of whole", limit, row("resnet20", 8, variant), row("resnet20", 8, WHOLE)
        )
    for name, most in AREA.items():
        yield Bar(what=f"engine: {name}", limit=most, reached=area.get(name))
    yield Bar(
        what="all: cycle model's error",
        limit=MODEL_ERROR,
        reached=max((r.model_error_worst for r in rows), default=None),
    )
    for name in ("mismatches", "violations"):
        yield Bar(what=f"all: {name}", limit=0, reached=max((getattr(r, name) for r in rows), default=None))


def _ratio(what: str, limit: float, one: Row | None, other: Row | None) -> Bar:
    return Bar(what=what, limit=limit, reached=one.cycles / other.cycles if one and other else None)


def _area() -> dict[str, float]:
    """Area of the target's own engine as last synthesized."""
    try:
        rows = json.loads(RESOURCES.read_text(encoding="utf-8"))
        label = TARGETS[TARGET].engine.label
        return next(row for row in rows if (row["target"], row["engine"]) == (TARGET, label))
    except (OSError, ValueError, KeyError, StopIteration):
        return {}


def _text(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if value >= 20 or value == int(value) else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
