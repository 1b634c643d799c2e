"""`bitlathe deploy`: a folder with all that a board needs, and the commands that bring it there.

Python files, bundle and notebook; no PyTorch, no compiler. The integer graph's room goes along because the
notebook lets the board's processor compute the same integers.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bitlathe.board.agent import read_token
from bitlathe.board.bundle import find_bundle, pack
from bitlathe.board.manifest import Manifest
from bitlathe.flow.files import whole_folder
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.files.build_plan import BuildPlan

MARKER = "agent.sh"
TOKEN = "token"  # made here, so that host and board have the same
ROOMS = ("board", "model/graph")
NOTEBOOK = "classify.ipynb"
_ROOT = Path(__file__).resolve().parents[2]  # of a checkout
_AGENT = """\
#!/bin/bash
# Serves this board to a search; as root, because pynq maps the fabric's registers. Arguments go to the agent.
cd "$(dirname "$0")"
[ -f /etc/profile.d/pynq_venv.sh ] && source /etc/profile.d/pynq_venv.sh
[ -f /etc/profile.d/xrt_setup.sh ] && source /etc/profile.d/xrt_setup.sh
exec python3 -m bitlathe.board.agent --token-file token "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A folder for a board."""

    folder: Path
    bundle: str  # file in it
    board: str

    def copy_command(self, host: str) -> str:
        """Command that copies the folder to `host`, over an earlier one, and replaces its bundle."""
        there = shlex.quote(self.folder.resolve().name)
        unpack = shlex.quote(f"mkdir -p {there} && rm -f {there}/*.bundle && tar -C {there} -xz")
        return f"tar -C {shlex.quote(str(self.folder))} -cz . | ssh {shlex.quote(host)} {unpack}"

    def commands(self, host: str) -> list[str]:
        """Commands that copy the folder to `host` and use it there, to be typed one after another."""
        name = self.folder.resolve().name
        setup = "source /etc/profile.d/pynq_venv.sh; source /etc/profile.d/xrt_setup.sh"
        return [
            self.copy_command(host),
            f"ssh -t {host} \"sudo bash -c '{setup}; cd {name} && python3 -m bitlathe.board {self.bundle}'\"",
            f"ssh -t {host} sudo bash {name}/{MARKER}",
            f"ssh -N -L 8377:127.0.0.1:8377 {host}   # in another terminal: the tunnel to the agent",
            f"bitlathe measure --board 127.0.0.1 --token-file {self.folder / TOKEN}"
            f" --bundle {self.folder / self.bundle}",
        ]


def deploy(bundle: Path, out: Path) -> Deployment:
    """Fill `out` with everything for a board. Raises what reading the bundle and filling the folder raise.

    A token that is there stays: the board may have it already.
    """
    with whole_folder(out, MARKER) as folder:
        manifest = _copy_bundle(bundle, folder)
        _board_plan().fill(folder)
        if (out / TOKEN).is_file():
            shutil.copy2(out / TOKEN, folder / TOKEN)
        read_token(folder / TOKEN)
        name = next(folder.glob("*.bundle")).name
    return Deployment(folder=out, bundle=name, board=manifest.board)


def copy_to(deployment: Deployment, host: str) -> None:
    """Copy the folder to a board over ssh; ToolError where that fails."""
    for tool in ("ssh", "tar"):
        if shutil.which(tool) is None:
            raise ToolError(f"{tool} is missing: install it, or copy the folder by other means")
    command = deployment.copy_command(host)
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f"{command} failed with status {done.returncode}: {done.stderr.strip()[-200:]}")


def _copy_bundle(path: Path, folder: Path) -> Manifest:
    unpacked = folder / ".unpacked"
    try:
        bundle = find_bundle(path, unpacked)
        pack(bundle, folder)
        return bundle.manifest
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _board_plan() -> BuildPlan:
    """Files that every board needs beside its bundle."""
    sources = [path for room in ROOMS for path in sorted((_ROOT / room).rglob("*.py"))]
    rooms = {f"bitlathe/{path.relative_to(_ROOT).as_posix()}": path.read_bytes() for path in sources}
    notebook = (_ROOT / "board" / "notebooks" / NOTEBOOK).read_bytes()
    return BuildPlan({**rooms, NOTEBOOK: notebook, MARKER: _AGENT.encode()})
