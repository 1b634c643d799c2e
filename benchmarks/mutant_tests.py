"""Which tests cover a file, and what they say of a fault in a private copy of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from mutant_plugin import LINES, REPORT
from mutation import HARDWARE, PYTHON, Fault

from bitlathe.model.graph.errors import ToolError
from bitlathe.model.native.cache import CACHE_VARIABLE, cache_folder, digest_of
from bitlathe.rtl_tb.formal.model import PROPERTIES
from bitlathe.rtl_tb.formal.tables import BLOCKS
from bitlathe.rtl_tb.simulators import library_sources

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "mutants"
ROOMS = ("board", "flow", "hls", "model", "rtl_tb")
MARKS = "not (slow or vitis or vivado or board or cuda)"
PROPERTY_MODULES = tuple(sorted(PROPERTIES.glob("*.sv")))
WHOLE = "engine"  # the module that holds all others
TIME_LIMIT = "the time limit"  # what kills a fault that makes tests run for ever
NOTHING: Mapping[str, Any] = {"failed": [], "ends": {}}  # of no tests
_BENCH = re.compile(r'run_bench\(\s*"(\w+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Files that have faults, and the tests that must notice them."""

    name: str
    sources: tuple[str, ...]  # patterns
    tests: tuple[str, ...]  # patterns of files
    most: int  # faults a file
    only: str = ""  # which of the tests: an expression of pytest's -k
    without: tuple[str, ...] = ()  # patterns of sources that are rendered, or say nothing that runs

    def files(self) -> list[str]:
        return _found(self.sources, self.without)

    def test_files(self) -> list[str]:
        return _found(self.tests, ())


AREAS = (
    Area(
        name="RTL",
        sources=("hls/rtl/*.sv",),
        without=("hls/rtl/*_pkg.sv",),
        tests=("rtl_tb/*/test_*.py", "tests/hls/sim/test_engine.py", "tests/hls/sim/test_engine_recovery.py"),
        only="not (ICARUS or wide or narrow)",  # one engine, and the simulator that is quicker on the whole
        most=3,
    ),
    Area(
        name="HLS C++",
        sources=("hls/vitis/include/bitlathe/*.hpp",),
        tests=(
            "tests/hls/vitis/test_exec.py",
            "tests/hls/vitis/test_engine.py",
            "tests/hls/vitis/test_streams.py",
        ),
        most=2,
    ),
    Area(
        name="compiler",
        sources=("hls/compile/*.py",),
        tests=("tests/hls/compile/test_*.py", "tests/hls/test_checks.py", "tests/hls/functional/test_run.py"),
        most=1,
    ),
    Area(
        name="reference",
        sources=("model/graph/*.py",),
        without=("model/graph/errors.py", "model/graph/arrays.py"),
        tests=("tests/model/graph/test_*.py",),
        most=2,
    ),
    Area(
        name="functional model",
        sources=("hls/functional/*.py", "hls/checks.py"),
        tests=(
            "tests/hls/functional/test_*.py",
            "tests/hls/test_checks.py",
            "tests/hls/compile/test_encodings.py",
        ),
        most=3,
    ),
    Area(
        name="capture",
        sources=("model/capture/*.py",),
        tests=("tests/model/capture/test_*.py",),
        most=1,
    ),
    Area(
        name="pruning",
        sources=("model/prune/channels/*.py", "model/compress/methods/*.py"),
        tests=("tests/model/prune/channels/test_*.py", "tests/model/compress/methods/test_*.py"),
        most=1,
    ),
    Area(
        name="runner and agent",
        sources=("board/*.py",),
        without=("board/errors.py", "board/__main__.py"),
        tests=("tests/board/test_*.py",),
        only="not what_is_deployed_runs",  # what is deployed runs from where it was put, and not from a copy
        most=1,
    ),
)


def _found(patterns: Iterable[str], without: Iterable[str]) -> list[str]:
    """Files by patterns from the root, in order."""
    paths = {path for pattern in patterns for path in ROOT.glob(pattern)}
    paths -= {path for pattern in without for path in ROOT.glob(pattern)}
    return sorted(str(path.relative_to(ROOT)) for path in paths if path.name != "__init__.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTest:
    """What a run without faults showed of a test."""

    name: str  # of pytest
    seconds: float
    lines: Mapping[str, Sequence[int]] = field(default_factory=dict)  # that it ran, of Python files

    @property
    def file(self) -> str:
        return self.name.partition("::")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the tests said of a fault."""

    killed_by: str  # a test, a proof, the time limit; nothing: it lives
    is_built: bool = True


class Copy:
    """A copy of the files that git has or would have, which a fault may be put into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        links = folder / "build" / "types" / "bitlathe"
        links.mkdir(parents=True)
        for room in ROOMS:
            (links / room).symlink_to(folder / room)
        (links / "__init__.py").symlink_to(folder / "flow" / "bitlathe" / "__init__.py")
        self.python_path = os.pathsep.join(map(str, (links.parent, folder / "benchmarks")))
        self.server = Server()

    def close(self) -> None:
        """End what runs for it; its files stay."""
        self.server.close()

    def write(self, file: str, text: str) -> None:
        """Replace a file and forget what Python compiled of it."""
        path = self.folder / file
        path.write_text(text, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def pytest(
        self, tests: Sequence[str], limit: float, *words: str, **variables: str
    ) -> dict[str, Any] | None:
        """What the plugin found of some tests; None past the limit in seconds."""
        report, names, log = (self.folder / "build" / name for name in ("report.json", "tests", "log"))
        report.unlink(missing_ok=True)
        names.write_text("".join(f"{test}\n" for test in tests), encoding="utf-8")
        arguments = ["-q", "-p", "mutant_plugin", "-p", "no:cacheprovider", "-m", MARKS, *words, f"@{names}"]
        job = {
            "folder": str(self.folder),
            "environment": {"PYTHONPATH": self.python_path, REPORT: str(report), LINES: "", **variables},
            "log": str(log),
            "arguments": arguments,
        }
        status = self.server.run(job, limit)
        if status is None:
            return None
        if not report.exists():
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            if status < 0 or status == 1:  # the fault ended Python itself
                return {"failed": [tests[0]], "ends": {tests[0]: said}}
            raise ToolError(f"pytest ended with status {status} in {self.folder}:\n{said}")
        return dict(json.loads(report.read_text(encoding="utf-8")))

    def is_proved(self, block: str, limit: float) -> bool:
        """Whether the theorems of a block hold there; also where they cannot be asked."""
        environment = {**os.environ, "PYTHONPATH": self.python_path}
        words = ("--blocks", block, "--theorems", "--jobs", "1")
        with suppress(subprocess.TimeoutExpired):
            command = [sys.executable, "benchmarks/proofs.py", *words]
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, timeout=limit
            )
            return done.returncode != 1
        return True


class Server:
    """A process that runs pytest in forks of it."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).with_name("mutant_server.py"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers: SimpleQueue[str] = SimpleQueue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.reader.join()
        self.process.stdout.close()
        self.process.wait()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.answers.put(line)
        self.answers.put("")

    def run(self, job: Mapping[str, Any], limit: float) -> int | None:
        """Status of a run; None past its limit in seconds. Nothing of it runs on afterwards."""
        assert self.process.stdin is not None
        print(json.dumps(job), file=self.process.stdin, flush=True)
        leader = int(self.answers.get())
        try:
            return int(self.answers.get(timeout=limit))
        except Empty:
            _end_group(leader)
            self.answers.get()
            return None
        finally:
            _end_group(leader)


def _end_group(leader: int) -> None:
    """End the processes that one has started and left behind, and itself."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


# ---- which tests cover a line


def control(area: Area, copy: Copy, kept: Path) -> list[KnownTest]:
    """The tests of an area as they run without a fault, unless they did before; ToolError if one fails."""
    places = {file: kept / f"{_digest(area, file)}.json" for file in area.test_files()}
    left = [file for file, place in places.items() if not place.exists()]
    if left:
        kept.mkdir(parents=True, exist_ok=True)
        folders = sorted({str(Path(file).parent) for file in area.files() if file.endswith(PYTHON)})
        found = copy.pytest(
            left, 3600, "-k", area.only, **{LINES: " ".join(folders), CACHE_VARIABLE: str(cache_folder())}
        )
        if found is None or found["failed"]:
            words = (
                "".join(found["ends"][test] for test in found["failed"][:1])
                if found
                else "an hour is not enough"
            )
            raise ToolError(f"tests of {area.name} fail without a fault: {words}")
        for file in left:
            own = {
                name: found["seconds"][name]
                for name, end in found["ends"].items()
                if end == "passed" and name.partition("::")[0] == file
            }
            tests = {
                name: {"seconds": seconds, "lines": found["lines"].get(name, {})}
                for name, seconds in own.items()
            }
            places[file].write_text(json.dumps(tests), encoding="utf-8")
    return [
        KnownTest(name=name, **about)
        for place in places.values()
        for name, about in json.loads(place.read_text(encoding="utf-8")).items()
    ]


def _digest(area: Area, test_file: str) -> str:
    """Names what a test file's findings hang on: the area's files, and what the tests are made of."""
    return digest_of([test_file, area.only], [*(ROOT / file for file in area.files()), *read_by(test_file)])


def read_by(test_file: str) -> list[Path]:
    """A file of tests and those beside it that hold none, as a bench is."""
    folder = (ROOT / test_file).parent
    others = (path for path in sorted(folder.iterdir()) if path.suffix in (".py", ".sv"))
    return [*(path for path in others if not path.name.startswith("test_")), ROOT / test_file]


def stages(area: Area, fault: Fault, tests: Sequence[KnownTest]) -> list[list[KnownTest]]:
    """The tests that run the line, the quickest first; of RTL those of the whole engine apart."""
    module = Path(fault.file).stem
    if fault.file.endswith(HARDWARE):
        covering = [test for test in tests if module in modules_of(test.file)]
        benches = [test for test in covering if WHOLE not in modules_of(test.file)]
        return [
            sorted(each, key=_bench_cost) for each in (benches, [t for t in covering if t not in benches])
        ]
    if not fault.file.endswith(PYTHON):
        return [sorted(tests, key=lambda test: (test.file, test.seconds))]
    ran = [(test, test.lines.get(fault.file, ())) for test in tests]
    covering = [test for test, lines in ran if fault.line in lines]
    touching = {test.name for test, lines in ran if lines}  # what runs on import may be seen by any test
    cost = {
        test.name: (module not in Path(test.file).stem, test.name not in touching, test.seconds)
        for test in tests
    }
    return [sorted(covering or tests, key=lambda test: cost[test.name])]


def _bench_cost(test: KnownTest) -> tuple[int, float]:
    """Modules that are compiled, and seconds."""
    return len(modules_of(test.file)), test.seconds


@cache
def modules_of(test_file: str) -> frozenset[str]:
    """Modules that a bench's tests simulate; of tests that start no bench, the whole engine's."""
    text = (ROOT / test_file).read_text(encoding="utf-8")
    own = tuple((ROOT / test_file).parent.glob("*.sv"))
    tops = _BENCH.findall(text) or [WHOLE]
    return _stems(path for top in tops for path in library_sources(top, own))


def proofs_of(file: str) -> list[str]:
    """Names of the blocks with theorems that a module is part of, the smallest first."""
    modules = {block.name: _stems(library_sources(block.top, PROPERTY_MODULES)) for block in BLOCKS}
    own = (name for name, stems in modules.items() if Path(file).stem in stems)
    return sorted(own, key=lambda name: len(modules[name]))


def _stems(paths: Iterable[Path]) -> frozenset[str]:
    return frozenset(path.stem for path in paths)


# ---- what they say of a fault


def try_fault(area: Area, fault: Fault, tests: Sequence[KnownTest], copy: Copy) -> Verdict:
    """Put a fault into the copy, run its tests until one fails, and take it out again."""
    text = (ROOT / fault.file).read_text(encoding="utf-8")
    is_python = fault.file.endswith(PYTHON)
    cache = cache_folder() if is_python else copy.folder.with_name("cache")
    cache.mkdir(parents=True, exist_ok=True)
    before = set(cache.iterdir())
    copy.write(fault.file, fault.applied(text))
    try:
        for number, stage in enumerate(stages(area, fault, tests)):
            if number and (proof := _disproved(fault, copy)):
                return Verdict(killed_by=proof)
            limit = (60 if is_python else 900) + 5 * sum(test.seconds for test in stage)
            names = [test.name for test in stage]
            found = copy.pytest(names, limit, "-x", **_variables(cache, is_python)) if names else NOTHING
            if found is None:
                return Verdict(killed_by=TIME_LIMIT)
            if failed := found["failed"][:1]:
                words = found["ends"][failed[0]]
                is_built = is_python or "ToolError" not in words
                return Verdict(killed_by=failed[0], is_built=is_built)
        return Verdict(killed_by="")
    finally:
        copy.write(fault.file, text)
        if not is_python:
            for path in set(cache.iterdir()) - before:
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.suffix != ".o":  # Verilator's library, which has nothing of ours
                    path.unlink()


def _variables(cache: Path, is_python: bool) -> dict[str, str]:
    """Settings of a run; what is compiled once and thrown away is optimized little."""
    compiler = cache.parent / "g++-O1"
    if not is_python and not compiler.exists():
        compiler.write_text('#!/bin/sh\nexec g++ "$@" -O1\n', encoding="utf-8")
        compiler.chmod(0o755)
    return {CACHE_VARIABLE: str(cache), **({} if is_python else {"CXX": str(compiler)})}


def _disproved(fault: Fault, copy: Copy) -> str:
    """The theorems that do not hold with a fault of the RTL, by their command."""
    if fault.file.endswith(HARDWARE):
        for block in proofs_of(fault.file):
            # The products of a multiplier pair take a solver many minutes.
            if block != "mac_pair" and not copy.is_proved(block, 900):
                return f"make prove BLOCKS={block}"
    return ""
