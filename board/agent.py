"""The agent: a board's door for a search loop. Bundles in, measurements out, over HTTP on the loopback.

    PUT  /files/SHA256          one file of a bundle
    POST /jobs                  {"id", "manifest", "images"} -> 202 job, or 409 {"missing": [SHA256, ...]}
    GET  /jobs/ID?wait=SECONDS  {"state", "result" or "error"}
    GET  /status                {"board", "waiting", "most_bytes"}

Every request carries `Authorization: Bearer TOKEN`. Files are kept by digest and never sent twice.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import re
import secrets
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bitlathe.board import names
from bitlathe.board.errors import AgentError, BoardError
from bitlathe.board.jobs import Jobs
from bitlathe.board.overlay import UNKNOWN_BOARD, board_here
from bitlathe.board.process import WorkerProcess
from bitlathe.board.server import AgentServer
from bitlathe.board.sim.boards import board_model
from bitlathe.board.sim.options import add_options, command_line
from bitlathe.board.store import FileStore
from bitlathe.board.text import shown

_LOG = logging.getLogger(__name__)
DEFAULT_PORT = 8377
LOOPBACK = "127.0.0.1"
SHORTEST_TOKEN = 16
_TOKEN = re.compile(r"[!-~]+(?: +[!-~]+)*")  # printable ASCII, as a header's value


def read_token(path: Path) -> str:
    """The token in a file, made where there is none; AgentError when others may read it or it is short."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        token, mode = path.read_text(errors="replace").strip(), path.stat().st_mode
    except OSError as error:
        raise AgentError(f"{path}: the token cannot be read or made ({error.strerror})") from error
    if mode & 0o077:
        raise AgentError(f"{path}: others may read the token; chmod 600 {path}")
    if len(token) < SHORTEST_TOKEN:
        raise AgentError(
            f"{path}: the token has fewer than {SHORTEST_TOKEN} characters; delete it for a new one"
        )
    if not _TOKEN.fullmatch(token):
        raise AgentError(f"{path}: the token has characters that no header takes; delete it for a new one")
    return token


def add_agent_options(parser: argparse.ArgumentParser) -> None:
    """Options of the agent."""
    home = Path.home() / ".bitlathe"
    parser.add_argument(
        "--bind", default=LOOPBACK, help="address to listen on; others than loopback are plain text"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0: any free one")
    parser.add_argument("--token-file", type=Path, default=home / "token", help="made if it is not there")
    parser.add_argument("--folder", type=Path, default=home / "agent", help="where files are kept")
    parser.add_argument("--most-mib", type=_count, default=256, help="of files kept, and of one file")
    parser.add_argument("--silence", type=_seconds, default=120, help="until a silent worker is killed")
    parser.add_argument("--simulated", metavar="BOARD", help="serve a simulated board")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin ends")
    add_options(parser)


def run_agent(arguments: argparse.Namespace) -> None:
    """Serve until interrupted; the first line on stdout gives the address."""
    board = _board_served(arguments.simulated)
    with _store(arguments.folder, arguments.most_mib << 20) as store:
        _serve(arguments, board, store)


def _serve(arguments: argparse.Namespace, board: str, store: FileStore) -> None:
    simulated = ["--simulated", arguments.simulated] if arguments.simulated else []
    worker = WorkerProcess([*simulated, *command_line(arguments)], arguments.silence)
    try:
        token, address = read_token(arguments.token_file), (arguments.bind, arguments.port)
        server = AgentServer(address, token, board, store, Jobs(store, worker))
    except (OSError, OverflowError, UnicodeError) as error:  # the latter where port or host is not valid
        raise AgentError(f"cannot listen on {arguments.bind}:{arguments.port} ({error})") from error
    if arguments.bind != LOOPBACK:
        _LOG.warning("listening beyond this machine, unencrypted: prefer an ssh tunnel to the loopback")
    print(json.dumps({"port": server.server_address[1], "board": board}), flush=True)
    if arguments.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        server.serve_forever()
    finally:
        worker.kill()


def _board_served(simulated: str | None) -> str:
    """Name of the board that the agent serves; DeviceError lists the simulated ones."""
    if simulated is not None:
        return board_model(simulated).name
    found = board_here()
    return found if found is not None and names.BOARD.fits(found) else UNKNOWN_BOARD


@contextmanager
def _store(folder: Path, most_bytes: int) -> Iterator[FileStore]:
    """The store in a folder that no other agent may use until the block ends, as it would delete files."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            store = FileStore(folder, most_bytes)
        except BlockingIOError as error:
            raise AgentError(
                f"{folder}: another agent keeps its files there; choose another --folder"
            ) from error
        except OSError as error:
            raise AgentError(
                f"{folder}: keeps no files ({error.strerror}); choose another --folder"
            ) from error
        yield store


def main(words: Sequence[str] | None = None) -> None:
    """`python -m bitlathe.board.agent`: the same as `bitlathe agent`, where only this room is installed."""
    parser = argparse.ArgumentParser(
        prog="python -m bitlathe.board.agent", description=__doc__.partition("\n")[0]
    )
    add_agent_options(parser)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        run_agent(parser.parse_args(words))
    except BoardError as error:
        raise SystemExit(f"bitlathe agent: {error}") from error
    except KeyboardInterrupt:
        _LOG.info("interrupted")


def _count(text: str) -> int:
    """A count of at least 1."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{shown(text)}, needed a count of at least 1, of at most 9 digits")
    return int(text)


def _seconds(text: str) -> float:
    """A number of seconds above 0."""
    with suppress(ValueError):
        if 0 < float(text) <= threading.TIMEOUT_MAX:
            return float(text)
    raise argparse.ArgumentTypeError(f"{shown(text)}, needed a number of seconds above 0")


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
