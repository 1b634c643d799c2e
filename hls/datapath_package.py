"""The SystemVerilog package of the data path's widths, rendered from `datapath`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bitlathe.hls.config import INPUT_CHANNELS
from bitlathe.hls.datapath import datapath
from bitlathe.hls.render import render

PACKAGE = Path(__file__).parent / "rtl" / "datapath_pkg.sv"


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthsView:
    """Widths by name: those of every engine, and those that follow from `pi`."""

    shared: Mapping[str, int]
    by_pi: Mapping[int, Mapping[str, int]]


def widths_view() -> WidthsView:
    """The widths as package and header print them."""
    every = {pi: asdict(datapath(pi)) for pi in INPUT_CHANNELS}
    first = every[INPUT_CHANNELS[0]]
    shared = {name: bits for name, bits in first.items() if {one[name] for one in every.values()} == {bits}}
    own = {pi: {name: one[name] for name in one if name not in shared} for pi, one in every.items()}
    return WidthsView(shared=shared, by_pi=own)


def package_text() -> str:
    """Text of datapath_pkg.sv."""
    return render("datapath_pkg.sv.j2", v=widths_view())


if __name__ == "__main__":
    PACKAGE.write_text(package_text())
