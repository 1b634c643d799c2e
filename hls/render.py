"""The one template environment: undefined names are errors, no autoescape, blocks trimmed."""

from pathlib import Path

import jinja2

ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)


def _cxx_constant(name: str) -> str:
    """A constant's name in C++: kTapStep of tap_step."""
    return f"k{name.title().replace('_', '')}"


def _sv_field(name: str) -> str:
    """A field's name in SystemVerilog, which keeps some words for itself: table_ of table."""
    return f"{name}_" if name in _SV_WORDS else name


_SV_WORDS = ("table",)  # of our fields; lint finds any other
ENVIRONMENT.filters |= {"cxx_constant": _cxx_constant, "sv_field": _sv_field}


def render(template: str, **view: object) -> str:
    """Text of a template printed from ready values."""
    return ENVIRONMENT.get_template(template).render(**view)
