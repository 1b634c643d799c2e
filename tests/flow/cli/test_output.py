"""What the command line shows of work under way: notes as lines, a bar for each piece of work."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from bitlathe.flow.cli import output
from bitlathe.flow.progress import Advance, Note


def test_a_bar_shows_what_is_done_and_goes_when_all_is(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    bars = Progress(*output.progress().columns, console=Console(file=screen, force_terminal=True, width=120))
    monkeypatch.setattr(output, "progress", lambda: bars)
    shown = output.Shown()
    shown(Advance("simulating lenet5", 0, 2))
    shown(Advance("simulating lenet5", 1, 2, "the second"))
    bars.refresh()
    (row,) = bars.tasks
    assert (row.description, row.completed, row.total) == ("simulating lenet5, the second", 1, 2)
    assert "50%" in screen.getvalue() and bars.live.is_started
    shown(Advance("simulating lenet5", 2, 2))
    assert not bars.live.is_started
    assert any(isinstance(column, TimeRemainingColumn) for column in bars.columns)


def test_a_note_is_a_line_on_stderr_that_names_options(capsys: pytest.CaptureFixture[str]) -> None:
    output.Shown()(Note("lenet5 [bold]: give fewer `images`, or go on by `resume=True`"))
    assert capsys.readouterr().err == "lenet5 [bold]: give fewer --images, or go on by --resume\n"


def test_stopping_takes_bars_away_and_may_be_repeated() -> None:
    shown = output.Shown()
    shown(Advance("training", 1, 9))
    shown.stop()
    shown.stop()
    shown(Advance("training", 2, 9))
    shown.stop()
