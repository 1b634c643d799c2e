"""Results as tables for a person; the same results as JSON are the dataclasses themselves."""

from __future__ import annotations

from pathlib import Path

from bitlathe.flow.compilation import Compilation
from bitlathe.flow.compression import Compression
from bitlathe.flow.doctor import Check
from bitlathe.flow.output import percent, print_table
from bitlathe.flow.profile import COLUMNS, Profile
from bitlathe.flow.quantization import Quantization
from bitlathe.flow.resources import Resources
from bitlathe.flow.simulation import Simulation
from bitlathe.flow.timing import NET_PS


def show_quantization(result: Quantization) -> None:
    """Print what quantization cost."""
    rows = [
        ("accuracy, float", percent(result.accuracy_float)),
        ("accuracy, integer", percent(result.accuracy_integer)),
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
        ("accuracy, integer", percent(old.accuracy), percent(new.accuracy), ""),
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


def _change(what: str, before: int, after: int) -> tuple[str, str, str, str]:
    ratio = f"{after / before:.3f}" if before else ""
    return what, f"{before:,}", f"{after:,}", ratio


def show_simulation(result: Simulation) -> None:
    """Print what the simulated hardware gave."""
    rows = [
        ("accuracy, float", percent(result.accuracy_float)),
        ("accuracy, integer, from the hardware", percent(result.accuracy_integer)),
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


def show_profile(profile: Profile, chart: Path) -> None:
    """Print where the cycles of one image go."""
    print_table(f"cycles by layer (drawn in {chart})", COLUMNS, profile.table())


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
