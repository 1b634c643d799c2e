"""What commands print: results to stdout, as tables or as one JSON object; everything else to stderr."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import Progress, TaskID, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bitlathe.flow.cli.options import as_options
from bitlathe.flow.progress import Advance, Note

_ODD = re.compile(r"\n(?!  )|[\x00-\x09\x0b-\x1f\x7f]")  # what a terminal does not print as it is
_PIPE_WIDTH = 120  # columns where stdout is not a terminal, so that no cell is cut


def note(message: str) -> None:
    """Print one line to stderr."""
    _console(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)


def on_its_lines(text: str) -> str:
    """A message whose line breaks are its own: those in names, which no blank follows, are written as such.

    >>> on_its_lines("a\\nb: 2 problems\\n  x: is odd")
    'a\\\\nb: 2 problems\\n  x: is odd'
    """
    return _ODD.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


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
        table.add_row(*map(Text, row))  # Text: square brackets are not markup
    print(title)
    _console().print(table)


class _Notes(logging.Handler):
    """Prints records to the stderr of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        note(self.format(record))


def log_to_stderr() -> None:
    """Show what rooms log, such as the epochs of a training."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_Notes()])


class Shown:
    """A `Progress` on stderr: notes as lines, and a bar for each piece of work until all are done."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Note | Advance) -> None:
        if isinstance(event, Note):
            note(on_its_lines(as_options(event.text)))
            return
        if self._bars is None:
            self._bars = progress()
            self._bars.start()
        if event.work not in self._tasks:
            self._tasks[event.work] = self._bars.add_task(event.work, total=event.total)
        text = f"{event.work}, {event.now}" if event.now else event.work
        self._bars.update(self._tasks[event.work], completed=event.done, description=text)
        if self._bars.finished:
            self.stop()

    def stop(self) -> None:
        """Take away the bars."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._tasks = None, {}


show = Shown()


def progress() -> Progress:
    """Progress bars on stderr, which show nothing where that is not a terminal."""
    console = _console(stderr=True)
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr, emoji=False)  # nets.py:one: is a name, not a picture of a 1
    return console if console.is_terminal else Console(stderr=stderr, emoji=False, width=_PIPE_WIDTH)
