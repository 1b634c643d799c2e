"""Run a bench: build its simulator once, run it, and say how to repeat a failure.

Set BITLATHE_WAVES=1 to write the waves of every run to dump.vcd beside its log.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cocotb_tools.runner import get_runner

from bitlathe.model.native.cache import cache_folder
from bitlathe.rtl_tb.simulators import Simulator, build, library_sources, missing

WAVES_VARIABLE = "BITLATHE_WAVES"
SEED_VARIABLE = "BITLATHE_SEED"
LOG_LINES = 40  # last lines of a failed bench's log that its message shows


def run_bench(
    top: str,
    *,
    bench: str,
    seed: int,
    parameters: Mapping[str, int] | None = None,
    sources: Sequence[Path] = (),
    simulator: Simulator = Simulator.VERILATOR,
) -> None:
    """Run every cocotb test of module `bench` on hardware module `top`.

    `sources` come on top of the library's files that `top` needs. The test is skipped where the simulator is
    missing, and fails with the seed, the parameters and the command that repeats it.
    """
    reason = missing(simulator)
    if reason:
        pytest.skip(reason)
    design = library_sources(top, sources)
    failure = bench_failure(
        top, bench=bench, seed=seed, parameters=parameters or {}, design=design, simulator=simulator
    )
    if failure:
        pytest.fail(failure, pytrace=False)


def bench_failure(
    top: str,
    *,
    bench: str,
    seed: int,
    parameters: Mapping[str, int],
    design: Sequence[Path],
    beside: Sequence[Path] = (),
    simulator: Simulator = Simulator.VERILATOR,
) -> str | None:
    """The message of a failed run, None where every test passed; `design` is every source, packages first.

    The files `beside` are put into the folder where the simulator runs. ToolError where a tool fails.
    """
    waves = bool(os.environ.get(WAVES_VARIABLE))
    built = build(simulator, top, design, parameters, waves=waves)
    runs = cache_folder() / "runs"
    runs.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=runs, prefix=f"{top}-"))
    for path in beside:
        shutil.copy(path, folder)
    failed = _simulate(simulator, top, bench, seed, built, folder, waves)
    if failed:
        return _message(top, failed, seed, parameters, folder)
    if waves:
        print(f"waves: {folder / 'dump.vcd'}")
    else:
        shutil.rmtree(folder)
    return None


def _simulate(
    simulator: Simulator, top: str, bench: str, seed: int, built: Path, folder: Path, waves: bool
) -> list[str]:
    """Names of the tests that failed."""
    results = folder / "results.xml"
    plusargs = [f"+verilator+seed+{seed % (1 << 31) or 1}", "+verilator+rand+reset+2"]
    with suppress(SystemExit):  # the runner's way to tell pytest of a failure; the results tell which
        get_runner(simulator.value).test(
            test_module=bench,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=built,
            test_dir=folder,
            results_xml=str(results),
            seed=seed,
            extra_env={SEED_VARIABLE: str(seed)},
            plusargs=plusargs if simulator is Simulator.VERILATOR else [],
            test_args=["--trace"] if waves and simulator is Simulator.VERILATOR else [],
            log_file=folder / "log",
        )
    return _failures(results)


def _failures(results: Path) -> list[str]:
    """Names of the failed tests in a results file; a run that left no file or no test has failed."""
    if not results.exists():
        return ["the simulator ended early"]
    cases = list(ElementTree.parse(results).iter("testcase"))
    if not cases:
        return ["no test was found"]
    return [
        case.get("name", "?")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]


def _message(top: str, failed: list[str], seed: int, parameters: Mapping[str, int], folder: Path) -> str:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    again = f"python -m pytest '{test}' --seed {seed}" if test else "the same command"
    log = (folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    settings = " ".join(f"{name}={value}" for name, value in parameters.items())
    return "\n".join(
        [
            f"{top}: failed: {', '.join(failed)}",
            f"seed {seed}; parameters {settings or 'as in the module'}; whole log in {folder / 'log'}",
            f"repeat with waves: {WAVES_VARIABLE}=1 {again}",
            *log,
        ]
    )
