"""The pragma linter knows our sources to be right, and finds the mistakes that g++ is silent about."""

from collections.abc import Iterator

import pytest

from bitlathe.hls.program.registers import HLS_OFFSETS, OFFSETS
from bitlathe.hls.target.config import TARGETS
from bitlathe.hls.vitis.lint.directives import Scope
from bitlathe.hls.vitis.lint.pragmas import lint
from bitlathe.hls.vitis.lint.source import SourceBlock, blocks
from bitlathe.hls.vitis.project import emit_hls

PROJECT = {name: text for name, text in emit_hls(TARGETS["pynq-z2"]).items() if name.startswith("src/")}

GOOD = """
template <class Config>
void total(const int *values, hls::stream<int> &sums) {
#pragma HLS INLINE off
  int part[8];
#pragma HLS ARRAY_PARTITION variable=part complete dim=1
  Stream<Packed<4, 8>, 16> words("words");
#pragma HLS STREAM variable=words depth=16
add_all:
  while (!sums.empty()) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=64 avg=8
    part[0] = values[0];
  }
}
"""

TOP = """
extern "C" void top(const int *memory, int count, const volatile int *clock) {
#pragma HLS INTERFACE ap_none port=clock
#pragma HLS INTERFACE m_axi port=memory offset=slave bundle=gmem depth=64
#pragma HLS INTERFACE s_axilite port=memory offset=0x10 bundle=control
#pragma HLS INTERFACE s_axilite port=count offset=0x1C bundle=control
#pragma HLS INTERFACE s_axilite port=return bundle=control
  work(memory, count);
}
"""


@pytest.mark.parametrize("name", PROJECT)
def test_every_pragma_of_our_sources_is_right(name: str) -> None:
    assert list(map(str, lint(PROJECT[name]))) == []


def test_the_examples_are_right_before_they_are_damaged() -> None:
    assert lint(GOOD) == []
    assert lint(TOP) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("PIPELINE II=1", "PIPLINE II=1", "directive 'PIPLINE' is unknown"),
        ("HLS PIPELINE", "HSL PIPELINE", "is not an HLS pragma"),
        ("II=1", "LL=1", "PIPELINE has no option 'LL'"),
        ("II=1", "II=one", "PIPELINE II=one: must be a number"),
        ("II=1", "II", "PIPELINE II: takes a number"),
        ("PIPELINE II=1", "PIPELINE", "PIPELINE lacks II="),
        ("PIPELINE II=1", "UNROLL", "loop of unknown length can't be unrolled without a factor"),
        (
            "part[0] =",
            "for (int i = 0; i < 8; ++i) { part[i]++; }\n part[0] =",
            "in a pipeline has no UNROLL",
        ),
        ("part[0] =", "if (part[0]) { while (part[1]) { part[1]--; } }\n part[0] =", "in a pipeline has no"),
        ("#pragma HLS STREAM variable=words depth=16\n", "", "stream words has no pragma STREAM"),
        ("  Stream<Packed", '  hls::stream<int> more("more");\n  Stream<Packed', "stream more has no pragma"),
        ("INLINE off", "INLINE off=1", "INLINE off: takes nothing"),
        ("variable=part", "variable=parts", "ARRAY_PARTITION variable=parts: no such variable here"),
        ("variable=part complete", "complete", "ARRAY_PARTITION lacks variable="),
        ("depth=16", "depth=8", "STREAM depth=8: the stream's type says 16"),
        ("variable=words depth=16", "variable=words", "STREAM lacks depth="),
        (
            "#pragma HLS LOOP_TRIPCOUNT min=1 max=64 avg=8\n",
            "",
            "loop of unknown length has no LOOP_TRIPCOUNT",
        ),
        ("#pragma HLS INLINE off", "#pragma HLS UNROLL", "UNROLL must stand in a loop"),
        (
            "    part[0] = values[0];\n",
            "    part[0] = values[0];\n#pragma HLS UNROLL\n",
            "UNROLL must come before the statements",
        ),
        ("{\n#pragma HLS PIPELINE II=1", "{ if (part[0]) {\n#pragma HLS PIPELINE II=1\n}", "governs nothing"),
    ],
)
def test_a_mistake_is_found(old: str, new: str, message: str) -> None:
    assert old in GOOD
    assert any(message in finding.message for finding in lint(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("depth=64", "", "memory port memory has no depth="),
        (
            "#pragma HLS INTERFACE s_axilite port=return bundle=control\n",
            "",
            "argument return has no INTERFACE",
        ),
        ("port=count offset=0x1C", "port=count offset=0x10", "two registers share an offset"),
        ("m_axi port=memory", "m_axi port=momory", "INTERFACE port=momory: no such variable here"),
        ("s_axilite port=count", "s_axi_lite port=count", "INTERFACE names no mode"),
        ("const volatile int *clock", "const int *clock", "argument clock has no INTERFACE s_axilite"),
        ("#pragma HLS INTERFACE ap_none port=clock", "", "argument clock has no INTERFACE s_axilite"),
    ],
)
def test_a_mistake_in_the_top_function_is_found(old: str, new: str, message: str) -> None:
    assert old in TOP
    assert any(message in finding.message for finding in lint(TOP.replace(old, new, 1)))


def test_every_innermost_loop_starts_an_iteration_a_cycle() -> None:
    found = [block for text in PROJECT.values() for block in blocks(text)]
    loops = [block for block in found if block.scope is Scope.LOOP]
    outer = {id(block.parent) for block in _with_parents(loops)}
    innermost = [block for block in loops if id(block) not in outer]
    assert len(innermost) > len(loops) / 4 > 5
    for loop in innermost:
        pragmas = {pragma.text for pragma in loop.pragmas}
        called = "program_descriptors:" in loop.head  # its body is functions with loops of their own
        assert called or pragmas & {"HLS PIPELINE II=1", "HLS UNROLL"}, loop.head


def _with_parents(loops: list[SourceBlock]) -> Iterator[SourceBlock]:
    """Loops and the blocks between them and the loops around them."""
    for loop in loops:
        block: SourceBlock | None = loop
        while block is not None and (block is loop or block.scope is None):
            yield block
            block = block.parent


def test_a_finding_names_its_line() -> None:
    damaged = GOOD.replace("PIPELINE", "PIPLINE")
    (finding,) = lint(damaged)
    assert damaged.splitlines()[finding.line - 1] == "#pragma HLS PIPLINE II=1"


def test_what_the_synthesizer_does_not_see_is_not_linted() -> None:
    assert lint("#ifdef __SYNTHESIS__\n#else\nvoid f() { while (true) { g(); } }\n#endif\n") == []
    assert lint("#ifdef __SYNTHESIS__\nvoid f() { while (true) { g(); } }\n#else\n#endif\n") != []


def test_the_top_functions_registers_lie_where_the_register_map_says() -> None:
    offsets = OFFSETS | HLS_OFFSETS
    pairs = {"program", "weights", "input", "output", "scratch", "profile", "cycles"}
    text, named = PROJECT["src/engine_top.cpp"], set()
    for line in text.splitlines():
        if "s_axilite" not in line or "port=return" in line:
            continue
        options = dict(word.split("=") for word in line.split() if "=" in word)
        register = options["port"].upper() + ("_LO" if options["port"] in pairs else "")
        assert int(options["offset"], 16) == offsets[register], register
        named.add(register)
    assert named >= {f"{pair.upper()}_LO" for pair in pairs}
