"""The documentation says what the program does: its commands run, every command and option is on its page."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import inspect
import json
import re
import shlex
import textwrap
from pathlib import Path

import pytest
from command_line import COMMANDS, run
from repository import ROOT, files_below

import bitlathe
from bitlathe.flow.cli.options import network_request
from bitlathe.flow.errors import ExitStatus
from bitlathe.flow.hardware.resources import Resources
from bitlathe.flow.hardware.simulation import SimulationResult
from bitlathe.hls.target.config import TARGETS
from bitlathe.model.data import dataset_names
from bitlathe.model.zoo import NETWORKS

PAGE = ROOT / "docs" / "command_line.md"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
RUNNABLE = re.compile(r"<!-- runnable -->\n((?:    .+\n)+)")
PYTHON = re.compile(r"<!-- python -->\n((?:(?:    .*)?\n)+)")


def blocks() -> list[tuple[str, tuple[str, ...]]]:
    """Page and commands of every block marked as runnable."""
    return [
        (page.name, tuple(line.strip() for line in block.splitlines()))
        for page in PAGES
        for block in RUNNABLE.findall(page.read_text(encoding="utf-8"))
    ]


def section(command: str) -> str:
    """Text of a command's section."""
    text = PAGE.read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n## {command}\n")
    return rest.partition("\n## ")[0]


def options_in(text: str) -> set[str]:
    """Options that the tables of a text name in their first column."""
    first_cells = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", text, re.MULTILINE)
    return {word for cell in first_cells for word in re.findall(r"`(--[\w-]+)`", cell)}


@pytest.mark.parametrize(("page", "lines"), blocks())
def test_a_documented_example_runs(
    page: str, lines: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "bitlathe", f"{page}: {line}"
        assert run(*words).status == ExitStatus.DONE, f"{page}: {line}"


def test_there_are_examples_to_run() -> None:
    assert {page for page, _ in blocks()} >= {"README.md", "command_line.md"}


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    sections = re.findall(r"^## ([a-z-]+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(sections) == sorted(COMMANDS)


def test_commands_are_listed_in_one_order_in_which_one_works() -> None:
    listed = re.findall(r"^[^ ]? ?([a-z-]+)  ", run("--help").stdout.partition("Commands")[2], re.MULTILINE)
    sections = re.findall(r"^## ([a-z-]+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == sections
    order = ("train", "quantize", "compress", "search", "compile", "simulate")
    assert [name for name in listed if name in order] == list(order)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_documented(command: str) -> None:
    shared = {"graph", *network_request.__annotations__} - {"return"}
    options = [p for p in COMMANDS[command].params if p.param_type_name == "option"]
    own = [p for p in options if p.name not in shared or command == "train"]
    flags = {flag for parameter in own for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert options_in(section(command)) == flags


def test_every_option_that_names_a_network_is_documented() -> None:
    shared = network_request.__annotations__
    parameters = [p for p in COMMANDS["simulate"].params if p.name in shared and p.name != "graph"]
    flags = {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)}
    assert options_in(section("Naming a network")) == flags


def test_every_choice_is_documented() -> None:
    text = section("Naming a network") + section("compile")
    for name in (*NETWORKS, *dataset_names(), *TARGETS):
        assert f"`{name}`" in text


def test_every_field_of_a_simulation_is_documented() -> None:
    fields = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section("simulate"), re.MULTILINE)
    documented = {name for cell in fields for name in re.findall(r"\w+", cell)}
    own = {field.name for field in dataclasses.fields(SimulationResult)} - {"profile", "pictures"}
    assert documented == own | {"accuracy_float", "accuracy_integer"}


def test_every_exit_status_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"\n| {status.value} | " in text for status in ExitStatus)


def test_every_command_that_takes_a_network_is_named() -> None:
    taking = {name for name, command in COMMANDS.items() if "per_channel" in {p.name for p in command.params}}
    sentence, _, _ = section("Naming a network").strip().partition(" take these.")
    assert set(re.findall(r"`([\w-]+)`", sentence)) == taking


def test_every_field_of_an_engine_s_resources_is_documented() -> None:
    fields = {name for name in Resources.__slots__ if not name.endswith("_limit")}
    assert fields <= set(re.findall(r"\w+", section("resources")))


@pytest.mark.parametrize("room", ["flow", "flow/api", "flow/cli", "model/graph"])
def test_every_module_of_a_room_is_in_its_table(room: str) -> None:
    table = (ROOT / room / "README.md").read_text(encoding="utf-8")
    modules = {path.name for path in (ROOT / room).glob("[a-z]*.py")}
    assert {name for name in modules if f"`{name}`" not in table} == set()


def test_the_code_on_the_page_of_the_api_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs" / "python.md"
    code = [textwrap.dedent(block) for block in PYTHON.findall(page.read_text(encoding="utf-8"))]
    assert len(code) >= 7
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(code), page.name, "exec"), {})
    printed = capsys.readouterr()
    assert "every integer matches" in printed.out and printed.err == ""
    assert printed.out.endswith("`images=99`: noise has 12 test images; give 1 to 12\n")


def test_every_function_of_the_api_is_on_its_page_with_its_arguments() -> None:
    text = " ".join((ROOT / "docs" / "python.md").read_text(encoding="utf-8").split())
    for name in bitlathe.__all__:
        function = getattr(bitlathe, name)
        if not inspect.isfunction(function):
            assert f"`{name}`" in text, name
            continue
        assert f"{name}({', '.join(_shown(inspect.signature(function)))})" in text, name


def _shown(signature: inspect.Signature) -> list[str]:
    """Parameters as the page writes them: without types, keywords behind a star."""
    shown: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        if parameter.kind is parameter.VAR_KEYWORD:
            shown.append(f"**{parameter.name}")
            continue
        default = parameter.default
        text = (
            json.dumps(default) if isinstance(default, str) else getattr(default, "__name__", repr(default))
        )
        shown.append(parameter.name if default is parameter.empty else f"{parameter.name}={text}")
    return shown


@pytest.mark.parametrize(
    "path",
    [path for path in files_below("flow", "*.py") if ">>>" in path.read_text(encoding="utf-8")],
    ids=lambda path: path.stem,
)
def test_the_examples_in_a_module_hold(path: Path) -> None:
    name = ".".join(("bitlathe", *path.relative_to(ROOT).with_suffix("").parts))
    tried = doctest.testmod(importlib.import_module(name))
    assert tried.attempted and not tried.failed
