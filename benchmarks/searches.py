"""Gains of the search: against the ordinary pipeline, against a MACs rule, and on the simulated RTL.

python benchmarks/searches.py                       # the table of what was measured
python benchmarks/searches.py --run resnet20-fast   # a file of benchmarks/search; continues where it stopped
python benchmarks/searches.py --run resnet20-w8a8 --seeds 0 1 2
python benchmarks/searches.py --simulate            # SIMULATED's network on all test images in simulated RTL

--simulate takes the network that your own run has left, else the one kept in benchmarks/networks.

Rows and bars are written to benchmarks/results/searches.json. Cycles are those of the engine as it is now,
by its cycle model, of every network that a search has left; what the search itself saw stands under `found`.
Needs BITLATHE_DATA and the published weights that the configurations name. Exit status 1 where a bar is
missed or not measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from cases import zoo

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.files import write_json
from bitlathe.flow.wording import percent
from bitlathe.hls.compile import compile_graph
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.graph.files.archive import graph_digest, read_graph
from bitlathe.model.graph.graph import Graph

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "searches.json"
CONFIGS = {path.stem: path for path in sorted((ROOT / "benchmarks" / "search").glob("*.toml"))}
NETWORKS = ROOT / "benchmarks" / "networks"
BITLATHE = Path(sys.executable).with_name("bitlathe")
SIMULATED, IMAGES = "resnet20-fast", 10_000
FLOOR, SHARE = 0.90, 0.60  # accuracy, and cycles of the int8 network's, that SIMULATED must reach
COST = 1.5  # training steps, of plain training's
EQUAL = 0.002  # of accuracy
REPORTED = ("target", "images", "mismatches", "accuracy_integer", "cycles")  # of `simulate`
PRUNED = {"[8, 8]": "resnet20-w8a8", "[4, 8]": "resnet20-w4a8"}  # compared with their baselines
SEEDS = (0, 1, 2)  # of those
RULES = ("resnet20-latency-rule", "resnet20-macs-rule")
WHOLE = zoo("resnet20")

Found = dict[str, Any]  # one pipeline's result.json
HEAD = ("search", "pipeline", "accuracy", "cycles", "of int8's", "MACs", "training", "choices")


def main() -> int:
    """Exit status: 1 where a bar is missed or not measured."""
    arguments = _parse()
    for name, seed in product(arguments.run, arguments.seeds):
        out = arguments.out / _folder(name, seed)
        _run("search", CONFIGS[name], "--out", out, "--resume", "--seed", seed)
    if arguments.simulate:
        _simulate(arguments.out / SIMULATED, arguments.workers)
    known = _read(RESULTS) or {}
    rows = {**known.get("pipelines", {}), **dict(_measured(arguments.out))}
    simulated = _read(arguments.out / SIMULATED / "simulate.json") or known.get("simulated")
    bars = dict(_bars(rows, simulated))
    write_json(RESULTS, {"pipelines": rows, "simulated": simulated, "bars": bars})
    print_table("networks found", HEAD, [_cells(name, row) for name, row in rows.items()])
    print_table("to reach", ("what", "reached", "met"), [_bar_cells(*bar) for bar in bars.items()])
    return int(not all(met for _, met in bars.values()))


def _simulate(folder: Path, workers: int) -> None:
    """Leave `simulate.json` in the folder, of its network or of the one kept."""
    own = folder / "network.blg"
    network = own if own.exists() else NETWORKS / f"{SIMULATED}.blgc"
    reported = json.loads(
        _run("simulate", network, "--dataset", "cifar10", "--images", IMAGES, "--workers", workers, "--json")
    )
    simulated = {"graph": graph_digest(read_graph(network)), **{key: reported[key] for key in REPORTED}}
    write_json(folder / "simulate.json", simulated)


def _read(path: Path) -> Found | None:
    """Object of a JSON file; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _measured(out: Path) -> Iterator[tuple[str, Found]]:
    """Finished pipelines by `search/pipeline`, dated by their files."""
    for name, seed in product(CONFIGS, SEEDS):
        folder = _folder(name, seed)
        for path in sorted((out / folder).glob("**/result.json")):
            row: Found = json.loads(path.read_text(encoding="utf-8"))
            when = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).date().isoformat()
            row["cycles"] = _cycles(read_graph(path.with_name("network.blg")), row["target"])
            row["cycles_share"] = row["cycles"] / _whole(row["target"])
            command = f"python benchmarks/searches.py --run {name} --seeds {seed}"
            yield f"{folder}/{row['name']}", {**row, "command": command, "date": when}


def _folder(name: str, seed: int) -> str:
    return f"{name}-seed{seed}" if seed else name


def _cycles(graph: Graph, target: str) -> int:
    """Cycles of an input whose weights are on chip already, where they fit."""
    engine, ddr = TARGETS[target].engine, DdrModel.of(TARGETS[target])
    return predict(compile_graph(graph, engine, ddr).program, ddr, weights_resident=True).cycles


@cache
def _whole(target: str) -> int:
    """Cycles of the whole network, ResNet-20 in int8."""
    return _cycles(WHOLE.make(1, None).graph, target)


def _bars(rows: Mapping[str, Found], simulated: Found | None) -> Iterator[tuple[str, tuple[str, bool]]]:
    """The bars, each with the value reached and whether it is enough."""
    searched = {name: rows.get(f"{name}/search") for name in CONFIGS}
    yield (
        f"{SIMULATED}: at least {FLOOR:.0%} of CIFAR-10 in {SHARE:.0%} of int8's cycles",
        _fast(searched[SIMULATED]),
    )
    yield f"{SIMULATED}: RTL equal on {IMAGES:,} images", _exact(searched[SIMULATED], simulated)
    for bits, name in PRUNED.items():
        folders = [_folder(name, seed) for seed in SEEDS]
        pairs = [(rows.get(f"{folder}/search"), rows.get(f"{folder}/ordinary")) for folder in folders]
        yield f"{bits}: no less accurate than the ordinary pipeline", _against(pairs)
        yield f"{bits}: training at most {COST} times plain", _cheap([search for search, _ in pairs])
    yield (
        "latency rule: fewer cycles than the MACs rule at equal accuracy",
        _by_rule(*(searched[name] for name in RULES)),
    )


NOT_MEASURED = ("not measured", False)


def _fast(row: Found | None) -> tuple[str, bool]:
    if row is None:
        return NOT_MEASURED
    reached = row["test_accuracy"] >= FLOOR and row["cycles_share"] <= SHARE
    return f"{percent(row['test_accuracy'])} in {row['cycles_share']:.3f}", reached


def _exact(row: Found | None, simulated: Found | None) -> tuple[str, bool]:
    """The simulation in words, and whether it is enough; it counts only for the network that it ran."""
    if row is None or simulated is None or row["graph"] != simulated["graph"]:
        return NOT_MEASURED
    text = f"{simulated['mismatches']} integers differ, {percent(simulated['accuracy_integer'])}"
    return text, simulated["mismatches"] == 0 and simulated["images"] == IMAGES


def _against(pairs: Sequence[tuple[Found | None, Found | None]]) -> tuple[str, bool]:
    """Mean gain of searches over the ordinary pipelines of the same seeds."""
    known = [(search, plain) for search, plain in pairs if search is not None and plain is not None]
    if len(known) < len(pairs):
        return NOT_MEASURED
    gains = [search["test_accuracy"] - plain["test_accuracy"] for search, plain in known]
    each = ", ".join(f"{100 * gain:+.2f}" for gain in gains)
    mean = round(sum(gains) / len(gains), 6)
    return f"{100 * mean:+.2f} points{f' ({each})' if len(gains) > 1 else ''}", mean >= 0


def _cheap(rows: Sequence[Found | None]) -> tuple[str, bool]:
    costs = [row["training_cost"] for row in rows if row is not None]
    return NOT_MEASURED if len(costs) < len(rows) else (f"{max(costs):.2f}", max(costs) <= COST)


def _by_rule(latency: Found | None, macs: Found | None) -> tuple[str, bool]:
    if latency is None or macs is None:
        return NOT_MEASURED
    share = latency["cycles"] / macs["cycles"]
    gap = round(latency["test_accuracy"] - macs["test_accuracy"], 4)  # to a test image
    return f"{share:.3f} of its cycles at {100 * gap:+.2f} points", share < 1 and gap >= -EQUAL


def _cells(name: str, row: Found) -> tuple[str, ...]:
    search, pipeline = name.split("/")
    found = row["found"]
    return (
        search,
        pipeline,
        percent(row["test_accuracy"]),
        f"{row['cycles']:,}",
        f"{row['cycles_share']:.3f}",
        f"{found['macs']:,}",
        f"{row['training_cost']:.2f}",
        " ".join(row["choices"]),
    )


def _bar_cells(what: str, reached: tuple[str, bool]) -> tuple[str, str, str]:
    return what, reached[0], "yes" if reached[1] else "NO"


def _run(command: str, *words: object) -> str:
    """The output of a command; its messages pass through to stderr."""
    done = subprocess.run([BITLATHE, command, *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", nargs="+", default=[], choices=list(CONFIGS), metavar="SEARCH")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], choices=SEEDS, help="of --run")
    parser.add_argument("--simulate", action="store_true", help=f"{SIMULATED} on {IMAGES:,} images")
    parser.add_argument("--workers", type=int, default=2, help="simulated engines side by side")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "search")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
