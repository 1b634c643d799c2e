"""Figures on the pages: SVG drawn from the rows in benchmarks/results, written by benchmarks/report.py."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from kept import Row, read

WIDTH, LEFT, RIGHT, TOP, STEP = 760, 160, 60, 56, 28
TEXT, GREY, BLUE, ORANGE = "#1b1f24", "#57606a", "#0969da", "#bc4c00"
NAMES = {"lenet5": "LeNet-5", "mobilenet": "MobileNet v1", "vgg16": "VGG-16", "yolov3-tiny": "YOLOv3-tiny"}


def cycles(results: Path, target: str = "pynq-z2") -> str:
    """How near each network's cycles are to what array and memory allow."""
    rows = [row for row in read(results / "cycles.json") if _is_plain(row) and row["target"] == target]
    bars = sorted((_share(row), row) for row in rows)[::-1]
    scale = WIDTH - LEFT - RIGHT
    parts = [_legend(((BLUE, "bound by the array"), (ORANGE, "bound by memory")))]
    for place, (share, row) in enumerate(bars):
        y = TOP + STEP * place
        colour = BLUE if row["array_bound"] >= row["ddr_bound"] else ORANGE
        parts += [
            _text(LEFT - 8, y + 15, _name(row), "end"),
            f'<rect x="{LEFT}" y="{y}" width="{share * scale:.1f}" height="20" fill="{colour}"/>',
            _text(LEFT + share * scale + 6, y + 15, f"{100 * share:.0f} %"),
        ]
    title = f"The least cycles that array and memory allow, of those that the RTL takes: {target}, 8 bits"
    return _svg(title, TOP + STEP * len(bars) + 12, parts)


def frontier(results: Path, target: str = "pynq-z2") -> str:
    """Accuracy against cycles: networks at 8 bits, and what searches and baselines made of ResNet-20."""
    height, bottom = 420, 372
    points = [*_quantized(results, target), *_searched(results)]
    low, high = (math.log10(edge) for edge in (30_000, 500_000))
    least, most = 0.86, 0.94

    def place(taken: float, accuracy: float) -> tuple[float, float]:
        x = LEFT / 2 + (math.log10(taken) - low) / (high - low) * (WIDTH - LEFT / 2 - RIGHT)
        return x, bottom - (accuracy - least) / (most - least) * (bottom - TOP)

    parts = [_legend(((BLUE, "8 bits, all channels"), (ORANGE, "searches"), (GREY, "prune, then quantize")))]
    for accuracy in (0.86, 0.88, 0.90, 0.92, 0.94):
        x, y = place(10**low, accuracy)
        parts += [_line(x, y, WIDTH - RIGHT, y), _text(x - 8, y + 5, f"{100 * accuracy:.0f} %", "end")]
    for taken in (30_000, 50_000, 100_000, 200_000, 500_000):
        x, y = place(taken, least)
        parts += [_line(x, y, x, TOP), _text(x, y + 20, f"{taken:,}", "middle")]
    for colour, name, taken, accuracy in points:
        x, y = place(taken, accuracy)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}" fill-opacity="0.7"/>')
        if name:
            parts.append(_text(x + 9, y + 5, name))
    return _svg(
        f"CIFAR-10: accuracy of the integers on test images, against cycles on {target}", height, parts
    )


FIGURES = {"cycles.svg": cycles, "frontier.svg": frontier}


def draw(results: Path, folder: Path) -> None:
    """Write every figure."""
    folder.mkdir(exist_ok=True)
    for name, figure in FIGURES.items():
        (folder / name).write_text(figure(results), encoding="utf-8")


def _quantized(results: Path, target: str) -> Iterator[tuple[str, str, float, float]]:
    taken = {
        row["network"]: row["cycles"]
        for row in read(results / "cycles.json")
        if _is_plain(row) and row["target"] == target
    }
    for row in read(results / "accuracy.json"):
        if row["dataset"] == "CIFAR-10" and row["network"] in taken:
            yield BLUE, _name(row), taken[row["network"]], row["integer"]


def _searched(results: Path) -> Iterator[tuple[str, str, float, float]]:
    pipelines: Mapping[str, Row] = read(results / "searches.json")["pipelines"]
    for key, row in pipelines.items():
        search, _, name = key.partition("/")
        label = "4 bits" if search.endswith("-fast") else ""
        yield ORANGE if name == "search" else GREY, label, row["cycles"], row["test_accuracy"]


def _is_plain(row: Row) -> bool:
    return bool(row["bits"] == 8 and not row["variant"])


def _share(row: Row) -> float:
    return float(max(row["array_bound"], row["ddr_bound"]) / row["cycles"])


def _name(row: Row) -> str:
    name: str = row["network"]
    return NAMES.get(name, name.replace("resnet", "ResNet-"))


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    marks = (
        f'<rect x="{LEFT + 190 * place}" y="34" width="12" height="12" fill="{colour}"/>'
        + _text(LEFT + 18 + 190 * place, 45, words)
        for place, (colour, words) in enumerate(entries)
    )
    return "\n  ".join(marks)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#d0d7de"/>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    body = "\n  ".join(
        (
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
            f'<text x="16" y="22" font-weight="600">{escape(title)}</text>',
            *parts,
        )
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
    return f'{head} font-family="system-ui, sans-serif" font-size="13" fill="{TEXT}">\n  {body}\n</svg>\n'
