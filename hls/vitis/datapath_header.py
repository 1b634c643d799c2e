"""The C++ header of the data path's widths, rendered from `hls.datapath`."""

from collections.abc import Mapping
from pathlib import Path

from bitlathe.hls.datapath_package import WidthsView, widths_view
from bitlathe.hls.render import render

HEADER_FILE = Path(__file__).parent / "include" / "bitlathe" / "datapath.hpp"


def header_text() -> str:
    """Text of datapath.hpp."""
    widths = widths_view()
    view = WidthsView(
        shared=_constants(widths.shared), by_pi={pi: _constants(own) for pi, own in widths.by_pi.items()}
    )
    return render("vitis_datapath.hpp.j2", v=view)


def _constants(widths: Mapping[str, int]) -> dict[str, int]:
    return {f"k{name.title().replace('_', '')}": bits for name, bits in widths.items()}


if __name__ == "__main__":
    HEADER_FILE.write_text(header_text())
