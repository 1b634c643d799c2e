"""A search's report: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bitlathe.flow.network.pictures import Gallery
from bitlathe.flow.search.charts import Chart, charts
from bitlathe.flow.search.results import SearchResult
from bitlathe.flow.wording import percent
from bitlathe.model.graph.files.storage import write_whole
from bitlathe.model.search import Measures

REPORT = "index.html"
_TEMPLATE = "report.html.j2"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """Cells that are ready to print."""

    name: str  # an HTML id
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Where a search's result comes from."""

    facts: tuple[tuple[str, str], ...]  # what it is, in the order of the page
    configuration: str  # TOML


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """Everything on the page."""

    title: str
    summary: str
    about: About
    tables: tuple[ReportTable, ...]
    charts: tuple[Chart, ...]
    pictures: tuple[str, ...]  # SVG of test images with what was found in them


def write_report(
    folder: Path, result: SearchResult, baselines: Sequence[SearchResult], about: About, gallery: Gallery
) -> Path:
    """Write the report of a search into its folder, and return its path."""
    path = folder / REPORT
    pictures = gallery.draw() if gallery.is_drawn else ()
    write_whole(path, render(report_view(result, baselines, about, pictures)).encode())
    return path


def report_view(
    result: SearchResult, baselines: Sequence[SearchResult], about: About, pictures: tuple[str, ...] = ()
) -> ReportView:
    """The contents of the page."""
    share = result.now.cycles / result.reference.cycles
    return ReportView(
        title=f"{result.name} on {result.dataset}",
        summary=(
            f"{len(result.records)} epochs on {result.target}: {percent(share)} of the cycles before the "
            f"search, {result.metric.title} {result.metric.said(result.test_score)} of the integer network "
            "on the test images." + ("" if result.verdict is None else f" The {result.verdict}.")
        ),
        about=about,
        tables=(comparison_table(result, baselines), choices_table(result)),
        charts=charts(result, baselines),
        pictures=pictures,
    )


def comparison_table(result: SearchResult, baselines: Sequence[SearchResult]) -> ReportTable:
    """The search beside its baselines."""
    before = _row("before", result, result.before_score, result.reference, ("0", "-"))
    rows = [*_original_row(result, len(before)), before, *map(_result_row, (result, *baselines))]
    return ReportTable(
        name="comparison",
        title="Search and baselines",
        note=f"Test {result.metric.title} is of the integer network on the whole test split, looked at once, "
        "at the end. "
        "The cost counts training steps of all candidates; plain training of as many epochs is 1.",
        columns=(
            "pipeline",
            f"test {result.metric.title}",
            f"held-out {result.metric.title}",
            "cycles",
            "of before",
            "latency, ms",
            "MACs",
            "bytes",
            "channels removed",
            "training cost",
        ),
        rows=tuple(rows),
    )


def _result_row(result: SearchResult) -> tuple[str, ...]:
    rest = f"{result.removed_channels:,}", f"{result.training_cost:.2f}"
    return _row(result.name, result, result.test_score, result.now, rest)


def _original_row(result: SearchResult, columns: int) -> list[tuple[str, ...]]:
    """What the ONNX file that was searched from computes by itself, if that is quantized."""
    if result.original_score is None:
        return []
    return [("the file itself", result.metric.said(result.original_score), *["-"] * (columns - 2))]


def _row(
    name: str, result: SearchResult, score: float, measures: Measures, rest: tuple[str, str]
) -> tuple[str, ...]:
    return (
        name,
        result.metric.said(score),
        result.said(measures),
        f"{measures.cycles:,}",
        percent(measures.cycles / result.reference.cycles),
        f"{measures.latency_ms:.4f}",
        f"{measures.macs:,}",
        f"{measures.size_bytes:,}",
        *rest,
    )


def choices_table(result: SearchResult) -> ReportTable:
    """Each epoch's choice and what was tried."""
    rows = []
    for record in result.records:
        tried = ", ".join(
            f"{c.method} ({c.stage.value}) {'failed' if c.score is None else f'{c.score:.4g}'}"
            for c in record.candidates
        )
        rows.append(
            (
                str(record.epoch),
                record.choice,
                result.said(record.measures),
                f"{record.measures.cycles:,}",
                tried,
            )
        )
    return ReportTable(
        name="choices-table",
        title="Candidates",
        note="Scores are the rule's; the highest wins.",
        columns=("epoch", "choice", f"held-out {result.metric.title}", "cycles", "scores"),
        rows=tuple(rows),
    )


def render(view: ReportView) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("bitlathe.flow.search", package_path="."),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    safe = [_safe(chart) for chart in view.charts]
    template = environment.get_template(_TEMPLATE)
    return template.render(view=_with(view, safe), plotly=Markup(get_plotlyjs()))


def _with(view: ReportView, figures: Sequence[dict[str, object]]) -> dict[str, object]:
    return {
        "title": view.title,
        "summary": view.summary,
        "about": view.about,
        "tables": view.tables,
        "charts": figures,
        "pictures": [Markup(picture) for picture in view.pictures],
    }


def _safe(chart: Chart) -> dict[str, object]:
    """A chart whose JSON may stand inside a script element."""
    figure = chart.figure.replace("<", "\\u003c")
    return {"name": chart.name, "title": chart.title, "note": chart.note, "figure": Markup(figure)}
