"""The pages for newcomers run as they stand, from their first block to their last."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from command_line import run
from repository import ROOT

from bitlathe.flow.errors import ExitStatus

PAGES = ("README.md", "docs/your_network.md")
LONG = ("docs/start.md", "docs/your_budget.md")  # what they show runs elsewhere too, so they may wait
PYTHON = r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?:python|toml)\n(?P<code>.*?)^```$"
COMMANDS = r"^<!-- commands -->\n(?P<commands>(?:    [^\n]+\n)+)"
BLOCK = re.compile(f"{PYTHON}|{COMMANDS}", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [*PAGES, *(pytest.param(page, marks=pytest.mark.slow) for page in LONG)])
def test_every_block_of_a_page_runs_in_an_empty_folder(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names: dict[str, object] = {}
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert blocks
    for block in blocks:
        if block["commands"]:
            for line in block["commands"].splitlines():
                program, *words = shlex.split(line)
                assert program == "bitlathe"
                assert run(*words).status == ExitStatus.DONE, line
        elif block["file"]:
            sys.modules.pop(Path(block["file"]).stem, None)
            (tmp_path / block["file"]).write_text(block["code"], encoding="utf-8")
        else:
            above = "\n" * text.count("\n", 0, block.start("code"))  # so that errors name the page's lines
            exec(compile(above + block["code"], str(ROOT / page), "exec", dont_inherit=True), names)
