"""Configurations that Yosys has synthesized: benchmarks/area.py makes the file beside this module.

Its points were measured before the engine had reach_check, multipliers of residuals and tables. area.py adds
their multipliers and block RAMs; their LUTs and flip-flops, 2,100 and 1,700 on pynq-z2, are missing from this
folder's figures until benchmarks/area.py runs again.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from bitlathe.hls.target.config import EngineConfiguration

POINTS = Path(__file__).with_name("measured.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaPoint:
    """One synthesis."""

    family: str  # xc7 or xcup
    configuration: EngineConfiguration
    lut: int
    ff: int
    dsp: int
    bram36: float
    tool: str
    digest: str  # of sources, parameters, command and tool

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, object]) -> "AreaPoint":
        """The point of a row; TypeError where a field is unknown or missing."""
        sizes = row["configuration"]
        assert isinstance(sizes, dict)
        return cls(**{**row, "configuration": EngineConfiguration(**sizes)})  # type: ignore[arg-type]


@cache
def measured() -> tuple[AreaPoint, ...]:
    """The committed points."""
    return read(POINTS)


def read(path: Path) -> tuple[AreaPoint, ...]:
    """Points of a file."""
    return tuple(AreaPoint.from_json(row) for row in json.loads(path.read_text(encoding="utf-8")))


def text(points: Sequence[AreaPoint]) -> str:
    """A file's text: one point per line, so that changes can be read."""
    rows = ",\n".join(json.dumps(point.to_json()) for point in points)
    return f"[\n{rows}\n]\n"
