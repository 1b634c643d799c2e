"""The charts of a search's report, as Plotly figures of plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from bitlathe.flow.search.results import SearchResult
from bitlathe.model.search import EpochRecord, Measures, TrialStage
from bitlathe.model.search.hypervolume import pareto_front
from bitlathe.model.train import TaskMetric

_HEIGHT = 420  # pixels
_BAR = 22  # pixels a layer of a bar chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One figure and the words around it."""

    name: str  # an HTML id
    title: str
    note: str
    figure: str  # Plotly's JSON


def charts(result: SearchResult, baselines: Sequence[SearchResult]) -> tuple[Chart, ...]:
    """All charts of a search."""
    records = result.records
    return (
        _chart("choices", "Choices by epoch", _CHOICES, choices_figure(result, baselines)),
        _chart("front", f"{_title(result)} against latency", _FRONT, front_figure(result, baselines)),
        _chart("course", "Course of the search", _COURSE, course_figure(records, result.metric)),
        _chart("widths", "Channels of each layer", _BEFORE_AFTER, before_after(result.widths)),
        _chart(
            "weight-bits", "Bits of each layer's weights", _BEFORE_AFTER, before_after(result.weight_bits)
        ),
        _chart(
            "activation-bits",
            "Bits of each layer's output",
            _BEFORE_AFTER,
            before_after(result.activation_bits),
        ),
        _chart("cycles", "Cycles by layer", _CYCLES, before_after(result.layer_cycles)),
        _chart("ladder", "Error of the latency ladder's lower rungs", _LADDER, ladder_figure(records)),
        _chart("agreement", "Agreement of probes with whole epochs", _AGREEMENT, agreement_figure(records)),
    )


_CHOICES = "The method each pipeline took in each epoch: the map Z of Algorithm 1."
_FRONT = (
    "Every candidate after its whole epoch, on the images that judge; crosses are the ends of the baselines. "
    "The line goes through those that nothing beats in both, and below it is what they beat."
)
_COURSE = "The state that each epoch handed on, beside the network before the search."
_BEFORE_AFTER = "Before the search and after it."
_CYCLES = (
    "Cycles in which the array works for each layer, and in which it is idle, by the cycle model: before the "
    "search and after it."
)
_LADDER = (
    "Cycles that a lower rung says, over those that the highest measured, less one; of each epoch's winner."
)
_AGREEMENT = (
    "Kendall's tau between the scores of probes and of whole epochs, where both were run. Near 1, probing "
    "is safe."
)


def choices_figure(result: SearchResult, baselines: Sequence[SearchResult]) -> go.Figure:
    """Method by epoch, a line a pipeline."""
    traces = [
        go.Scatter(
            x=[record.epoch for record in each.records],
            y=[record.choice for record in each.records],
            mode="lines+markers",
            line={"shape": "hv"},
            name=each.name,
        )
        for each in (result, *baselines)
    ]
    return _figure(traces, "epoch", "method")


def front_figure(result: SearchResult, baselines: Sequence[SearchResult]) -> go.Figure:
    """Accuracy by latency."""
    found = [
        (candidate.measures, f"epoch {record.epoch}: {candidate.method}")
        for record in result.records
        for candidate in record.candidates
        if candidate.stage is TrialStage.EPOCH and candidate.measures is not None
    ]
    winners = [(record.measures, f"epoch {record.epoch}: {record.choice}") for record in result.records]
    ends = [(each.now, each.name) for each in baselines]
    front = unbeaten([result.reference, *(measures for measures, _ in (*found, *ends))])
    metric = result.metric
    traces = [
        _points("candidates", found, "circle-open", metric),
        _points("chosen", winners, "circle", metric),
        _points("before the search", [(result.reference, "before the search")], "diamond", metric),
        *(_points(name, [(end, name)], "x", metric) for end, name in ends),
        go.Scatter(
            x=[m.latency_ms for m in front],
            y=[_height(m, metric) for m in front],
            mode="lines",
            line={"shape": "hv"},
            name="unbeaten",
        ),
    ]
    figure = _figure(traces, "latency, ms", _axis(metric))
    if result.budget is not None:
        share = result.budget.spent(result.now.cycles, result.now.latency_ms)
        figure.add_vline(x=result.now.latency_ms / share, line_dash="dot", annotation_text="budget")
    return figure


def unbeaten(measures: Sequence[Measures]) -> list[Measures]:
    """Those that no other beats by the metric and latency, from the fastest on."""
    front = (measures[i] for i in pareto_front([(each.merit, -each.latency_ms) for each in measures]))
    return sorted(front, key=lambda each: each.latency_ms)


def course_figure(records: Sequence[EpochRecord], metric: TaskMetric) -> go.Figure:
    """Metric and latency by epoch."""
    epochs = [record.epoch for record in records]
    scores = [_height(record.measures, metric) for record in records]
    latencies = [record.measures.latency_ms for record in records]
    figure = _figure(
        [
            go.Scatter(x=epochs, y=scores, name=_axis(metric), mode="lines+markers"),
            go.Scatter(x=epochs, y=latencies, name="latency, ms", yaxis="y2", mode="lines+markers"),
        ],
        "epoch",
        _axis(metric),
    )
    figure.update_layout(yaxis2={"title": "latency, ms", "overlaying": "y", "side": "right"})
    return figure


def before_after(values: Mapping[str, tuple[float, float]]) -> go.Figure:
    """Two bars a layer."""
    names = list(values)
    traces = [
        go.Bar(y=names, x=[values[name][side] for name in names], name=word, orientation="h")
        for side, word in enumerate(("before", "after"))
    ]
    figure = _figure(traces, "", "")
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_layout(height=max(_HEIGHT, 2 * _BAR * len(names)))
    return figure


def ladder_figure(records: Sequence[EpochRecord]) -> go.Figure:
    """Error by epoch, a line a rung."""
    rungs = sorted({audit.rung for record in records for audit in record.audits})
    traces = []
    for rung in rungs:
        found = [(r.epoch, 100 * audit.error) for r in records for audit in r.audits if audit.rung == rung]
        traces.append(
            go.Scatter(
                x=[e for e, _ in found], y=[error for _, error in found], name=rung, mode="lines+markers"
            )
        )
    return _figure(traces, "epoch", "error, %")


def agreement_figure(records: Sequence[EpochRecord]) -> go.Figure:
    """Tau by epoch."""
    found = [(record.epoch, record.agreement) for record in records if record.agreement is not None]
    trace = go.Scatter(x=[e for e, _ in found], y=[tau for _, tau in found], mode="markers", name="tau")
    figure = _figure([trace], "epoch", "Kendall's tau")
    figure.update_yaxes(range=[-1.1, 1.1])
    return figure


def _title(result: SearchResult) -> str:
    title = result.metric.title
    return title[:1].upper() + title[1:]


def _axis(metric: TaskMetric) -> str:
    return f"{metric.title}, %" if metric.is_share else metric.title


def _height(measures: Measures, metric: TaskMetric) -> float:
    """Where measures are drawn: the metric, in percent where it is a share."""
    score = metric.merit(measures.merit)
    return 100 * score if metric.is_share else score


def _points(name: str, points: Sequence[tuple[Measures, str]], symbol: str, metric: TaskMetric) -> go.Scatter:
    return go.Scatter(
        x=[measures.latency_ms for measures, _ in points],
        y=[_height(measures, metric) for measures, _ in points],
        text=[text for _, text in points],
        mode="markers",
        marker={"symbol": symbol, "size": 9},
        name=name,
    )


def _figure(traces: Sequence[go.Scatter | go.Bar], x: str, y: str) -> go.Figure:
    layout = {
        "xaxis": {"title": x},
        "yaxis": {"title": y, "automargin": True},
        "height": _HEIGHT,
        "template": "plotly_white",
        "margin": {"t": 20, "l": 8, "r": 8},
        "legend": {"orientation": "h", "y": -0.2},
    }
    return go.Figure(data=list(traces), layout=layout)


def _chart(name: str, title: str, note: str, figure: go.Figure) -> Chart:
    return Chart(name=name, title=title, note=note, figure=figure.to_json())
