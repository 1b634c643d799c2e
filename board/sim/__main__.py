"""`python -m bitlathe.board.sim --board pynq-z2 script.py ...`: a PYNQ script on a simulated board."""

from __future__ import annotations

import argparse
import runpy
import sys
import warnings
from collections.abc import Sequence

from bitlathe.board.errors import BoardError
from bitlathe.board.sim.boards import board_model
from bitlathe.board.sim.options import add_options, settings_of


def main(words: Sequence[str] | None = None) -> None:
    """Make the simulated board pynq's device, then run the script as its own main program."""
    parser = argparse.ArgumentParser(prog="python -m bitlathe.board.sim", description=__doc__)
    parser.add_argument("--board", default="pynq-z2", help="name of a board")
    add_options(parser)
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    arguments = parser.parse_args(words)
    try:
        board_model(arguments.board)
    except BoardError as error:
        parser.error(str(error))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that x86 is not a Zynq
        from bitlathe.board.sim.device import activate  # pynq takes seconds to import
    activate(arguments.board, settings_of(arguments))
    sys.argv = [arguments.script, *arguments.arguments]
    runpy.run_path(arguments.script, run_name="__main__")


if __name__ == "__main__":
    main()
