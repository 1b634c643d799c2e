"""`sim://BOARD`: an agent of a simulated board, started on this machine and ended with the caller."""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bitlathe.board.agent import LOOPBACK, read_token
from bitlathe.board.client import Agent
from bitlathe.board.errors import AgentError
from bitlathe.board.fields import JsonFields
from bitlathe.board.sim.boards import board_model

SCHEME = "sim://"
START_SECONDS = 120.0  # a loaded machine takes long to import


@contextmanager
def simulated_agent(board: str, options: Sequence[str] = ()) -> Iterator[Agent]:
    """An agent of a simulated board for the time of the block; `options` are of the agent's command line."""
    board_model(board)
    with tempfile.TemporaryDirectory(prefix="bitlathe-") as folder:
        token_file = Path(folder) / "token"
        command = [sys.executable, "-m", "bitlathe.board.agent", "--simulated", board, "--port", "0"]
        command += ["--token-file", str(token_file), "--folder", folder, "--with-parent", *options]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                port = _port(process)
                yield Agent(host=LOOPBACK, port=port, token=read_token(token_file))
            finally:
                process.terminate()


@contextmanager
def agents_at(addresses: Sequence[str], token: str | None) -> Iterator[list[Agent]]:
    """Agents at addresses, those of sim:// started for the time of the block; AgentError without a token."""
    with ExitStack() as stack:
        agents = []
        for address in addresses:
            if address.startswith(SCHEME):
                agents.append(stack.enter_context(simulated_agent(address.removeprefix(SCHEME))))
            elif token is None:
                raise AgentError(f"agent {address} asks for a token; give its file with `token_file`")
            else:
                agents.append(Agent.at(address, token))
        yield agents


def _port(process: subprocess.Popen[bytes]) -> int:
    """The port that the agent's first line names."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise AgentError("the simulated board's agent did not start; its message is above")
    return JsonFields.parse(line, "agent").integer("port", 1, 65535)
