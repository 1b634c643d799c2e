"""What commands print: results to stdout, as tables or as one JSON object; everything else to stderr."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 120  # columns where stdout is no terminal, so that no cell is cut


def note(message: str) -> None:
    """Print one line to stderr."""
    _console(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)


def print_json(values: Mapping[str, object]) -> None:
    """Print one JSON object to stdout."""
    print(json.dumps(values, indent=1))


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True
) -> None:
    """Print a table to stdout; columns after the first are `numbers`, to the right, or words."""
    table = Table()
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and index else "left")
    for row in rows:
        table.add_row(*map(Text, row))  # Text: square brackets are no markup
    print(title)
    _console().print(table)


class _Notes(logging.Handler):
    """Prints records to what stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        note(self.format(record))


def log_to_stderr() -> None:
    """Show what rooms log, such as the epochs of a training."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_Notes()])


@contextmanager
def task(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar for one thing; call what it yields with how much is done."""
    with progress() as bars:
        bar = bars.add_task(description, total=total)
        yield lambda done: bars.update(bar, completed=done)


def progress() -> Progress:
    """Progress bars on stderr, which show nothing where that is no terminal."""
    console = _console(stderr=True)
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def percent(share: float | None) -> str:
    """Text of a share.

    >>> percent(0.97777), percent(None)
    ('97.78 %', '-')
    """
    return "-" if share is None else f"{100 * share:.2f} %"


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr, emoji=False)  # nets.py:one: is a name, not a picture of a 1
    return console if console.is_terminal else Console(stderr=stderr, emoji=False, width=_PIPE_WIDTH)
