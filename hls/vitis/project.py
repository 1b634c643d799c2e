"""The HLS project of a target: {path: text}, nothing is written and no tool is asked."""

from pathlib import Path

from bitlathe.hls.target.area import check_fits
from bitlathe.hls.target.config import Target
from bitlathe.hls.tools.scripts import hls_scripts
from bitlathe.hls.vitis.view import config_text

ROOM = Path(__file__).parent
TOP = "bitlathe_engine"
SOURCE = "src/engine_top.cpp"


def emit_hls(target: Target) -> dict[str, str]:
    """Sources, configuration and the scripts of every tool generation.

    CapacityError where the target's engine cannot fit its part.
    """
    check_fits(target)
    headers = sorted((ROOM / "include" / "bitlathe").glob("*.hpp"))
    sources = {f"src/bitlathe/{path.name}": path.read_text(encoding="utf-8") for path in headers}
    return {
        **sources,
        "src/bitlathe/config.hpp": config_text(target),
        SOURCE: (ROOM / "engine_top.cpp").read_text(encoding="utf-8"),
        **hls_scripts(target, top=TOP, source=SOURCE),
    }
