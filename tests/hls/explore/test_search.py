"""Area by hand and against Yosys' measurements; what is chosen fits and is beaten by nothing."""

from dataclasses import replace

import numpy as np
import pytest

from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.emit import emit_rtl
from bitlathe.hls.explore.candidates import candidates
from bitlathe.hls.explore.search import EngineChoice, explore
from bitlathe.hls.target import area
from bitlathe.hls.target.area import (
    PartBudget,
    area_of,
    block_rams,
    check_fits,
    deviations,
    estimate,
    multipliers,
)
from bitlathe.hls.target.config import (
    TARGETS,
    EngineConfiguration,
    configuration,
    find_target,
    reference_targets,
)
from bitlathe.hls.target.measured import POINTS, AreaPoint, measured, read, text
from bitlathe.hls.vitis.project import emit_hls
from bitlathe.model.graph.errors import BitlatheError, CapacityError
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

PYNQ = TARGETS["pynq-z2"]
LARGE = replace(PYNQ, engine=EngineConfiguration(pi=8, po=16, pp=6, bank_lines=1024, weight_lines=512))
SMALLER = (
    EngineConfiguration(pp=4, banks=5),
    EngineConfiguration(pp=2, banks=3, weight_lines=2048),
    EngineConfiguration(bank_lines=1024, weight_lines=1024),
    EngineConfiguration(bank_lines=16384),
    EngineConfiguration(pi=16, po=16, pp=1, banks=3, weight_lines=1024),
    LARGE.engine,
)


def test_blocks_are_counted_as_yosys_counted_them() -> None:
    for point in measured():
        found = area_of(point.configuration, point.family)
        assert (found.dsp, found.is_measured) == (multipliers(point.configuration), True)
        counted = block_rams(point.configuration)
        assert point.bram36 < found.bram36 <= counted <= 1.03 * found.bram36  # it mixes shapes in one memory


def test_the_output_stage_has_a_multiplier_a_lane_and_tables_for_four_in_a_block_ram() -> None:
    now = area_of(PYNQ.engine, PYNQ.family)
    assert (now.dsp, now.bram36) == (204, 130)  # as Yosys counts them
    wide = EngineConfiguration(pi=16, po=16, pp=2, banks=2, bank_lines=512, weight_lines=512)
    assert multipliers(wide) == 16 * 16 * 2 // 2 + 4 + 16
    assert block_rams(wide) == 2 * 2 * 2 + 16 * 2 + 4  # halves of banks, columns of weights, tables


def test_measured_points_survive_their_file() -> None:
    assert text(measured()) == POINTS.read_text(encoding="utf-8")
    assert read(POINTS) == measured() and len(measured()) == len({p.configuration for p in measured()})


def test_shipped_engines_are_measured_and_fit() -> None:
    for board in reference_targets().values():
        assert area_of(board.engine, board.family).is_measured
        check_fits(board)


def test_the_model_finds_weights_that_made_the_points() -> None:
    weights = np.array([5000, 20, 30, 0, 4])
    configurations = (*SMALLER, PYNQ.engine, TARGETS["zcu104"].engine)
    made = [
        AreaPoint(
            family="xc7",
            configuration=each,
            lut=int(area.terms(each) @ weights),
            ff=2 * int(area.terms(each) @ weights),
            dsp=0,
            bram36=0,
            tool="",
            digest="",
        )
        for each in configurations
    ]
    guess = estimate(EngineConfiguration(pi=16, po=32, pp=3, banks=5, weight_lines=512), made)
    assert guess.lut == pytest.approx(
        area.terms(EngineConfiguration(pi=16, po=32, pp=3, banks=5)) @ weights, rel=1e-3
    )
    assert guess.ff == pytest.approx(2 * guess.lut, abs=2) and not guess.is_measured


def test_every_point_is_compared_with_a_fit_of_the_others() -> None:
    assert [each.point for each in deviations()] == list(measured())


def test_the_first_limit_is_named() -> None:
    budget = PartBudget.of(PYNQ)
    found = [budget.violated(each, area_of(each, "xc7")) for each in SMALLER]
    assert found[:3] == [None, None, None]
    assert found[3] == "298 BRAM36, 135 of xc7z020clg400-1 are usable"
    assert found[4] == "16 bytes a beat, its memory port moves 8"
    assert found[5] == "396 DSP, 213 of xc7z020clg400-1 are usable"


@pytest.mark.parametrize("make", [emit_rtl, emit_hls, check_fits], ids=["rtl", "hls", "check"])
def test_what_cannot_fit_is_not_emitted(make) -> None:
    with pytest.raises(CapacityError) as refusal:
        make(LARGE)
    assert str(refusal.value) == (
        "pynq-z2: an engine of 8x16x6-7x1024-512 takes 396 DSP, 213 of xc7z020clg400-1 are usable; "
        "choose a smaller one (bitlathe explore lists those that fit)"
    )


@pytest.mark.parametrize("sizes", ["8x8x6-7x0-4608", "8x8x6-7x1-4608", "8x8x6-7x4096-1"])
def test_stores_of_no_line_or_one_are_refused(sizes: str) -> None:
    with pytest.raises(CapacityError, match="need 2 lines at least"):
        configuration(sizes)


def test_what_cannot_fit_is_not_compiled_for(rng: np.random.Generator) -> None:
    with pytest.raises(CapacityError, match="396 DSP"):
        compile_for(random_resnet(rng, blocks=1), LARGE)


def test_nothing_beats_the_best_and_refused_ones_say_why(rng: np.random.Generator) -> None:
    found = explore(random_resnet(rng, blocks=1), PYNQ, SMALLER)
    best = [choice.costs() for choice in found.fitting if choice.is_best]
    assert sum(choice.is_shipped for choice in found.fitting) == 1
    assert len(found.fitting) + len(found.refused) + found.skipped == len(SMALLER) + 1
    assert found.left_out == ()
    assert all(choice.limit for choice in found.refused) and not any(c.limit for c in found.fitting)
    for choice in found.fitting:
        assert choice.cycles is not None and choice.cycles >= choice.bound
        assert choice.is_best != any(_dominates(other, choice) for other in best)


def _dominates(one: tuple[float, ...], choice: EngineChoice) -> bool:
    other = choice.costs()
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("board", reference_targets().values(), ids=lambda board: board.name)
def test_candidates_use_the_memory_that_is_left(board) -> None:
    drawn = list(candidates(board))
    assert len(drawn) == len(set(drawn))
    full = [each for each in drawn if block_rams(each) <= PartBudget.of(board).bram36]
    assert any(block_rams(each) > 0.9 * PartBudget.of(board).bram36 for each in full)


def test_an_engine_is_named_by_its_sizes() -> None:
    for each in SMALLER:
        assert configuration(each.label) == each
    assert find_target("pynq-z2:8x8x4-5x2048-1024").engine == EngineConfiguration(
        pp=4, banks=5, bank_lines=2048, weight_lines=1024
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("pynq-z3", f"target 'pynq-z3' is unknown; choose one of {', '.join(TARGETS)}"),
        (
            "pynq-z2:8x8",
            "engine '8x8': give PIxPOxPP-BANKSxBANK_LINES-WEIGHT_LINES, such as 8x8x6-7x4096-4608",
        ),
        ("pynq-z2:", "engine '': give PIxPOxPP-BANKSxBANK_LINES-WEIGHT_LINES, such as 8x8x6-7x4096-4608"),
        ("pynq-z2:9x9x6-7x4096-4608", "array of 9 x 9 channels: pi must be 8 or 16 and po 1 to 4 times pi"),
        ("pynq-z2:8x8x8-7x4096-4608", "8 pixels over 7 banks: needs 1 <= pp <= banks and 2 <= banks <= 15"),
    ],
)
def test_an_impossible_engine_is_refused_by_name(word: str, message: str) -> None:
    with pytest.raises(BitlatheError) as refusal:
        find_target(word)
    assert str(refusal.value) == message
