"""Faults change code only, are the same for the same file, and are reported if no test notices them."""

from __future__ import annotations

import json
from contextlib import closing
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pytest
from repository import ROOT

from bitlathe.model.graph.errors import FormatError

SV = "  assign take = valid_i && ready_o;  // 1 + 1\n"
PYTHON = '''def least(a: int, b: int = 3) -> int:
    """1 + 1 and 2."""
    if a < b and not b:
        raise ValueError(f"{a + 1} is too much")
    return min(a, b + 1)
'''
CXX = "#define N 3\n  x = (a << 2) + b;  // c - d\n  if (!y && z) return false;\n"


@pytest.fixture
def mutation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of operators."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import mutation as loaded

    return loaded


@pytest.fixture
def tests_of(mutation: ModuleType) -> ModuleType:
    """The module that knows which tests cover what."""
    import mutant_tests

    return mutant_tests


@pytest.fixture
def mutants(mutation: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The benchmark, loaded but not run, with nothing known and one area of one file."""
    import mutants as loaded

    area = loaded.Area(
        name="numbers",
        sources=("model/graph/fixed_point.py",),
        tests=("tests/model/graph/test_fixed_point.py",),
        most=2,
    )
    monkeypatch.setattr(loaded, "AREAS", (area,))
    monkeypatch.setattr(loaded, "WORK", tmp_path / "work")
    monkeypatch.setattr(loaded, "KNOWN", tmp_path / "known.jsonl")
    monkeypatch.setattr(loaded, "OUT", tmp_path / "mutants.json")
    monkeypatch.setattr(loaded, "REVIEWED", tmp_path / "mutants.toml")
    (tmp_path / "mutants.toml").touch()
    return loaded


@pytest.mark.parametrize(
    ("file", "text", "line", "new"),
    [
        ("a.sv", SV, 1, "  assign take = valid_i;  // 1 + 1"),
        ("a.sv", SV, 1, "  assign take = valid_i || ready_o;  // 1 + 1"),
        ("a.sv", SV, 1, "  assign take = valid_i && 1'b1;  // 1 + 1"),
        ("a.sv", "  x <= 5'(y) + 5'd7;\n", 1, "  x <= 4'(y) + 5'd7;"),
        ("a.sv", "  x <= 5'(y) + 5'd7;\n", 1, "  x <= 5'(y) + 5'd8;"),
        ("a.sv", "  x <= 5'(y) + 5'd7;\n", 1, "  x <= 5'(y) - 5'd7;"),
        ("a.sv", "  x <= $signed(y) >>> 2;\n", 1, "  x <= $unsigned(y) >>> 2;"),
        ("a.py", PYTHON, 3, "    if a <= b and not b:"),
        ("a.py", PYTHON, 3, "    if a < b and b:"),
        ("a.py", PYTHON, 3, "    if a < b:"),
        ("a.py", PYTHON, 5, "    return max(a, b + 1)"),
        ("a.py", PYTHON, 5, "    return min(a, b + 2)"),
        ("a.hpp", CXX, 2, "  x = (a >> 2) + b;  // c - d"),
        ("a.hpp", CXX, 3, "  if (y && z) return false;"),
        ("a.hpp", CXX, 3, "  if (!y && z) return true;"),
    ],
)
def test_an_operator_makes_one_fault_of_a_line(
    mutation: ModuleType, file: str, text: str, line: int, new: str
) -> None:
    assert (line, new) in {(fault.line, fault.new) for fault in mutation.faults_of(file, text)}


def test_what_is_no_code_has_no_faults(mutation: ModuleType) -> None:
    lines = {
        file: {fault.line for fault in mutation.faults_of(file, text)}
        for file, text in {"a.sv": SV, "a.py": PYTHON, "a.hpp": CXX}.items()
    }
    assert lines == {"a.sv": {1}, "a.py": {3, 5}, "a.hpp": {2, 3}}
    for fault in mutation.faults_of("a.sv", SV):
        assert fault.new.endswith("// 1 + 1")


@pytest.mark.parametrize("file", ["hls/rtl/skid.sv", "hls/compile/fold.py"])
def test_the_draw_hangs_on_the_lines_alone(mutation: ModuleType, file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    keys = [fault.key for fault in mutation.ranked(file, text, 1)]
    lines = [fault.line for fault in mutation.ranked(file, text, 1)]
    moved = list(mutation.ranked(file, "\n" + text, 1))
    assert [fault.key for fault in moved] == keys and [fault.line - 1 for fault in moved] == lines
    assert len(set(lines)) == len(lines)
    assert [fault.key for fault in mutation.ranked(file, text, 2)] != keys


def test_a_fault_changes_its_line_alone(mutation: ModuleType) -> None:
    fault = next(mutation.faults_of("a.py", PYTHON))
    assert fault.applied(PYTHON).splitlines() == [
        fault.new if number == fault.line else line for number, line in enumerate(PYTHON.splitlines(), 1)
    ]
    with pytest.raises(ValueError, match=r"a\.py:3 does not read"):
        fault.applied("\n" + PYTHON)


def test_every_pattern_finds_files_and_every_module_of_the_rtl_has_a_bench(tests_of: ModuleType) -> None:
    for area in tests_of.AREAS:
        for pattern in (*area.sources, *area.without, *area.tests):
            assert any(ROOT.glob(pattern)), pattern
        assert area.files() and area.test_files()
    rtl = tests_of.AREAS[0]
    covered = {module for file in rtl.test_files() for module in tests_of.modules_of(file)}
    assert {Path(file).stem for file in rtl.files()} <= covered
    assert "fifo" in tests_of.modules_of("rtl_tb/axi_read/test_axi_read.py")
    assert "mac_pair" not in tests_of.modules_of("rtl_tb/axi_read/test_axi_read.py")
    assert tests_of.proofs_of("hls/rtl/fifo.sv")[0] == "fifo"


def test_the_faults_are_many_of_every_kind_and_reviewed_ones_are_in_the_tree(mutation: ModuleType) -> None:
    import mutants

    named, argued = mutants.reviewed(mutants.REVIEWED)
    slots = mutants.slots(1, named)
    assert len(slots) >= 120 and {slot.area.name for slot in slots} == {area.name for area in mutants.AREAS}
    assert {each.name for each in mutation.OPERATORS} <= {slot.faults[0].operator for slot in slots}
    assert all(len(why) > 30 for why in argued.values())


def test_an_argument_about_a_line_that_changed_is_refused(
    mutants: ModuleType,
) -> None:
    entry = 'file = "model/graph/fixed_point.py"\nold = "return once"\nnew = ""\nwhy = "a reason"\n'
    mutants.REVIEWED.write_text(f"[[argued]]\n{entry}", encoding="utf-8")
    with pytest.raises(FormatError, match=r"no line of model/graph/fixed_point\.py reads 'return once'"):
        mutants.reviewed(mutants.REVIEWED)


def test_a_fault_is_killed_in_a_copy_and_an_equal_program_is_not(
    mutation: ModuleType, tests_of: ModuleType, tmp_path: Path
) -> None:
    file, test_file = "board/clock.py", "tests/board/test_clock.py"
    area = tests_of.Area(name="clock", sources=(file,), tests=(test_file,), most=1)
    before = (ROOT / file).read_text(encoding="utf-8")
    changes = {
        "        if 0 < got <= closed_mhz * (1 + TOLERANCE):": "        if 0 < got:",
        "TRIES = 60": "TRIES = 2 * 30",
    }
    lines = before.splitlines()
    faults = [
        mutation.Fault(file=file, line=lines.index(old) + 1, operator="by hand", old=old, new=new)
        for old, new in changes.items()
    ]
    with closing(tests_of.Copy(tmp_path / "copy")) as copy:
        tests = tests_of.control(area, copy, tmp_path / "control")
        killed, alive = (tests_of.try_fault(area, fault, tests, copy) for fault in faults)
    assert killed.killed_by.startswith(f"{test_file}::") and killed.is_built
    assert alive.killed_by == ""
    assert (ROOT / file).read_text(encoding="utf-8") == before
    assert (copy.folder / file).read_text(encoding="utf-8") == before
    (test,) = (test for test in tests if test.name == killed.killed_by)
    assert faults[0].line in test.lines[file]


def test_a_fault_that_lives_fails_until_it_is_argued_and_is_not_tried_again(
    mutants: ModuleType,
    tests_of: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried = []
    monkeypatch.setattr(mutants, "Copy", lambda folder: BytesIO())
    monkeypatch.setattr(mutants, "control", lambda *arguments: [])

    def lives(area: object, fault: object, *others: object) -> object:
        tried.append(fault)
        return tests_of.Verdict(killed_by="" if len(tried) == 1 else "tests/a.py::test_it", is_built=True)

    monkeypatch.setattr(mutants, "try_fault", lives)
    assert mutants.main([]) == 1
    fault = tried[0]
    assert f"model/graph/fixed_point.py:{fault.line} lives: {fault.label}" in capsys.readouterr().out
    words = {"file": fault.file, "old": fault.old.strip(), "new": fault.new.strip(), "why": "nobody can tell"}
    entry = "".join(f"{name} = {json.dumps(word)}\n" for name, word in words.items())
    mutants.REVIEWED.write_text(f"[[argued]]\n{entry}", encoding="utf-8")
    assert mutants.main([]) == 0 and len(tried) == 2
    rows = json.loads(mutants.OUT.read_text())
    assert sorted((row["killed_by"], row["argued"]) for row in rows) == [
        ("", "nobody can tell"),
        ("tests/a.py::test_it", ""),
    ]


def test_a_fault_that_no_compiler_takes_is_followed_by_another(
    mutants: ModuleType, tests_of: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "Copy", lambda folder: BytesIO())
    monkeypatch.setattr(mutants, "control", lambda *arguments: [])
    area = tests_of.Area(
        name="RTL", sources=("hls/rtl/skid.sv",), tests=("rtl_tb/axi_read/test_*.py",), most=2
    )
    monkeypatch.setattr(mutants, "AREAS", (area,))
    builds = iter([False, True, True])
    monkeypatch.setattr(
        mutants, "try_fault", lambda *arguments: tests_of.Verdict(killed_by="a test", is_built=next(builds))
    )
    assert mutants.main([]) == 0
    assert len(json.loads(mutants.OUT.read_text())) == 1
    mutants.KNOWN.unlink()
    monkeypatch.setattr(
        mutants, "try_fault", lambda *arguments: tests_of.Verdict(killed_by="a test", is_built=False)
    )
    assert mutants.main([]) == 3


def test_no_fault_begins_past_the_given_time(mutants: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "Copy", lambda folder: BytesIO())
    monkeypatch.setattr(mutants, "try_fault", lambda *arguments: pytest.fail("tried"))
    assert mutants.main(["--seconds", "0"]) == 0
    assert json.loads(mutants.OUT.read_text()) == []
