"""What is written about the integer graph is true."""

import doctest
import importlib
import pkgutil
import re
from types import ModuleType

import pytest
from repository import ROOT

import bitlathe.model.graph
from bitlathe.model.graph.files.archive import DIGEST_BYTES
from bitlathe.model.graph.files.document import (
    CODEBOOK_FIELDS,
    CODEBOOK_VERSION,
    FORMAT,
    HEADER_FIELDS,
    IMAGES_FIELD,
    NODE_TYPES,
    OUTPUT_FIELDS,
    PLAIN_VERSION,
    READERS,
    ROUNDING_VERSION,
    VERSION,
    field_types,
)
from bitlathe.model.graph.fixed_point import FixedPoint, RoundingMode
from bitlathe.model.graph.graph import ImageCodes
from bitlathe.model.graph.nodes import IntWeights
from bitlathe.model.graph.resampling import Interval

SPECIFICATION = (ROOT / "docs" / "integer_graph.md").read_text(encoding="utf-8")
MODULES = [
    importlib.import_module(f"bitlathe.model.graph.{found.name}")
    for found in pkgutil.iter_modules(bitlathe.model.graph.__path__)
]
WORDS = {
    "string": str,
    "string or null": str | None,
    "integer": int,
    "format": FixedPoint,
    "rounding": RoundingMode,
    "true or false": bool,
    "2 integers": tuple[int, int],
    "2 integers or null": tuple[int, int] | None,
    "3 integers": tuple[int, int, int],
    "list of integers": tuple[int, ...],
    "list of intervals": tuple[Interval, ...],
    "list of strings": tuple[str, ...],
    "array's name": IntWeights,
    "array's name or codebook": IntWeights,
}


def rows(heading: str) -> list[tuple[str, ...]]:
    """Cells of the table that begins with `heading`."""
    table = SPECIFICATION.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [tuple(cell.strip(" `") for cell in line.split("|")[1:-1]) for line in table.splitlines()[2:]]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


def test_the_specification_lists_exactly_the_fields_of_every_operation() -> None:
    described = [(operation, name, WORDS[kind]) for operation, name, kind, *_ in rows("operation | field")]
    declared = [
        (operation, name, kind)
        for operation, node_type in NODE_TYPES.items()
        for name, kind in field_types(node_type).items()
    ]
    assert described == declared


def test_the_specification_describes_exactly_the_operations() -> None:
    assert [operation for operation, _ in rows("operation | meaning")] == list(NODE_TYPES)


def test_the_specification_lists_exactly_the_header_and_format_fields() -> None:
    assert tuple(name for name, *_ in rows("header field")) == (*HEADER_FIELDS, IMAGES_FIELD)
    assert [name for name, *_ in rows("format field")] == list(FixedPoint.__dataclass_fields__)


def test_the_specification_lists_exactly_the_fields_of_an_output() -> None:
    assert tuple(name for name, *_ in rows("output field")) == OUTPUT_FIELDS


def test_the_specification_lists_exactly_the_fields_of_a_codebook() -> None:
    assert tuple(name for name, *_ in rows("codebook field")) == CODEBOOK_FIELDS


def test_the_specification_states_format_version_and_digest() -> None:
    meanings = {name: meaning for name, _, meaning in rows("header field")}
    assert meanings["format"] == FORMAT
    assert meanings["version"] == (
        f"{VERSION} where an operation or a window is none of the older ones', else {ROUNDING_VERSION} where "
        "the header has `images`, a node rounds halves to even or there are several "
        f"outputs, else {CODEBOOK_VERSION} where a weight is a codebook, else {PLAIN_VERSION}"
    )
    assert all(f"`{codes.value}`" in SPECIFICATION for codes in ImageCodes)
    assert re.search(rf"the last {DIGEST_BYTES} bytes", SPECIFICATION)


def test_every_declared_type_can_be_read() -> None:
    kinds = {kind for node_type in NODE_TYPES.values() for kind in field_types(node_type).values()}
    assert kinds - {IntWeights} == set(READERS)
