"""The claims of papers, measured on the data at hand: one row for each, measured or not yet.

python benchmarks/papers.py                      # the table of what was measured
python benchmarks/papers.py --run ROW [ROW ...]  # measure rows; continues where an interrupted run stopped
python benchmarks/papers.py --run all

Needs the data sets (--data or BITLATHE_DATA) and, for the published ResNets, --weights. Rows are written to
benchmarks/results/papers.json; paper_rows.py defines each row.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch
from paper_rows import ROWS, Bench, Row
from rich.console import Console
from rich.table import Table

from bitlathe.flow.files import write_json
from bitlathe.model.train.config import Precision

RESULTS = Path(__file__).resolve().parent / "results" / "papers.json"
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """A row as it is kept."""

    name: str
    paper: str
    dataset: str
    metrics: Mapping[str, float]
    bar: str
    met: bool
    command: str
    seeds: tuple[int, ...]
    date: str


def main() -> None:
    """Measure the rows asked for, then print the table."""
    arguments = _parse()
    torch.set_num_threads(arguments.threads)
    for name in _names(arguments.run):
        measured = _measure(ROWS[name], arguments)
        # read again, as rows may be measured side by side
        write_results(arguments.results, {**read_results(arguments.results), name: measured})
    show(read_results(arguments.results))


def read_results(path: Path) -> dict[str, MeasuredRow]:
    """Rows measured so far, by name; none without a file."""
    if not path.exists():
        return {}
    return {row["name"]: MeasuredRow(**row) for row in json.loads(path.read_text())}


def write_results(path: Path, rows: Mapping[str, MeasuredRow]) -> None:
    """Write rows in the order of the table, whole or not at all."""
    ordered = [asdict(rows[name]) for name in ROWS if name in rows]
    write_json(path, ordered)


def show(kept: Mapping[str, MeasuredRow]) -> None:
    """Print the table: every claim, measured or not."""
    table = Table("row", "paper", "data", "measured", "bar", "met", "seeds", "date")
    for name, row in ROWS.items():
        found = kept.get(name)
        values = "not measured" if found is None else ", ".join(_values(found.metrics))
        met = "" if found is None else ("yes" if found.met else "NO")
        seeds = "" if found is None else " ".join(map(str, found.seeds))
        table.add_row(name, row.paper, row.dataset, values, row.bar, met, seeds, found.date if found else "")
    Console(width=200).print(table)


def _measure(row: Row, arguments: argparse.Namespace) -> MeasuredRow:
    runs = [
        row.run(
            Bench(
                data=arguments.data,
                weights=arguments.weights,
                work=arguments.work,
                seed=seed,
                precision=arguments.precision,
            )
        )
        for seed in arguments.seeds
    ]
    metrics = {name: sum(run[name] for run in runs) / len(runs) for name in runs[0]}
    return MeasuredRow(
        name=row.name,
        paper=row.paper,
        dataset=row.dataset,
        metrics={name: round(value, 5) for name, value in metrics.items()},
        bar=row.bar,
        met=row.met(metrics),
        command=_command(row, arguments),
        seeds=tuple(arguments.seeds),
        date=datetime.now(timezone.utc).date().isoformat(),
    )


def _command(row: Row, arguments: argparse.Namespace) -> str:
    seeds = " ".join(map(str, arguments.seeds))
    precision = (
        "" if arguments.precision is Precision.FLOAT32 else f" --precision {arguments.precision.value}"
    )
    return f"python benchmarks/papers.py --run {row.name} --seeds {seeds}{precision}"


def _values(metrics: Mapping[str, float]) -> Iterable[str]:
    return (f"{name} {value:,.5g}" for name, value in metrics.items())


def _names(asked: list[str]) -> list[str]:
    return list(ROWS) if asked == ["all"] else asked


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", nargs="+", default=[], choices=[*ROWS, "all"], metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--data", type=Path, default=None, help="folder of the data sets")
    parser.add_argument("--weights", type=Path, default=ROOT.parent / "shared" / "weights")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "papers", help="states of the runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--precision",
        type=Precision,
        default=Precision.FLOAT32,
        help="bfloat16: half the time where the processor multiplies it (AMX), ten times as long elsewhere",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
