"""The process that holds the device: requests in on stdin, answers out on stdout, one JSON object a line.

It is a process of its own because a real board can hang it in a single register access; its parent watches it
and starts another. It ends when its parent does.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import queue
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from bitlathe.board.bundle import Bundle, open_bundle
from bitlathe.board.check import check_board
from bitlathe.board.errors import AgentError, BoardError, ClockError, DeviceError, EngineFault, EngineHung
from bitlathe.board.fields import JsonFields
from bitlathe.board.overlay import LoadedOverlay
from bitlathe.board.runner import measure
from bitlathe.board.sim.options import add_options, settings_of

_LOG = logging.getLogger(__name__)
_UNSOUND = (EngineFault, EngineHung, DeviceError, ClockError)  # after these the overlay is loaded again


class Worker:
    """Measures bundles one after another; an overlay that fits the next bundle stays loaded."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        self._overlay: LoadedOverlay | None = None

    def serve(self, line: str) -> None:
        """Answer one request: how many images are done, then the result or the error."""
        try:
            request = JsonFields.parse(line, "request")
            bundle = open_bundle(Path(request.text("folder")))
            images = None if request.values.get("images") is None else request.integer("images", 1)
            checks = "check" in request.values and request.flag("check")
            (self._check if checks else self._measure)(bundle, images)
        except BoardError as error:
            if isinstance(error, _UNSOUND):
                self._overlay = None
            self._answer({"error": {"kind": type(error).__name__, "message": str(error)}})
        except (Exception, SystemExit) as error:  # a defect, or a library's own idea of an end
            self._overlay = None
            _LOG.exception("a job failed by a defect")
            message = f"the job ended by {type(error).__name__}: {error}; the agent's log says where"
            self._answer({"error": {"kind": AgentError.__name__, "message": message}})

    def _measure(self, bundle: Bundle, images: int | None) -> None:
        if self._overlay is None or not self._overlay.fits(bundle):
            self._overlay = LoadedOverlay(bundle)
        self._answer({"alive": 0})
        measured = measure(
            bundle, images, overlay=self._overlay, heard=lambda done: self._answer({"alive": done})
        )
        self._answer({"result": measured.to_json()})

    def _check(self, bundle: Bundle, images: int | None) -> None:
        """A check loads what it looks at itself, and leaves it in no state to be relied on."""
        self._overlay = None
        self._answer({"alive": 0})
        report = check_board(bundle, images, heard=lambda done: self._answer({"alive": done}))
        self._answer({"result": report.to_json()})

    def _answer(self, values: dict[str, object]) -> None:
        self._answers.write(json.dumps(values) + "\n")
        self._answers.flush()


def main(words: Sequence[str] | None = None) -> None:
    """Serve requests until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m bitlathe.board.worker", description=__doc__)
    parser.add_argument("--simulated", metavar="BOARD", help="on a simulated board")
    add_options(parser)
    arguments = parser.parse_args(words)
    worker = Worker(_own_stdout())
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    if arguments.simulated:
        _simulate(arguments)
    with suppress(KeyboardInterrupt):  # Ctrl-C at a terminal reaches the agent too, which reports it
        while True:
            worker.serve(requests.get())


def _simulate(arguments: argparse.Namespace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that x86 is not a Zynq
        from bitlathe.board.sim.device import activate
    activate(arguments.simulated, settings_of(arguments))


def _read(requests: queue.Queue[str]) -> None:
    """Requests as they come; after the last one the process ends at once, because its parent is gone."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _own_stdout() -> TextIO:
    """The stream of answers; whatever else prints to stdout goes to stderr from now on."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
