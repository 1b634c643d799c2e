"""The table of operators in the docs is the importer's own list."""

from __future__ import annotations

import needs
from repository import ROOT

needs.package("onnx")

from bitlathe.model.onnx.listing import HOST, REFUSED, described, operators_table
from bitlathe.model.onnx.operators import HANDLERS


def test_every_operator_that_is_read_is_in_the_table_and_no_other() -> None:
    assert described() == {*HANDLERS, *HOST, *REFUSED}
    assert not set(HANDLERS) & set(REFUSED)


def test_the_docs_have_the_table_of_operators() -> None:
    page = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    shown = page.split("<!-- operators -->\n")[1].split("\n<!-- end of operators -->")[0]
    assert shown == operators_table()
