"""The command that compares engines, and the refusal of one that cannot fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import LENET, run

from bitlathe.flow.errors import ExitStatus
from bitlathe.flow.hardware import explore
from bitlathe.hls.target.config import TARGETS, configuration
from bitlathe.model.graph.files.archive import read_graph, write_graph

AT_LEISURE = ("--seconds", "3600")  # so that a busy machine leaves nothing out
FEW = (
    "8x8x6-7x1024-1024",
    "8x8x2-3x1024-512",
    "8x32x6-7x1024-512",
    "16x16x2-3x1024-512",
    "8x8x6-7x16384-512",
)


@pytest.fixture(autouse=True)
def _few_candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explore, "candidates", lambda target: map(configuration, FEW))


def test_explore_lists_what_fits_and_why_the_rest_does_not() -> None:
    row = run("explore", *LENET, "--calibration", "4", *AT_LEISURE, "--json").json
    fitting = {choice["label"]: choice for choice in row["choices"]}
    assert set(fitting) == {TARGETS["pynq-z2"].engine.label, *FEW[:2]}
    assert fitting[row["shipped"]]["is_shipped"] and all(choice["fits"] for choice in fitting.values())
    assert [choice["cycles"] for choice in row["choices"]] == sorted(c["cycles"] for c in row["choices"])
    assert {choice["label"]: choice["limit"] for choice in row["refused"]} == {
        "8x32x6-7x1024-512": "780 DSP, 213 of xc7z020clg400-1 are usable",
        "16x16x2-3x1024-512": "16 bytes a beat, its memory port moves 8",
        "8x8x6-7x16384-512": "234 BRAM36, 135 of xc7z020clg400-1 are usable",
    }


def test_each_engine_is_told_of_as_it_is_compiled_the_board_s_own_first() -> None:
    outcome = run("explore", *LENET, "--calibration", "4", *AT_LEISURE, "--json")
    told = [line for line in outcome.stderr.splitlines() if " cycles, at least " in line]
    assert told[0].startswith(f"{TARGETS['pynq-z2'].engine.label}: ")
    assert {line.partition(":")[0] for line in told} == {each["label"] for each in outcome.json["choices"]}
    assert outcome.json["left_out"] == []


def test_what_there_is_no_time_for_is_left_out_and_counted() -> None:
    words = ("explore", *LENET, "--calibration", "4", "--seconds", "0")
    row = run(*words, "--json").json
    assert [choice["label"] for choice in row["choices"]] == [row["shipped"]]
    assert {choice["label"] for choice in row["left_out"]} <= set(FEW[:2]) and row["left_out"]
    assert len(row["left_out"]) + row["skipped"] == 2 and len(row["refused"]) == 3
    assert all(choice["cycles"] is None for choice in row["left_out"])
    assert "left out, as time ran out: they take" in run(*words).stdout


def test_a_graph_is_explored_without_its_images() -> None:
    run("quantize", *LENET, "--calibration", "4", "--images", "4", "--out", "net.blg")
    graph = read_graph(Path("net.blg"))
    write_graph(replace(graph, name="mine"), Path("mine.blg"))  # of no known data set, without a table
    row = run("explore", "mine.blg", "--json").json
    assert row["network"] == "mine" and row["choices"]


def test_explore_prints_a_table_with_the_shipped_engine_marked() -> None:
    printed = run("explore", *LENET, "--calibration", "4", *AT_LEISURE).stdout
    (line,) = (line for line in printed.splitlines() if "shipped" in line)
    assert TARGETS["pynq-z2"].engine.label in line and "measured" in line
    assert "780 DSP" in printed and "3 fit, 3 refused" in printed


@pytest.mark.parametrize(
    "words",
    [
        ("compile", *LENET, "--out", "out"),
        ("bitstream", "--out", "out"),
        ("hls", *LENET, "--out", "out", "--synth", "never"),
    ],
    ids=lambda words: words[0],
)
def test_an_engine_that_cannot_fit_is_refused_before_anything_is_written(words: tuple[str, ...]) -> None:
    outcome = run(*words, "--target", "pynq-z2:8x32x6-7x1024-512")
    assert outcome.status == ExitStatus.BAD_INPUT
    assert "8x32x6-7x1024-512 takes 780 DSP, 213 of xc7z020clg400-1 are usable" in outcome.stderr
    assert not Path("out").exists()
