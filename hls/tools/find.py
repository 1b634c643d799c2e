"""Finding vendor tools: on PATH, or behind a settings script; the version is what the tool says itself."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bitlathe.model.graph.errors import ToolError

SETTINGS_VARIABLE = "BITLATHE_SETTINGS"  # a settings64.sh to source before looking
VIVADO_RELEASES = (2020, 1), (2025, 2)
# Earlier guides let no stream lead back within a dataflow region, as from output_stage to scratchpad.
HLS_RELEASES = (2022, 2), (2025, 2)
LOOK_SECONDS = 120  # a tool on a network drive starts slowly

_VERSION = re.compile(r"\bv?(?P<year>20\d\d)\.(?P<release>\d)\b")


class Launcher(Enum):
    """A launcher, by the executable's name; the first one found in this order is used."""

    VITIS_RUN = "vitis-run"  # 2023.2 and later, with v++
    VITIS_HLS = "vitis_hls"  # to 2024.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """An executable and its release."""

    name: str
    path: Path
    version: tuple[int, int]
    environment: Mapping[str, str]

    @property
    def release(self) -> str:
        """As the vendor writes it.

        >>> Tool(name="v++", path=Path("v++"), version=(2023, 2), environment={}).release
        '2023.2'
        """
        return f"{self.version[0]}.{self.version[1]}"


def find_hls() -> Tool | None:
    """The HLS tool to use, or None; ToolError if it does not answer or its release is not supported."""
    environment = tool_environment()
    names = [kind.value for kind in Launcher]
    return next((tool for name in names if (tool := find_tool(name, environment)) is not None), None)


def find_vivado() -> Tool | None:
    """Vivado, or None; errors as `find_hls`."""
    return find_tool("vivado", tool_environment())


def find_tool(name: str, environment: Mapping[str, str]) -> Tool | None:
    """A tool on the environment's PATH, or None."""
    path = shutil.which(name, path=environment.get("PATH"))
    if path is None:
        return None
    version = _version(path, environment)
    oldest, newest = VIVADO_RELEASES if name == "vivado" else HLS_RELEASES
    if not oldest <= version <= newest:
        raise ToolError(
            f"{path} is release {version[0]}.{version[1]}; supported are {oldest[0]}.{oldest[1]} to "
            f"{newest[0]}.{newest[1]}: name another one's settings64.sh in {SETTINGS_VARIABLE}"
        )
    return Tool(name=name, path=Path(path), version=version, environment=environment)


def tool_environment() -> dict[str, str]:
    """This process's environment, changed as the settings script changes it if one is named."""
    script = os.environ.get(SETTINGS_VARIABLE)
    if not script:
        return dict(os.environ)
    if not Path(script).is_file():
        raise ToolError(f"{SETTINGS_VARIABLE}={script}: no such file; name the tool's settings64.sh")
    command = f"source {shlex.quote(script)} >/dev/null && env -0"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f"{script} failed with status {done.returncode}: {done.stderr.strip()[-200:]}")
    pairs = (entry.partition("=") for entry in done.stdout.split("\0") if entry)
    return {name: value for name, _, value in pairs}


def _version(path: str, environment: Mapping[str, str]) -> tuple[int, int]:
    flag = "--version" if Path(path).name in ("v++", "vitis-run") else "-version"
    try:
        done = subprocess.run(
            [path, flag], capture_output=True, text=True, env=dict(environment), timeout=LOOK_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{path} {flag} does not answer: {error}; repair the installation") from error
    found = _VERSION.search(done.stdout + done.stderr)
    if found is None:
        raise ToolError(f"{path} {flag} names no release; is it the vendor's tool?")
    return int(found["year"]), int(found["release"])
