"""The table of operators in the docs is the registry's own list."""

from __future__ import annotations

from repository import ROOT

from bitlathe.model.capture.listing import bare_name, operators_table
from bitlathe.model.capture.registry import EXACT, HANDLERS, TABLE


def test_every_operator_that_is_read_is_in_the_table() -> None:
    shown = operators_table()
    public = {bare_name(operator) for operator in HANDLERS if not operator.startswith("aten._")}
    assert {name for name in public if f"`{name}`" not in shown} == set()
    assert not set(EXACT) & set(TABLE)


def test_every_row_says_how() -> None:
    for row in operators_table().splitlines()[2:]:
        operators, kind, text = (cell.strip() for cell in row.strip("|").split("|"))
        assert operators and kind in ("exact", "by table", "on the host", "refused") and text, row


def test_the_docs_have_the_table_of_operators() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    shown = page.split("<!-- operators -->\n")[1].split("\n<!-- end of operators -->")[0]
    assert shown == operators_table()
