"""The program checker refuses what could hang or depend on timing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from compiled_networks import PYNQ, compiled_for, vgg
from exec_programs import random_program

from bitlathe.hls.compile.validate import validate
from bitlathe.hls.program import NO_WAIT, Descriptor, Encoding, End, Exec, LoadWeights, Opcode, Program
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import FormatError
from bitlathe.rtl_tb.random_networks.resnet import random_resnet


@pytest.fixture
def streaming(rng: np.random.Generator) -> Program:
    return compiled_for(vgg(rng, 32, 8), EngineConfiguration(bank_lines=60, weight_lines=300)).program


def changed(program: Program, change: Callable[[Descriptor], dict[str, int]]) -> Program:
    descriptors = tuple(replace(d, **change(d)) for d in program.descriptors)
    return replace(program, descriptors=descriptors)


def test_every_compiled_program_passes(streaming: Program) -> None:
    validate(streaming)


@pytest.mark.parametrize("wait", ["wait_load", "wait_exec", "wait_store"])
def test_a_program_without_one_kind_of_wait_is_refused(streaming: Program, wait: str) -> None:
    with pytest.raises(FormatError, match="touch the same words and neither waits for the other"):
        validate(changed(streaming, lambda d: {wait: 0}))


@pytest.mark.parametrize("wait", ["wait_exec", "wait_store"])
def test_an_input_must_wait_for_what_the_one_before_still_does(rng: np.random.Generator, wait: str) -> None:
    program = compiled_for(vgg(rng, 32, 8), EngineConfiguration(bank_lines=1000)).program
    validate(program)
    free = changed(
        program, lambda d: {wait: NO_WAIT} if not isinstance(d, End) and getattr(d, wait) <= 0 else {}
    )
    with pytest.raises(FormatError, match="of the next input touch the same words and neither waits"):
        validate(free)


def test_the_first_exec_must_wait_for_its_weights(rng: np.random.Generator) -> None:
    program = compiled_for(random_resnet(rng, blocks=1), PYNQ).program
    first = next(d for d in program.descriptors if d.opcode is Opcode.EXEC)
    with pytest.raises(FormatError, match=r"descriptor \d+ \(LOAD_WEIGHTS\) and descriptor \d+ \(EXEC\)"):
        validate(changed(program, lambda d: {"wait_load": d.wait_load - 1} if d is first else {}))


def test_a_wait_for_a_later_descriptor_is_refused(streaming: Program) -> None:
    last = streaming.descriptors[-2]
    with pytest.raises(FormatError, match="waits for a descriptor after it; in-order dispatch would hang"):
        validate(changed(streaming, lambda d: {"wait_exec": 30_000} if d is last else {}))


def test_maps_beyond_the_scratchpad_are_refused(streaming: Program) -> None:
    first = next(d for d in streaming.descriptors if d.opcode is Opcode.EXEC)
    with pytest.raises(FormatError, match="reaches beyond the scratchpad of 420; the program is wrong"):
        validate(changed(streaming, lambda d: {"out_line": 59} if d is first else {}))


def test_an_exec_that_overwrites_its_input_is_refused(streaming: Program) -> None:
    first = next(d for d in streaming.descriptors if d.opcode is Opcode.EXEC)
    place = {"out_line": max(first.in_line, 0)}
    with pytest.raises(FormatError, match="writes words that it reads; the allocation is wrong"):
        validate(changed(streaming, lambda d: place if d is first else {}))


@pytest.fixture
def with_tables(rng: np.random.Generator) -> Program:
    roomy = EngineConfiguration(bank_lines=1024, weight_lines=1024)
    return random_program(rng, roomy, 2, has_table=1, table=5).program


def test_an_exec_must_wait_for_its_table(with_tables: Program) -> None:
    validate(with_tables)
    early = {Opcode.EXEC: {"wait_load": 2}}  # after the maps and the weights, before the table
    with pytest.raises(
        FormatError, match=r"\(LOAD_WEIGHTS\) and descriptor \d+ \(EXEC\) touch the same words"
    ):
        validate(changed(with_tables, lambda d: early.get(d.opcode, {})))


def test_a_table_must_wait_for_the_execs_that_use_the_one_it_replaces(with_tables: Program) -> None:
    with pytest.raises(
        FormatError, match=r"\(EXEC\) and descriptor \d+ \(LOAD_WEIGHTS\) touch the same words"
    ):
        validate(changed(with_tables, lambda d: {"wait_exec": 0} if isinstance(d, LoadWeights) else {}))


def test_a_table_that_another_exec_uses_needs_no_wait(with_tables: Program) -> None:
    def change(each: Descriptor) -> dict[str, int]:
        return {"table": 4} if isinstance(each, Exec) and each.wait_load == 3 else {}

    moved = changed(with_tables, lambda d: {"wait_exec": 0} if isinstance(d, LoadWeights) else change(d))
    validate(moved)


def test_a_table_beyond_the_tables_is_refused(with_tables: Program) -> None:
    def change(each: Descriptor) -> dict[str, int]:
        is_table = isinstance(each, LoadWeights) and each.encoding == Encoding.TABLE
        return {"weight_line": 225} if is_table else {}

    with pytest.raises(FormatError, match="reaches beyond the tables of 256; the allocation is wrong"):
        validate(changed(with_tables, change))
