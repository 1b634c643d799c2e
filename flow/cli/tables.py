"""Results as tables for a person; the same results as JSON are the dataclasses themselves.

Classes of results are named for the type checker alone, so that a table of one loads nothing of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bitlathe.flow.cli.options import as_options
from bitlathe.flow.cli.output import print_table
from bitlathe.flow.wording import percent
from bitlathe.model.graph.errors import first_of

if TYPE_CHECKING:
    from bitlathe.board.check_report import CheckReport
    from bitlathe.board.measurement import Measurement
    from bitlathe.flow.cli.doctor import Check
    from bitlathe.flow.compress.run import Compression
    from bitlathe.flow.compress.sensitivity import NetworkSensitivity
    from bitlathe.flow.hardware.compilation import Compilation
    from bitlathe.flow.hardware.explore import ExplorationRow
    from bitlathe.flow.hardware.hls import HlsResult
    from bitlathe.flow.hardware.profile import Profile
    from bitlathe.flow.hardware.resources import Resources
    from bitlathe.flow.hardware.simulation import SimulationResult
    from bitlathe.flow.network.quantization import QuantizationResult
    from bitlathe.flow.search.run import FinishedSearch
    from bitlathe.hls.explore.search import EngineChoice, Exploration
    from bitlathe.model.train import TaskMetric

REFUSED_SHOWN = 8
LOOPS_SHOWN = 5
ENGINE_COLUMNS = ("engine", "cycles", "at least", "DSP", "BRAM36", "LUT", "FF", "area", "")
LAYER_COLUMNS = (
    "layer",
    "cycles",
    "DDR stall",
    "other stall",
    "share",
    "array bound",
    "DDR bound",
    "of the peak",
    "weight bytes",
    "in memory",
)


def show_quantization(result: QuantizationResult) -> None:
    """Print what quantization cost."""
    rows = [
        (f"{result.title}, float", result.said(result.score_float)),
        (f"{result.title}, integer", result.said(result.score_integer)),
        ("test images", f"{result.images:,}"),
        ("bits, weights and activations", f"{result.weight_bits} and {result.activation_bits}"),
        ("parameters", f"{result.parameters:,}"),
        ("MACs an image", f"{result.macs:,}"),
        ("integer graph", result.out or "not written (no --out)"),
    ]
    print_table(f"{result.network} on {result.dataset}", ("quantized", ""), rows)


def show_compression(result: Compression) -> None:
    """Print a network's sizes before and after."""
    old, new = result.before, result.after
    rows = [
        (
            f"{result.metric.title}, integer",
            result.metric.said(old.score),
            result.metric.said(new.score),
            "",
        ),
        _change("parameters", old.parameters, new.parameters),
        _change("parameters that are not 0", old.nonzero, new.nonzero),
        _change("MACs an image", old.macs, new.macs),
        _change(f"cycles an image on {result.target}, predicted", old.cycles, new.cycles),
        _change("bytes of the parameters as float32", old.float_bytes, new.float_bytes),
        _change("bytes of the file", old.file_bytes, new.file_bytes),
    ]
    kinds = sorted({*old.parts, *new.parts})
    rows += [_change(f"  of these, {kind}", old.parts.get(kind, 0), new.parts.get(kind, 0)) for kind in kinds]
    title = f"{result.network} on {result.dataset}, {result.images:,} test images, in {result.out}"
    print_table(title, ("quantized to integers", "before", "after", "ratio"), rows)
    if result.verdict is not None:
        print(result.verdict)


def _change(what: str, before: int, after: int) -> tuple[str, str, str, str]:
    ratio = f"{after / before:.3f}" if before else ""
    return what, f"{before:,}", f"{after:,}", ratio


def show_simulation(result: SimulationResult) -> None:
    """Print what the simulated hardware gave."""
    rows = [
        (f"{result.title}, float", result.said(result.score_float)),
        (f"{result.title}, integer, from the hardware", result.said(result.score_integer)),
        ("test images", f"{result.images:,}"),
        ("output integers that differ", f"{result.mismatches:,}"),
        ("cycles an image", f"{result.cycles:,}"),
        ("cycles, weights not yet on chip", f"{result.cycles_first:,}"),
        ("cycles, predicted", f"{result.predicted_cycles:,}"),
        (f"latency at {result.clock_mhz:g} MHz", f"{result.latency_ms:.4f} ms"),
        ("MACs an image", f"{result.macs:,}"),
        (f"efficiency, of {result.array_macs_per_cycle} MACs a cycle", percent(result.efficiency)),
        ("cycles at least, by array and by DDR", f"{result.array_bound:,.0f} and {result.ddr_bound:,.0f}"),
    ]
    title = f"{result.network} on {result.dataset}, engine of {result.target} as simulated RTL"
    print_table(title, ("measured", ""), rows)
    if len(result.outputs) > 1:
        each = [(o.name, "x".join(map(str, o.shape)), f"{o.mismatches:,}") for o in result.outputs]
        print_table("outputs", ("output", "channels, height, width", "integers that differ"), each)


def show_profile(profile: Profile, chart: Path) -> None:
    """Print where the cycles of one image go."""
    rows = [
        (
            row.layer,
            f"{row.cycles:,}",
            f"{row.ddr_stall:,}",
            f"{row.other_stall:,}",
            f"{100 * row.total / profile.cycles:.1f} %",
            f"{row.array_bound:,.0f}",
            f"{row.ddr_bound:,.0f}",
            percent(row.peak_bound / row.cycles) if row.cycles else "-",
            f"{row.weight_bytes:,}",
            f"{row.encoded_bytes:,}",
        )
        for row in profile.rows
    ]
    print_table(f"cycles by layer (drawn in {chart})", LAYER_COLUMNS, rows)


def show_compilation(compiled: Compilation) -> None:
    """Print what was compiled."""
    rows = [
        ("folder", compiled.out),
        ("program", f"{compiled.program_bytes:,} bytes, {compiled.descriptors} descriptors"),
        ("weights", f"{compiled.weights_bytes:,} bytes"),
        ("scratch memory", f"{compiled.scratch_bytes:,} bytes"),
        ("cycles an image, predicted", f"{compiled.predicted_cycles:,}"),
        ("latency, predicted", f"{compiled.predicted_latency_ms:.4f} ms"),
    ]
    print_table(f"{compiled.network} for {compiled.target}", ("compiled", ""), rows)


def show_resources(row: Resources) -> None:
    """Print an engine's area beside its part's limits."""
    rows = [
        (kind, f"{used:,}", f"{limit:,}", percent(used / limit if limit else None))
        for kind, used, limit in row.uses()
    ]
    verdict = "fits" if row.fits else "DOES NOT FIT"
    title = f"engine {row.engine} of {row.target} on {row.part}, {row.tool}: {verdict}"
    print_table(title, ("resource", "used", "of", "share"), rows)


def show_timing(row: Resources, clock_mhz: float) -> None:
    """Print the longest path of an engine beside the clock it is meant for."""
    from bitlathe.flow.hardware.timing import NET_PS

    if row.path_ps is None:
        print(f"engine of {row.target}: Yosys has no delays of the family of {row.part}")
        return
    period = row.path_ps / 1000
    rows = [tuple(step.split(" ")) for step in row.path]
    print_table(f"longest path, engine {row.engine} of {row.target}", ("ps", "block", "cell"), rows, False)
    print(
        f"{period:.2f} ns with nets of {NET_PS} ps: {1000 / period:.0f} MHz, meant for {clock_mhz:g} MHz; "
        "an estimate, nothing was placed or routed"
    )


def show_sensitivity(result: NetworkSensitivity) -> None:
    """Print how much of the metric is gained or lost, shares in points, one line per layer."""
    metric = result.metric
    columns = ("layer", "channels", *(f"{share:.0%} gone" for share in result.shares))
    rows = [
        (name, str(result.channels[name]), *(_gained(metric, score - result.score) for score in scores))
        for name, scores in result.scores.items()
    ]
    print_table(
        f"{result.network} on {result.dataset}, each layer pruned alone by {result.criterion}: "
        f"{'points' if metric.is_share else 'change'} of {metric.title}, from {metric.said(result.score)} "
        f"of {result.images:,} training images",
        columns,
        rows,
    )


def _gained(metric: TaskMetric, change: float) -> str:
    return f"{100 * change:+.2f}" if metric.is_share else f"{change:+.4g}"


def show_search(finished: FinishedSearch) -> None:
    """Print the search beside its baselines."""
    from bitlathe.flow.search.report import comparison_table

    result = finished.result
    table = comparison_table(result, finished.baselines)
    print_table(f"{table.title}, {result.dataset} on {result.target}", table.columns, table.rows)
    print(f"choices: {' '.join(result.choices)}")
    if result.verdict is not None:
        print(result.verdict)
    print(f"report: {finished.report}")


def show_explored(row: ExplorationRow, found: Exploration) -> None:
    """Print the choices that none beats and the target's own, and the smallest that were refused."""
    shown = [choice for choice in found.fitting if choice.is_best or choice.is_shipped]
    print_table(
        f"{row.network} on {row.target}: engines that none beats", ENGINE_COLUMNS, [*map(_cells, shown)]
    )
    refused = [(choice.configuration.label, choice.limit or "") for choice in _tempting(found)]
    if refused:
        print_table("faster, and refused", ("engine", "first limit violated"), refused, False)
    print(
        f"{len(found.fitting)} fit, {len(found.refused)} refused, {row.skipped} skipped; cycles by the cycle "
        f"model, weights on chip where they fit. LUT and FF are measured by Yosys or estimated, then off by "
        f"up to {100 * row.lut_error:.0f} % and {100 * row.ff_error:.0f} % where that was tried."
    )
    if found.left_out:
        print(
            f"{len(found.left_out)} left out, as time ran out: they take {found.left_out[0].bound:,.0f} "
            "cycles at least; give more --seconds to compile for them too"
        )


def _tempting(found: Exploration) -> list[EngineChoice]:
    """The smallest refused engine of each array whose bound is below all cycles."""
    least = min((choice.costs()[0] for choice in found.fitting), default=0)
    arrays: dict[tuple[int, int, int], EngineChoice] = {}
    for choice in found.refused:
        each = choice.configuration
        if choice.bound < least:
            arrays.setdefault((each.pi, each.po, each.pp), choice)
    return list(arrays.values())[:REFUSED_SHOWN]


def _cells(choice: EngineChoice) -> tuple[str, ...]:
    area = choice.area
    return (
        choice.configuration.label,
        f"{choice.cycles:,}" if choice.cycles is not None else "-",
        f"{choice.bound:,.0f}",
        f"{area.dsp:,}",
        f"{area.bram36:g}",
        f"{area.lut:,}",
        f"{area.ff:,}",
        "measured" if area.is_measured else "estimate",
        "shipped" if choice.is_shipped else "",
    )


def show_measurement(measured: Measurement) -> None:
    """Print what a board measured."""
    kind = "simulated " if measured.simulated else ""
    rows = [
        ("test images", f"{measured.images:,}"),
        ("output integers that differ", f"{measured.mismatches:,}"),
        ("right answers", "-" if measured.correct is None else f"{measured.correct:,}"),
        ("cycles an image", f"{measured.cycles:,}"),
        ("cycles, weights not yet on chip", f"{measured.cycles_first:,}"),
        ("cycles, predicted", f"{measured.predicted_cycles:,}"),
        ("clock asked, read back, counted", _clocks(measured)),
        ("image, overlay", f"{measured.image or '-'}, {measured.overlay[:12] or '-'}"),
        ("latency", f"{measured.latency_ms:.4f} ms"),
        ("images in to outputs back", "-" if measured.wall_ms is None else f"{measured.wall_ms:.4f} ms"),
    ]
    print_table(f"{measured.network} on {kind}{measured.board}, pynq {measured.pynq}", ("measured", ""), rows)
    if len(measured.outputs) > 1:
        each = [(output.name, f"{output.mismatches:,}") for output in measured.outputs]
        print_table("outputs", ("output", "integers that differ"), each)
    cycles = [(row.layer, f"{row.cycles:,}") for row in measured.layers]
    print_table("cycles by layer", ("layer", "cycles"), cycles)


def _clocks(measured: Measurement) -> str:
    found = (measured.clock_asked_mhz, measured.clock_mhz, measured.clock_counted_mhz)
    return ", ".join("-" if mhz is None else f"{mhz:.6g}" for mhz in found) + " MHz"


def show_check(report: CheckReport) -> None:
    """Print what was found of a board, line by line."""
    rows = [(line.name, "passed" if line.passed else "FAILED", line.says) for line in report.lines]
    labels = report.labels
    where = f"{labels.board}, {labels.image}, overlay {labels.overlay[:12]}" if labels else "no overlay"
    print_table(f"{report.bundle}: {where}", ("looked at", "", "found"), rows)


def show_differences(report: CheckReport, measured: Measurement) -> None:
    """Print how a board's report compares with a measurement."""
    there = f"{'simulated ' if measured.simulated else ''}{measured.board}"
    print_table("against the report", ("", "report", there, "apart"), list(report.differences(measured)))


def show_hls(result: HlsResult) -> None:
    """Print what was emitted, proven and synthesized, and what was not."""
    equal = "equal to" if not result.mismatches else f"{result.mismatches} integers off"
    head = f"{result.network} for {result.target}, {result.flow} flow"
    done = [
        f"{head}: {result.files} files in {result.out}",
        f"C simulation of {result.images} images: {equal} the reference, in {result.seconds:.1f} s",
    ]
    if result.report is not None:
        done.append(_report_line(result.report))
    if result.ip is not None:
        done.append(f"exported IP: {result.ip}")
    if result.bench == "":
        done.append("whole-engine bench on the exported Verilog: every integer equal to the reference")
    done += [as_options(f"not done: {text}") for text in result.not_done]
    print("\n".join(done))


def _report_line(report: Mapping[str, object]) -> str:
    used = ", ".join(f"{name.upper()} {report[name]}" for name in ("lut", "ff", "dsp", "bram36", "uram"))
    return (
        f"estimates of {report['tool']}: {used}; clock {report['estimated_clock_ns']} of "
        f"{report['clock_ns']} ns; "
        f"{'fits' if report['fits'] else 'does NOT fit'} the part; {_loops_line(report['slow_loops'])}"
    )


def _loops_line(slow: object) -> str:
    """Which pipelined loops miss an iteration a cycle."""
    assert isinstance(slow, Mapping)
    named = [f"{name} every {interval} cycles" for name, interval in slow.items()]
    if not named:
        return "every pipelined loop starts an iteration a cycle"
    return f"slower than an iteration a cycle: {first_of(named, LOOPS_SHOWN)}"


def show_checks(checks: tuple[Check, ...]) -> None:
    """Print what is installed and how to get the rest."""
    rows = [
        (
            check.name,
            "yes" if check.found else ("NO" if check.is_required else "no"),
            check.version or "-",
            check.needed_for if check.found else check.how_to_get,
        )
        for check in checks
    ]
    print_table("what is here", ("tool", "found", "version", "needed for, or how to get it"), rows, False)
