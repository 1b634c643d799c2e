"""Tables in README.md, docs/results.md and docs/import.md, and figures, from the rows in benchmarks/results.

python benchmarks/report.py           # write the tables and figures of the pages from the rows
python benchmarks/report.py --keep    # take rows over from build/bench first, as `make bench` left them

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; what is around it is written by hand.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from board_tables import NAMES, Cells, boards, everywhere
from cases import pruned
from figures import draw
from kept import AREA, Row, keep, read

from bitlathe.flow.wording import percent
from bitlathe.hls.target.config import TARGETS, reference_targets

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BENCH = ROOT / "build" / "bench"
FIGURES = ROOT / "docs" / "figures"
PAGES = (
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("results", "import", "performance", "boards")),
)
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)

SOAKED = {"network": "random networks", "program": "damaged programs"}
HEADLINES = ("lenet5", "resnet8", "resnet20", "resnet56")
FOUND = "resnet20-fast"  # the search in the headline
UNTRAINED = ("yolov3-tiny",)  # networks in the headline by their cycles alone, where those were measured
WHOLE = pruned(
    3, (16, 32, 64)
).variant  # ResNet-20 with all its channels, of random weights as the pruned ones
SMALL = "pynq-z2"  # the board that the smaller tables are about


def main(words: Sequence[str] | None = None) -> int:
    """Write the pages and the figures."""
    if _parse(words).keep:
        keep(BENCH, RESULTS)
    for page in PAGES:
        page.write_text(rendered(page.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")
    draw(RESULTS, FIGURES)
    return 0


def rendered(text: str, results: Path) -> str:
    """A page with every table as the rows say it."""
    return BLOCK.sub(lambda found: found[1] + _markdown(TABLES[found[2]](results)) + found[3], text)


def headline(results: Path) -> Iterator[Cells]:
    """The networks with trained weights, and the one that a search found."""
    targets = list(reference_targets())
    first, *others = targets
    yield "network, data", "accuracy: float, integer", f"{first}: cycles, latency", *others, "command"
    cycles = _cycles(results)
    for row in read(results / "accuracy.json"):
        if (network := row["network"]) in HEADLINES:
            yield (
                f"{NAMES[network]}, {row['dataset']}",
                f"{percent(row['float'])}, {percent(row['integer'])}",
                *(_cycles_and_latency(cycles[network, 8, "", target]) for target in targets),
                f"`python benchmarks/cycles.py --networks {network}`",
            )
    for row in read(results / "maps.json"):
        yield (
            NAMES[row["network"]],
            f"{percent(row['float'])}, {percent(row['integer'])} {row['metric']}",
            _cycles_and_latency(row),
            *[""] * len(others),
            f"`{row['command']}`",
        )
    for network in UNTRAINED:
        known = {target: cycles.get((network, 8, "", target)) for target in targets}
        if known[first]:
            yield (
                f"{NAMES[network]}, random weights",
                "",
                *(_cycles_and_latency(row) if row else "" for row in known.values()),
                f"`python benchmarks/cycles.py --networks {network}`",
            )
    searches = read(results / "searches.json")
    found, simulated = searches["pipelines"][f"{FOUND}/search"], searches["simulated"]
    floats = next(row["float"] for row in read(results / "accuracy.json") if row["network"] == "resnet20")
    latency = _milliseconds(simulated)
    yield (
        f"{NAMES[FOUND]}, CIFAR-10",
        f"{percent(floats)}, {percent(found['test_accuracy'])}",
        f"{simulated['cycles']:,}, {latency:#.3g} ms",
        "",
        "`python benchmarks/searches.py --simulate`",
    )


def networks(results: Path) -> Iterator[Cells]:
    """All networks at 8 bits on both targets."""
    shares = ("of the array's peak", "of the bound", "bound by", "model")
    yield "network, weights", "target", "cycles", *shares, "ms"
    for (_, bits, variant, target), row in _cycles(results).items():
        if bits == 8 and not variant.startswith("blocks"):
            yield (
                f"{_label(row)}, {row['weights']}",
                target,
                f"{row['cycles']:,}",
                f"{100 * row['ideal'] / row['cycles']:.1f} %",
                f"{row['cycles'] / max(row['array_bound'], row['ddr_bound']):.2f}",
                "memory" if row["ddr_bound"] > row["array_bound"] else "array",
                f"{100 * abs(row['predicted'] / row['cycles'] - 1):.2f} %",
                f"{_milliseconds(row):#.3g}",
            )


def accuracy(results: Path) -> Iterator[Cells]:
    """Accuracy in float and as integers."""
    yield "network", "data", "test images", "float", "integer", "command", "date"
    for row in read(results / "accuracy.json"):
        yield (
            NAMES[row["network"]],
            row["dataset"],
            f"{row['images']:,}",
            percent(row["float"]),
            percent(row["integer"]),
            f"`{row['command']}`",
            row["date"],
        )


def maps(results: Path) -> Iterator[Cells]:
    """Detection and segmentation, as far as the simulated hardware."""
    hardware = "simulated RTL, on images; float on those"
    head = ("network", "metric", "test images", "float", "integer")
    yield *head, hardware, "integers that differ", "on the simulated board", "cycles, ms", "command", "date"
    for row in read(results / "maps.json"):
        yield (
            NAMES[row["network"]],
            row["metric"],
            f"{row['test_images']:,}",
            percent(row["float"]),
            percent(row["integer"]),
            f"{percent(row['hardware'])} on {row['images']:,}; {percent(row['on_those'])}",
            str(row["mismatches"]),
            f"{row['board_images']:,} images",
            _cycles_and_latency(row).removesuffix(" ms"),
            f"`{row['command']}`",
            row["date"],
        )


def narrow(results: Path) -> Iterator[Cells]:
    """Fewer bits and fewer channels."""
    yield "network", "cycles", "of the 8-bit network's", "of its multiply-accumulates"
    cycles = _cycles(results)
    for (network, bits, variant, target), row in cycles.items():
        if target == SMALL and (bits < 8 or variant.startswith("blocks")) and variant != WHOLE:
            whole = cycles[network, 8, WHOLE if variant else "", target]
            yield (
                _label(row),
                f"{row['cycles']:,}",
                f"{row['cycles'] / whole['cycles']:.3f}",
                f"{row['macs'] / whole['macs']:.3f}",
            )


def whole(results: Path) -> Iterator[Cells]:
    """Networks whose every test image ran in simulated RTL."""
    yield "network", "target", "images", "integers that differ", "accuracy", "command"
    simulated = read(results / "searches.json")["simulated"]
    command = "python benchmarks/searches.py --simulate"
    for row in (*read(results / "whole.json"), {**simulated, "network": FOUND, "command": command}):
        yield (
            NAMES[row["network"]],
            row["target"],
            f"{row['images']:,}",
            str(row["mismatches"]),
            percent(row["accuracy_integer"]),
            f"`{row['command']}`",
        )


def area(results: Path) -> Iterator[Cells]:
    """Area of each target's engine."""
    yield "target", *(name.upper() for name in AREA), "fits", "tool", "date"
    for row in read(results / "resources.json"):
        note = f" ({row['note']})" if row["note"] else ""
        used = (f"{row[name]:,.0f} of {row[f'{name}_limit']:,}" for name in AREA)
        fits = "yes" if row["fits"] else "no"
        yield f"{row['target']}, {row['part']}{note}", *used, fits, row["tool"], row["date"]


def papers(results: Path) -> Iterator[Cells]:
    """The claims of papers, measured."""
    yield "row", "paper's subject", "data", "measured", "bar", "seeds", "date"
    for row in read(results / "papers.json"):
        yield (
            f"`{row['name']}`",
            row["paper"],
            row["dataset"],
            ", ".join(_metric(name, value) for name, value in row["metrics"].items()),
            f"{row['bar']}: {'met' if row['met'] else 'missed'}",
            " ".join(map(str, row["seeds"])),
            row["date"],
        )


def tries(results: Path) -> Iterator[Cells]:
    """Earlier attempts on the same test images."""
    yield "for", "tried before", "result"
    for row in read(results / "tries.json"):
        yield row["for"], row["tried"], row["result"]


def searches(results: Path) -> Iterator[Cells]:
    """The results of each pipeline."""
    yield "search, pipeline", "epochs", "accuracy", "cycles", "of int8's", "operations", "training", "date"
    pipelines = read(results / "searches.json")["pipelines"]
    for name, row in sorted(pipelines.items(), key=_by_seed):
        yield (
            f"`{name}`",
            str(row["epochs"]),
            percent(row["test_accuracy"]),
            f"{row['cycles']:,}",
            f"{row['cycles_share']:.3f}",
            f"{row['found']['macs']:,}",
            f"{row['training_cost']:.2f}",
            row["date"],
        )


def _by_seed(item: tuple[str, Row]) -> tuple[str, str]:
    """Searches by name, their seeds and baselines in order."""
    folder, _, pipeline = item[0].partition("/")
    name, _, seed = folder.partition("-seed")
    return name, f"{seed or 0} {pipeline}"


def imported(results: Path) -> Iterator[Cells]:
    """ONNX files from elsewhere that run bit for bit."""
    runtime = "differs from ONNX Runtime by, of outputs up to"
    integers = "integers that differ: compiled, engine, RTL"
    yield "file", "exporter, opset", "image", "operators", runtime, "target, cycles", integers
    for row in read(results / "imports.json"):
        if exact := row["exact"]:
            differing = (exact["differing"].get(name) for name in ("compiled", "engine", "rtl"))
            host = f"; left to the host: {', '.join(row['host'])}" if row["host"] else ""
            yield (
                _file(row),
                _exporter(row),
                " x ".join(map(str, row["image"])),
                ", ".join(f"{count} {name}" for name, count in row["operators"].items()) + host,
                f"{row['difference']:.0e}, {row['magnitude']:.2g}",
                f"{exact['target']}, {exact['cycles']:,}",
                ", ".join("not run" if count is None else str(count) for count in differing),
            )


def refused(results: Path) -> Iterator[Cells]:
    """ONNX files from elsewhere that are refused."""
    yield "file", "exporter, opset", "what it says"
    for row in read(results / "imports.json"):
        if row["refusal"]:
            lines = (f"`{line.strip()}`" for line in row["refusal"].splitlines())
            yield _file(row), _exporter(row), "<br>".join(lines)


def _file(row: Row) -> str:
    """A file's name, linked to where it is from or what makes it."""
    return f"[{row['file'].removesuffix('.onnx')}]({row.get('url') or '../' + row['made']})"


def _exporter(row: Row) -> str:
    return f"{row['producer'] or 'not said'}, {row['opset']}"


def operators(results: Path) -> Iterator[Cells]:
    """Each operator alone."""
    yield "operator", "target", "cycles", "of the bound", "integers that differ"
    for row in read(results / "operators.json"):
        ratio = f"{row['ratio']:.2f}" if row["bound"] else "no work of its own"
        yield row["operator"], row["target"], f"{row['cycles']:,}", ratio, str(row["mismatches"])


def memory(results: Path) -> Iterator[Cells]:
    """The headline networks behind faster and slower memories."""
    rows = sorted(read(results / "memory.json"), key=lambda row: row["busy"])
    shares = sorted({row["busy"] for row in rows})
    yield "network", "target", "latency, cycles", *(f"busy {share:g}" for share in shares)
    lines: dict[tuple[str, str, int], dict[float, int]] = {}
    for row in rows:
        lines.setdefault((row["network"], row["target"], row["latency"]), {})[row["busy"]] = row["cycles"]
    for (network, target, latency), cycles in lines.items():
        yield NAMES[network], target, str(latency), *(f"{cycles[share]:,}" for share in shares)


def soak(results: Path) -> Iterator[Cells]:
    """Random networks and damaged programs through every engine."""
    yield "what", "how many", "engines", "wrong", "what happened", "command", "commit", "date"
    for row in read(results / "soak.json"):
        yield (
            SOAKED[row["kind"]],
            f"{row['count']:,}",
            str(row["engines"]),
            str(row["wrong"]),
            ", ".join(f"{count:,} {end}" for end, count in row["ends"].items()),
            f"`{row['command']}`",
            row["commit"],
            row["date"],
        )


def mutants(results: Path) -> Iterator[Cells]:
    """One-line faults and what noticed them, by area."""
    yield "faults in", "files", "tried", "noticed", "by a theorem", "argued", "alive", "mean time"
    rows = read(results / "mutants.json")
    for area in dict.fromkeys(row["area"] for row in rows):
        own = [row for row in rows if row["area"] == area]
        killed = [row for row in own if row["killed_by"]]
        argued = sum(bool(row["argued"]) for row in own)
        yield (
            area,
            str(len({row["file"] for row in own})),
            str(len(own)),
            str(len(killed)),
            str(sum(row["killed_by"].startswith("make prove") for row in own)),
            str(argued),
            str(len(own) - len(killed) - argued),
            f"{sum(row['seconds'] for row in own) / len(own):.0f} s",
        )


def bars(results: Path) -> Iterator[Cells]:
    """The bars that the searches must reach."""
    yield "what", "reached", "met"
    for what, (reached, met) in read(results / "searches.json")["bars"].items():
        yield what, reached, "yes" if met else "no"


TABLES: Mapping[str, Callable[[Path], Iterator[Cells]]] = {
    table.__name__: table
    for table in (
        headline,
        networks,
        accuracy,
        maps,
        narrow,
        whole,
        area,
        boards,
        everywhere,
        papers,
        tries,
        searches,
        bars,
        imported,
        refused,
        operators,
        memory,
        soak,
        mutants,
    )
}


def _markdown(rows: Iterator[Cells]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


def _cycles(results: Path) -> dict[tuple[str, int, str, str], Row]:
    rows = read(results / "cycles.json")
    return {(row["network"], row["bits"], row["variant"], row["target"]): row for row in rows}


def _cycles_and_latency(row: Row) -> str:
    return f"{row['cycles']:,}, {_milliseconds(row):#.3g} ms"


def _milliseconds(row: Row) -> float:
    """Latency at the clock of the row's target."""
    return TARGETS[row["target"]].milliseconds(row["cycles"])


def _label(row: Row) -> str:
    bits = "" if row["bits"] == 8 else f"at {row['bits']} bits"
    return ", ".join(word for word in (NAMES[row["network"]], bits, row["variant"]) if word)


def _metric(name: str, value: float) -> str:
    """A metric whose name may end in its unit.

    >>> _metric("file MiB", 0.13528), _metric("drop", 0.0567), _metric("images trained on", 360000.0)
    ('file 0.1353 MiB', 'drop 0.0567 points', 'images trained on 360,000')
    """
    what, _, unit = name.rpartition(" ")
    if unit in ("%", "MiB", "MB", "KB"):
        return f"{what} {value:,.4g} {unit}"
    digits = ",.0f" if value >= 1000 or value == 0 else ",.3g"
    return f"{name} {value:{digits}}{UNITS.get(name, '')}"


UNITS = {"drop": " points", "ratio": " times"}


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="take rows over from build/bench")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
