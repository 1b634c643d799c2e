"""The functional engine refuses what no engine may do, and computes what a program says."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from compiled_networks import NETWORKS, PYNQ, compiled_for, computed
from small_graphs import conv2d, graph_of

from bitlathe.hls.compile import Compiled
from bitlathe.hls.functional.run import FunctionalEngine
from bitlathe.hls.program import DESCRIPTOR_BYTES, Descriptor, Opcode
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import FormatError, OverflowRisk
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate, evaluate_all

Change = Callable[[Descriptor], dict[str, int]]


@pytest.fixture
def compiled(rng: np.random.Generator) -> Compiled:
    return compiled_for(NETWORKS["resnet8"](rng), PYNQ)


def run(compiled: Compiled, change: Change) -> None:
    """Run zeros through a program whose descriptors are changed."""
    program = compiled.program
    descriptors = tuple(replace(d, **change(d)) for d in program.descriptors)
    broken = replace(compiled, program=replace(program, descriptors=descriptors))
    FunctionalEngine.of(broken).run(np.zeros((1, program.input_stride), np.uint8))


def on(opcode: Opcode, **fields: int) -> Change:
    return lambda descriptor: fields if descriptor.opcode is opcode else {}


def test_words_that_nothing_wrote_are_poison(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match=r"EXEC\): reads word \d+ of the scratchpad, which nothing wrote"):
        run(compiled, on(Opcode.LOAD, line=3000))


def test_weights_that_nothing_loaded_are_poison(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match="of the weight store, which nothing wrote"):
        run(compiled, on(Opcode.EXEC, weight_line=4000))


def test_bank_conflicts_are_refused(rng: np.random.Generator) -> None:
    even = compiled_for(NETWORKS["resnet8"](rng), EngineConfiguration(banks=8))  # where strides of 2 collide
    with pytest.raises(FormatError, match="ask one of 8 banks twice"):
        run(even, on(Opcode.EXEC, group_lanes=6, group_cycles=999))


def test_groups_shorter_than_their_arithmetic_are_refused(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match="1 cycles a group, needed 6"):
        run(compiled, on(Opcode.EXEC, group_cycles=1))


def test_steps_that_are_no_raster_are_refused(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match="the input steps by other than 1 rows of 39 positions"):
        run(compiled, on(Opcode.EXEC, stride_w=0))
    with pytest.raises(FormatError, match="the kernel steps by other than 1 rows of"):
        run(compiled, on(Opcode.EXEC, tap_step=2))


def test_execs_beyond_their_stores_are_refused(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match="reaches beyond the scratchpad of 28672; the program is wrong"):
        run(compiled, on(Opcode.EXEC, out_line=4095))
    with pytest.raises(FormatError, match="reaches beyond the weight store of 4608; the program is wrong"):
        run(compiled, on(Opcode.EXEC, weight_line=4607))


def test_skipped_rows_that_are_not_the_kernels_are_refused(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match=r"skips 5 lines, a kernel row has \d+"):
        run(compiled, on(Opcode.EXEC, skip_weights=5))


def test_more_lanes_than_the_array_has_are_refused(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match=r"7 lanes are not 1\.\.6"):
        run(compiled, on(Opcode.EXEC, group_lanes=7))


@pytest.mark.parametrize("sign", [-1, 1])
def test_an_accumulator_beyond_its_bits_is_told(sign: int) -> None:
    weight = np.zeros((8, 8, 1, 1), np.int8)
    weight[0] = 127  # the other channels stay within
    proven, most = (np.full(1, sign * value, "<i4").tobytes() for value in (123456789, 2**31 - 1))
    conv = conv2d(weight, bias=np.full(8, sign * 123456789, np.int32))
    fitting = compiled_for(graph_of(conv, shape=(8, 1, 1)), PYNQ)
    assert fitting.weights.count(proven) == 8
    broken = replace(fitting, weights=fitting.weights.replace(proven, most))
    engine = FunctionalEngine.of(broken)
    for codes in (0, -sign):  # towards zero
        engine.run(fitting.input_layout.pack(np.full((1, 8, 1, 1), codes, np.int32)))
    with pytest.raises(OverflowRisk, match=r"EXEC\): an accumulator reaches \d+, beyond 32 bits"):
        engine.run(fitting.input_layout.pack(np.full((1, 8, 1, 1), sign * 100, np.int32)))


def test_stores_beyond_the_output_are_refused(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match="of the output, which has 2; the program is wrong"):
        run(compiled, on(Opcode.STORE, offset=8))


def test_weights_that_the_multipliers_have_no_room_for_are_refused(compiled: Compiled) -> None:
    raw = replace(compiled, weights=compiled.weights.replace(b"\x81", b"\x80"))
    with pytest.raises(FormatError, match=r"EXEC.*: weights of -128 to .*, the array multiplies -127 to 127"):
        run(raw, on(Opcode.EXEC))


def test_waiting_for_a_later_descriptor_is_refused(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match="waits for a descriptor after it; in-order dispatch would hang"):
        run(compiled, on(Opcode.LOAD, wait_store=1))


def test_a_damaged_program_is_refused(compiled: Compiled) -> None:
    sim = FunctionalEngine.of(compiled)
    data = bytearray(sim.program)
    data[DESCRIPTOR_BYTES + 20] ^= 1
    with pytest.raises(FormatError, match=r"program: crc is 0x.*compile it again for this engine"):
        replace(sim, program=bytes(data)).run(np.zeros((1, compiled.program.input_stride), np.uint8))


def test_a_program_of_another_engine_is_refused(compiled: Compiled) -> None:
    other = replace(FunctionalEngine.of(compiled), configuration=EngineConfiguration(bank_lines=2048))
    with pytest.raises(FormatError, match="program: identity is 0x"):
        other.run(np.zeros((1, compiled.program.input_stride), np.uint8))


def test_traced_words_are_the_maps_of_the_reference(rng: np.random.Generator) -> None:
    graph = NETWORKS["resnet8"](rng)
    compiled = compiled_for(graph, PYNQ)
    codes = random_inputs(rng, graph, 1)
    rows: dict[str, list[np.ndarray]] = {}
    packed = compiled.input_layout.pack(codes)
    FunctionalEngine.of(compiled).run(
        packed, trace=lambda i, words: rows.setdefault(compiled.labels[i], []).append(words)
    )
    expected = evaluate_all(graph, codes)
    for name, strips in rows.items():
        words = np.concatenate(strips, axis=1)  # (tiles, height, width, pi)
        lanes = words.transpose(0, 3, 1, 2).reshape(-1, *words.shape[1:3])
        channels = graph.shapes[name][0]
        assert np.array_equal(lanes[:channels], expected[name][0].astype(np.uint8))


def test_inputs_of_one_start_do_not_disturb_each_other(rng: np.random.Generator) -> None:
    graph = NETWORKS["vgg"](rng)
    compiled = compiled_for(graph, EngineConfiguration(bank_lines=200, weight_lines=600))
    codes = random_inputs(rng, graph, 3)
    together = computed(compiled, codes)
    assert np.array_equal(together, evaluate(graph, codes))


def test_loads_from_the_output_are_refused(compiled: Compiled) -> None:
    with pytest.raises(FormatError, match=r"\(LOAD\): goes to space 2, allowed are"):
        run(compiled, on(Opcode.LOAD, space=2))
