"""Rows that a benchmark left in build/bench, taken over into benchmarks/results."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
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


def keep(bench: Path, results: Path) -> None:
    """Take rows over, dated today; those that were not measured again stay as they are.

    Raises SystemExit for rows whose integers differ.
    """
    origin = {
        "seed": 0,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    if (measured := bench / "cycles.json").exists():
        rows = read(measured)
        if wrong := [row["network"] for row in rows if row["mismatches"] or row["violations"]]:
            sys.exit(f"{measured}: integers differ or a rule of AXI is broken, for {', '.join(wrong)}")
        made = [{**_fields(row, CYCLES_FIELDS), "command": cycles_command(row), **origin} for row in rows]
        _merge(results / "cycles.json", made, ("network", "bits", "variant", "target"))
    if (measured := bench / "resources.json").exists():
        command = "python benchmarks/resources.py"
        own = {(name, target.engine.label) for name, target in TARGETS.items()}
        rows = [row for row in read(measured) if (row["target"], row["engine"]) in own]
        made = [{**_fields(row, AREA_FIELDS), "note": "", "command": command, **origin} for row in rows]
        _merge(results / "resources.json", made, ("target",))
    if (measured := bench / "imports.json").exists():
        rows = read(measured)
        if wrong := [row["file"] for row in rows if row["exact"] and any(row["exact"]["differing"].values())]:
            sys.exit(f"{measured}: integers differ, for {', '.join(wrong)}")
        command = "python benchmarks/imports.py FOLDER --files"
        made = [{**row, "command": f"{command} {row['file']}", **origin} for row in rows]
        _merge(results / "imports.json", made, ("file",))
    if (measured := bench / "operators.json").exists():
        rows = read(measured)
        if wrong := [row["operator"] for row in rows if row["mismatches"]]:
            sys.exit(f"{measured}: integers differ, for {', '.join(wrong)}")
        made = [{**row, "command": _operators_command(row), **origin, "seed": 1} for row in rows]
        _merge(results / "operators.json", made, ("operator", "target"))
    if (measured := bench / "soak.json").exists():
        rows = read(measured)["rows"]
        if any(row["wrong"] for row in rows):
            sys.exit(f"{measured}: something was wrong")
        made = [{**row, "command": _soak_command(row), **origin} for row in rows]
        _merge(results / "soak.json", made, ("kind",))


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


def _fields(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _merge(path: Path, made: Sequence[Row], key: Sequence[str]) -> None:
    """Write the rows of a file with those of the same key replaced."""
    rows = {tuple(row[name] for name in key): row for row in (*read(path), *made)}
    write_json(path, list(rows.values()))
