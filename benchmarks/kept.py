"""Rows that a benchmark left in build/bench, taken over into benchmarks/results."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bitlathe.flow.files import write_json
from bitlathe.hls.target.config import TARGETS

CYCLES_FIELDS = (
    *("network", "bits", "variant", "target", "weights", "cycles", "ideal"),
    *("array_bound", "ddr_bound", "predicted", "macs"),
)
AREA = ("lut", "ff", "dsp", "bram36")
AREA_FIELDS = ("target", "engine", "part", *AREA, *(f"{name}_limit" for name in AREA), "fits", "tool")
KINDS = "network", "program"  # of what is soaked

Row = Mapping[str, Any]  # an object of a file of rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The rows of a benchmark: what tells them apart, what makes one wrong, the command that repeats it."""

    name: str  # of their file
    key: tuple[str, ...]
    command: Callable[[Row], str]
    is_wrong: Callable[[Row], object] = lambda row: False
    fields: tuple[str, ...] = ()  # all if not given
    others: Mapping[str, Any] = field(default_factory=dict)  # beside them


def keep(bench: Path, results: Path) -> None:
    """Take rows over, dated today; those that were not measured again stay as they are.

    Raises SystemExit for rows that are wrong.
    """
    for kept in KEPT:
        measured = bench / f"{kept.name}.json"
        if not measured.exists():
            continue
        rows = [row for row in _rows(measured) if _is_of_a_board(row)]
        if wrong := [str(row[kept.key[0]]) for row in rows if kept.is_wrong(row)]:
            sys.exit(f"{measured}: integers differ or a rule is broken, for {', '.join(wrong)}")
        made = [
            {**_fields(row, kept.fields or tuple(row)), **kept.others, "command": kept.command(row)}
            for row in rows
        ]
        _merge(results / measured.name, [{**origin(), **row} for row in made], kept.key)


def origin(seed: int = 0) -> dict[str, Any]:
    """Where and when a row was measured."""
    return {
        "seed": seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def _rows(measured: Path) -> list[Row]:
    """The rows of a file, which may have the machine beside them."""
    found = read(measured)
    return list(found["rows"] if isinstance(found, Mapping) else found)


def _is_of_a_board(row: Row) -> bool:
    """Whether an engine that a row names is that of its board's file."""
    return "engine" not in row or row["engine"] == TARGETS[row["target"]].engine.label


def read(path: Path) -> Any:
    """The rows of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def cycles_command(row: Row) -> str:
    """The command that measures a network's cycles again."""
    return f"python benchmarks/cycles.py --networks {row['network']} --targets {row['target']}"


def _operators_command(row: Row) -> str:
    return f"python benchmarks/operators.py --operators '{row['operator']}' --targets {row['target']}"


def _soak_command(row: Row) -> str:
    counts = {f"{kind}s": row["count"] if kind == row["kind"] else 0 for kind in KINDS}
    return "python benchmarks/soak.py " + " ".join(f"--{name} {count}" for name, count in counts.items())


KEPT = (
    Kept(
        name="cycles",
        key=("network", "bits", "variant", "target"),
        command=cycles_command,
        is_wrong=lambda row: row["mismatches"] or row["violations"],
        fields=CYCLES_FIELDS,
    ),
    Kept(
        name="resources",
        key=("target",),
        command=lambda row: "python benchmarks/resources.py",
        fields=AREA_FIELDS,
        others={"note": ""},
    ),
    Kept(
        name="imports",
        key=("file",),
        command=lambda row: f"python benchmarks/imports.py FOLDER --files {row['file']}",
        is_wrong=lambda row: row["exact"] and any(row["exact"]["differing"].values()),
    ),
    Kept(
        name="operators",
        key=("operator", "target"),
        command=_operators_command,
        is_wrong=lambda row: row["mismatches"],
        others={"seed": 1},
    ),
    Kept(
        name="mutants",
        key=("file", "mutant"),
        command=lambda row: f"python benchmarks/mutants.py --files {row['file']}",
    ),
    Kept(
        name="memory",
        key=("network", "target", "busy", "latency"),
        command=lambda row: f"python benchmarks/memory.py --networks {row['network']}",
        is_wrong=lambda row: row["mismatches"],
    ),
    Kept(
        name="boards",
        key=("target",),
        command=lambda row: f"python benchmarks/boards.py --boards {row['target']}",
        is_wrong=lambda row: row["mismatches"] or row["limit"],
    ),
    Kept(name="soak", key=("kind",), command=_soak_command, is_wrong=lambda row: row["wrong"]),
)


def _fields(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _merge(path: Path, made: Sequence[Row], key: Sequence[str]) -> None:
    """Write the rows of a file with those of the same key replaced."""
    rows = {tuple(row[name] for name in key): row for row in (*read(path), *made)}
    write_json(path, list(rows.values()))
