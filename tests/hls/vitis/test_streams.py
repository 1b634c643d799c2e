"""The bounded streams of the C simulation show what an endless FIFO hides."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from bitlathe.hls.vitis.csim_library import ROOM

MAIN = """
#include <cstdio>
#include "bitlathe/stream.hpp"
using bitlathe::Stream;
template <int Depth> void produce(int count, Stream<int, Depth> &out) {{
  for (int i = 0; i < count; ++i) out.write(i);
}}
template <int Depth> void consume(int count, Stream<int, Depth> &in, int &sum) {{
  for (int i = 0; i < count; ++i) sum += in.read();
}}
void both(int count, Stream<int, 4> &first, Stream<int, 4> &second) {{
  for (int i = 0; i < count; ++i) first.write(i);
  for (int i = 0; i < count; ++i) second.write(i);
}}
void alternate(int count, Stream<int, 4> &first, Stream<int, 4> &second, int &sum) {{
  for (int i = 0; i < count; ++i) sum += first.read() + second.read();
}}
int main() {{
  int sum = 0;
  try {{
    Stream<int, 4> a("a"), b("b");
    {body}
    BITLATHE_JOIN();
  }} catch (const std::exception &error) {{
    std::printf("%s", error.what());
    return 1;
  }}
  std::printf("sum %d", sum);
}}
"""


def _run(folder: Path, body: str) -> tuple[int, str]:
    source, program = folder / "main.cpp", folder / "main"
    source.write_text(MAIN.format(body=body))
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    subprocess.run(
        [*compiler, "-std=c++11", f"-I{ROOM / 'include'}", "-o", str(program), str(source)], check=True
    )
    done = subprocess.run([program], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("body", "status", "printed"),
    [
        ("BITLATHE_PROCESS(produce(9, a)); BITLATHE_PROCESS(consume(9, a, sum));", 0, "sum 36"),
        ("BITLATHE_PROCESS(consume(9, a, sum)); BITLATHE_PROCESS(produce(9, a));", 0, "sum 36"),
        (
            "BITLATHE_PROCESS(produce(3, a)); BITLATHE_PROCESS(consume(2, a, sum));",
            1,
            "stream a holds 1 tokens",
        ),
        (
            "BITLATHE_PROCESS(produce(2, a)); BITLATHE_PROCESS(consume(3, a, sum));",
            1,
            "waits for a token to read",
        ),
        ("BITLATHE_PROCESS(both(4, a, b)); BITLATHE_PROCESS(alternate(4, a, b, sum));", 0, "sum 12"),
        (
            "BITLATHE_PROCESS(both(9, a, b)); BITLATHE_PROCESS(alternate(9, a, b, sum));",
            1,
            "deadlock: both(9, a, b)",
        ),
        ("BITLATHE_PROCESS(for (;;) bitlathe::idle());", 1, "polls and finds nothing to do"),
    ],
    ids=["exact", "reader first", "leftover", "starved", "deep enough", "too shallow", "idle"],
)
def test_a_region_ends_or_says_why_not(tmp_path: Path, body: str, status: int, printed: str) -> None:
    returned, text = _run(tmp_path, body)
    assert returned == status
    assert printed in text
