"""The command line `bitlathe`.

What loads PyTorch is imported inside the commands, so that --help and wrong usage answer at once.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bitlathe.flow.cli import board, compress, hardware, network, search
from bitlathe.flow.cli.options import JsonOption, WorkersOption, as_options
from bitlathe.flow.cli.output import note, on_its_lines, print_json, show
from bitlathe.flow.errors import ExitStatus, status_of
from bitlathe.model.graph.errors import BitlatheError, ToolError

DEMO_OUT = Path("build/demo")

COMMANDS = (  # in the order in which one works, as they are listed
    "train",
    "quantize",
    "sensitivity",
    "compress",
    "search",
    "compile",
    "simulate",
    "explore",
    "hls",
    "bitstream",
    "resources",
    "deploy",
    "agent",
    "measure",
    "board-check",
    "demo",
    "doctor",
)


class CommandLine(TyperGroup):
    """The group of commands: our errors become one line and an exit status, all others stay as they are."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in order."""
        return list(COMMANDS)

    def invoke(self, ctx: Any) -> object:  # Typer's context is click's own class or a copy, by version
        """Run the command chosen."""
        try:
            return super().invoke(ctx)
        except BitlatheError as error:
            show.stop()
            text = as_options(str(error))
            log = isinstance(error, ToolError)  # which shows the last lines of a tool's log as they are
            note(f"bitlathe: {text if log else on_its_lines(text)}")
            raise typer.Exit(status_of(error)) from error
        except KeyboardInterrupt as interrupt:
            show.stop()
            note("bitlathe: interrupted")
            raise typer.Exit(ExitStatus.INTERRUPTED) from interrupt


app = typer.Typer(
    name="bitlathe",
    cls=CommandLine,
    help="Shape a CNN until it fits an FPGA, and prove bit for bit that what runs there is what was trained.",
    epilog="Exit status: 0 done, 1 a check failed, 2 wrong usage or bad input, 3 a tool or data is missing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a defect shows the plain traceback that a report of it needs
)

for commands in (network, compress, search, hardware, board):
    commands.register(app)


def _show_version(is_asked_for: bool) -> None:
    if is_asked_for:
        print(f"bitlathe {version('bitlathe')}")
        raise typer.Exit


@app.callback()
def bitlathe(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The options that come before a command."""


def main() -> None:
    """Entry point of the console script."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a path's bytes may not be text
    app()


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of everything it makes.")] = DEMO_OUT,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Search for a small LeNet-5, compile it, and simulate every test image of digits on the hardware."""
    from bitlathe.flow.api.demo import next_commands, run_demo
    from bitlathe.flow.cli.tables import show_search, show_simulation

    finished, result = run_demo(out, workers, show)
    if as_json:
        print_json(result.to_json())
    else:
        show_search(finished)
        show_simulation(result)
        print(f"report: {finished.report}", "next:", *next_commands(out), sep="\n  ")
    result.check()


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Tell which tools and data are here, and how to get the others."""
    from dataclasses import asdict

    from bitlathe.flow.cli.doctor import collect
    from bitlathe.flow.cli.tables import show_checks

    checks = collect()
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        show_checks(checks)
    missing = [check.name for check in checks if check.is_required and not check.found]
    if missing:
        raise ToolError(f"required and not found: {', '.join(missing)}; the table says how to get them")
