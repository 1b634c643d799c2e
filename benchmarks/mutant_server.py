"""Runs pytest in forks of a process that has loaded what is slow to load, and nothing of ours.

A line of standard input is an object with the folder, environment, log and arguments of a run; two lines
answer it: the fork's process, which leads a group of its own, and its status once it has ended.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

SLOW = ("numpy", "torch", "torch.export", "scipy.optimize", "sklearn.cluster", "PIL.Image")
MOST_MEMORY = 32 << 30  # of the address space of a run, which a fault may fill


def main() -> None:
    """Serve until the input ends."""
    for name in SLOW:
        with suppress(ImportError):
            import_module(name)
    for line in sys.stdin:
        process = os.fork()
        if not process:
            _run(json.loads(line))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def _run(job: dict[str, Any]) -> None:
    """Run pytest as a process that was started for it, and end."""
    os.setsid()
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    sys.path[:] = [*job["environment"]["PYTHONPATH"].split(os.pathsep), *sys.path[1:]]
    status = 1
    try:
        import pytest

        status = int(pytest.main(job["arguments"]))
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
