"""The engine in HLS C++ computes what the reference does, and stops as the hardware stops."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import needs
import numpy as np
import pytest
from aligned_networks import aligned_graphs
from encoded_networks import chain
from halves import network_of_halves
from hls_engines import ENGINES, WIDE
from lone_execs import alone, execs

from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.program import (
    DESCRIPTOR_BYTES,
    KINDS,
    Encoding,
    ErrorCode,
    Exec,
    LoadWeights,
    Opcode,
    Program,
    fields_of,
)
from bitlathe.hls.program.registers import FLAG_WEIGHTS_RESIDENT, NO_DESCRIPTOR
from bitlathe.hls.target.config import (
    PROGRAM_VERSION,
    TARGETS,
    EngineConfiguration,
    Target,
    reference_targets,
)
from bitlathe.hls.vitis.csim import Arguments, EngineStopped, HlsEngine, Status, Types, aligned
from bitlathe.model.graph.errors import CapacityError, FormatError
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import corner_inputs, random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.graphs import random_graph
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

PYNQ = TARGETS["pynq-z2"]
ALIGNED = {**ENGINES, **WIDE}


def _graph(rng: np.random.Generator, seed: int) -> Graph:
    """A random network; odd seeds have codewords, even ones nodes of every kind, some round to even."""
    return random_graph(rng, product=seed % 2 == 1, half_even=seed % 3 == 1, others=seed % 2 == 0)


def _compiled(
    seeds: Iterable[int], configuration: EngineConfiguration
) -> Iterator[tuple[int, Compiled, np.ndarray]]:
    """Random networks that the engine can hold, their inputs, and the reference's outputs with them."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        graph = _graph(rng, seed)
        codes = random_inputs(rng, graph, 3)
        try:
            yield seed, compile_graph(graph, configuration), codes
        except CapacityError:
            continue


def _wrong(target: Target, types: Types, count: int) -> list[int]:
    """Seeds, among the first `count` networks that fit, whose integers are not the reference's."""
    engine, wrong, ran = HlsEngine(target, types), [], 0
    for seed, network, codes in islice(_compiled(range(10 * count), target.engine), count):
        ran += 1
        graph = _graph(np.random.default_rng(seed), seed)
        outputs = engine.run(network, codes, inputs_per_start=2)
        if not np.array_equal(
            outputs.reshape(len(codes), -1), evaluate(graph, codes).reshape(len(codes), -1)
        ):
            wrong.append(seed)
    assert ran == count
    return wrong


@pytest.mark.parametrize("name", ENGINES)
def test_random_networks_give_the_references_integers(name: str) -> None:
    assert _wrong(ENGINES[name], Types.PLAIN, 8) == []


@pytest.mark.parametrize("seed", range(3))
def test_halves_round_to_even_where_the_layer_says_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = network_of_halves(rng)
    codes = np.concatenate([random_inputs(rng, graph, 5), corner_inputs(graph)])
    outputs = HlsEngine(PYNQ, Types.PLAIN).run(compile_graph(graph, PYNQ.engine), codes)
    assert np.array_equal(outputs.reshape(-1), evaluate(graph, codes).reshape(-1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_300_random_networks_give_the_references_integers(name: str) -> None:
    assert _wrong(ENGINES[name], Types.PLAIN, 300) == []


@pytest.mark.parametrize("name", ["pynq-z2", "8x16x3"])
def test_integers_of_exact_widths_give_the_same_as_plain_ones(name: str) -> None:
    needs.package("hls4ml")
    assert _wrong(ENGINES[name], Types.AP, 3) == []


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ENGINES)
def test_a_resnet_gives_the_references_integers(rng: np.random.Generator, name: str, bits: int) -> None:
    graph = random_resnet(rng, blocks=2, channels=(8, 16, 32), bits=bits)
    codes = random_inputs(rng, graph, 2)
    network = compile_graph(graph, ENGINES[name].engine)
    outputs = HlsEngine(ENGINES[name]).run(network, codes)
    assert np.array_equal(outputs.reshape(2, -1), evaluate(graph, codes).reshape(2, -1))


def test_a_packed_resnet_needs_no_more_than_the_exact_widths(rng: np.random.Generator) -> None:
    needs.package("hls4ml")
    graph = random_resnet(rng, blocks=1, channels=(8, 16, 32), bits=4)
    codes = random_inputs(rng, graph, 1)
    network = compile_graph(graph, PYNQ.engine)
    execs = [d for d in network.program.descriptors if isinstance(d, Exec)]
    assert any(one.in_packed and one.out_packed for one in execs)
    outputs = HlsEngine(PYNQ, Types.AP).run(network, codes)
    assert np.array_equal(outputs.reshape(1, -1), evaluate(graph, codes).reshape(1, -1))


def _wrong_when_aligned(target: Target, types: Types) -> list[str]:
    """Networks whose products all add up, and whose integers are not the reference's."""
    engine, wrong = HlsEngine(target, types), []
    for name, graph in aligned_graphs(target.engine).items():
        codes = corner_inputs(graph)
        outputs = engine.run(compile_graph(graph, target.engine), codes)
        if not np.array_equal(outputs.ravel(), evaluate(graph, codes).ravel()):
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("name", ALIGNED)
def test_codes_and_weights_that_all_add_up_give_the_references_integers(name: str) -> None:
    assert _wrong_when_aligned(ALIGNED[name], Types.PLAIN) == []


@pytest.mark.parametrize("name", ["8x16x3", "16x16x2"])
def test_exact_widths_hold_codes_and_weights_that_all_add_up(name: str) -> None:
    needs.package("hls4ml")
    assert _wrong_when_aligned(ALIGNED[name], Types.AP) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", reference_targets())
def test_resnet_56_gives_the_references_integers(rng: np.random.Generator, name: str) -> None:
    graph = random_resnet(rng, blocks=9, channels=(16, 32, 64))
    codes = random_inputs(rng, graph, 1)
    network = compile_graph(graph, TARGETS[name].engine)
    outputs = HlsEngine(TARGETS[name]).run(network, codes)
    assert np.array_equal(outputs.reshape(1, -1), evaluate(graph, codes).reshape(1, -1))


class _Bench:
    """A small network in memory, whose descriptors a test may damage."""

    def __init__(self, rng: np.random.Generator, graph: Graph | None = None) -> None:
        graph = graph or random_resnet(rng, blocks=1, channels=(8, 8, 8))
        self.network = compile_graph(graph, PYNQ.engine)
        self.program = bytearray(self.network.program.encode())
        packed = self.network.input_layout.pack(random_inputs(rng, graph, 1))
        self.input = aligned(packed.tobytes())
        self.arguments = Arguments.of(self.network)

    def first(self, opcode: Opcode) -> int:
        """Index of the first descriptor of a kind."""
        return next(i for i, d in enumerate(self.network.program.descriptors) if d.opcode is opcode)

    def change(self, index: int, **fields: int) -> None:
        """Other values for some of a descriptor's fields."""
        changed = replace(self.network.program.descriptors[index], **fields)
        place = DESCRIPTOR_BYTES * (index + 1)
        self.program[place : place + DESCRIPTOR_BYTES] = changed.encode()

    def start(self, *, abort: bool = False, register: int | None = None, **arguments: int) -> Status:
        """One start; word `register` of the output, zero at first, serves as the register ABORT if given."""
        given = replace(self.arguments, **arguments)
        self.output = aligned(bytes(given.output_bytes))
        aborts = np.full(1, abort, np.uint32) if register is None else self.output.view(np.uint32)[register:]
        buffers = (
            aligned(bytes(self.program)),
            aligned(self.network.weights),
            self.input,
            self.output,
            aligned(bytes(self.network.scratch_bytes)),
        )
        return HlsEngine(PYNQ).start(*buffers, given, aborts)


@pytest.fixture
def bench(rng: np.random.Generator) -> _Bench:
    return _Bench(rng)


def _fault(status: Status) -> tuple[ErrorCode, int]:
    return ErrorCode(status.error), status.error_index


def test_a_good_start_says_who_the_engine_is_and_counts_its_runs(bench: _Bench) -> None:
    first, second = bench.start(), bench.start()
    assert _fault(first) == (ErrorCode.NONE, NO_DESCRIPTOR)
    assert (first.identity, first.version) == (PYNQ.engine.identity, PROGRAM_VERSION)
    assert second.runs == first.runs + 1


def test_the_counter_outside_is_read_before_and_after_a_run(bench: _Bench) -> None:
    first = bench.start()
    assert first.cycles > 0
    assert bench.start().cycles == first.cycles
    assert bench.start(inputs=0).cycles == 0


def test_an_abort_ends_a_run_before_its_next_descriptor(bench: _Bench) -> None:
    assert _fault(bench.start(abort=True)) == (ErrorCode.ABORTED, NO_DESCRIPTOR)
    assert not bench.output.any()
    assert _fault(bench.start()) == (ErrorCode.NONE, NO_DESCRIPTOR)
    assert bench.output.any()


def test_an_abort_is_seen_while_a_run_is_under_way(bench: _Bench) -> None:
    bench.start()
    whole, stride = bench.output, bench.network.program.output_stride
    first = int(np.flatnonzero(whole)[0]) // 4  # a word that the first input's STORE makes other than 0
    two = {"inputs": 2, "input_bytes": 2 * bench.arguments.input_bytes, "output_bytes": 2 * stride}
    assert _fault(bench.start(register=first, **two)) == (ErrorCode.ABORTED, NO_DESCRIPTOR)
    assert np.array_equal(bench.output[:stride], whole) and not bench.output[stride:].any()


@pytest.mark.parametrize("place", [0, 4, 8, 14])
def test_a_bad_header_is_refused(bench: _Bench, place: int) -> None:
    bench.program[place] ^= 0x41
    assert _fault(bench.start()) == (ErrorCode.BAD_HEADER, NO_DESCRIPTOR)


@pytest.mark.parametrize("arguments", [{"inputs": 0}, {"profile": 64}], ids=["inputs", "profile"])
def test_impossible_arguments_are_refused(bench: _Bench, arguments: dict[str, int]) -> None:
    assert _fault(bench.start(**arguments)) == (ErrorCode.BAD_FIELD, NO_DESCRIPTOR)


def test_an_unknown_opcode_is_refused(bench: _Bench) -> None:
    bench.program[2 * DESCRIPTOR_BYTES] = 5
    assert _fault(bench.start()) == (ErrorCode.BAD_OPCODE, 1)


def test_an_end_before_the_last_descriptor_is_refused(bench: _Bench) -> None:
    bench.program[2 * DESCRIPTOR_BYTES] = Opcode.END
    assert _fault(bench.start()) == (ErrorCode.BAD_OPCODE, 1)


@pytest.mark.parametrize(
    ("opcode", "field", "value"),
    [
        (Opcode.EXEC, "group_lanes", 0),
        (Opcode.EXEC, "group_lanes", 7),
        (Opcode.EXEC, "sub_tiles", 2),
        (Opcode.EXEC, "kernel_h", 0),
        (Opcode.EXEC, "out_w", 0),
        (Opcode.EXEC, "tap_step", 0),
        (Opcode.EXEC, "out_bank", 7),
        (Opcode.EXEC, "pitch_bank", 7),
        (Opcode.EXEC, "skip_weights", 4095),
        (Opcode.EXEC, "group_cycles", 4),
        (Opcode.EXEC, "in_row_line", 9),
        (Opcode.EXEC, "stride_w", 2),
        (Opcode.EXEC, "tap_rows", 2),
        (Opcode.EXEC, "out_step", 0),
        (Opcode.EXEC, "table", 1),
        (Opcode.EXEC, "is_product", 1),
        (Opcode.EXEC, "res_still", 1),
        (Opcode.EXEC, "out_row_line", -1),
        (Opcode.LOAD, "space", 4),
        (Opcode.LOAD, "segments", 0),
        (Opcode.LOAD, "offset", 4),
        (Opcode.LOAD_WEIGHTS, "beats", 0),
        (Opcode.LOAD_WEIGHTS, "encoding", 7),
        (Opcode.STORE, "space", 1),
        (Opcode.STORE, "row_bank", 7),
        (Opcode.EXEC, "wait_store", 9),
    ],
)
def test_an_impossible_field_is_refused_with_its_descriptor(
    bench: _Bench, opcode: Opcode, field: str, value: int
) -> None:
    index = bench.first(opcode)
    assert field in {entry.name for entry in fields_of(KINDS[opcode])}
    bench.change(index, **{field: value})
    assert _fault(bench.start()) == (ErrorCode.BAD_FIELD, index)


@pytest.mark.parametrize(
    ("opcode", "field", "value"),
    [
        (Opcode.LOAD, "offset", 1 << 20),
        (Opcode.LOAD, "line", 0xFFFF),
        (Opcode.LOAD_WEIGHTS, "offset", 1 << 24),
        (Opcode.LOAD_WEIGHTS, "weight_line", PYNQ.engine.weight_lines),
        (Opcode.STORE, "offset", 1 << 20),
        (Opcode.STORE, "line", 0xFFFF),
        (Opcode.EXEC, "in_line", PYNQ.engine.bank_lines - 1),
        (Opcode.EXEC, "out_line", PYNQ.engine.bank_lines - 1),
        (Opcode.EXEC, "weight_line", PYNQ.engine.weight_lines - 1),
    ],
)
def test_a_move_or_an_exec_beyond_its_memory_stops_the_run(
    bench: _Bench, opcode: Opcode, field: str, value: int
) -> None:
    index = bench.first(opcode)
    bench.change(index, **{field: value})
    assert _fault(bench.start()) == (ErrorCode.OUT_OF_BOUNDS, index)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ENGINES)
def test_sparse_weights_give_the_references_integers(rng: np.random.Generator, name: str, bits: int) -> None:
    graph = chain(rng, 8, (16, 24, 40), weight_bits=bits, zeros=0.7)
    codes = random_inputs(rng, graph, 2)
    network = compile_graph(graph, ENGINES[name].engine)
    loads = [one for one in network.program.descriptors if isinstance(one, LoadWeights)]
    assert any(one.encoding == Encoding.SPARSE and one.narrow == (bits == 4) for one in loads)
    outputs = HlsEngine(ENGINES[name]).run(network, codes)
    assert np.array_equal(outputs.reshape(2, -1), evaluate(graph, codes).reshape(2, -1))


@pytest.mark.parametrize("changes", [{"beats": -1}, {"beats": 1}, {"lines": -1}, {"lines": 1}], ids=str)
def test_a_sparse_stream_of_another_length_stops_the_run(
    rng: np.random.Generator, changes: dict[str, int]
) -> None:
    graph = chain(rng, 8, (16, 24), zeros=0.7)
    bench = _Bench(rng, graph)
    loads = enumerate(bench.network.program.descriptors)
    index, load = next(
        (i, d) for i, d in loads if isinstance(d, LoadWeights) and d.encoding == Encoding.SPARSE
    )
    bench.change(index, **{name: getattr(load, name) + more for name, more in changes.items()})
    assert _fault(bench.start()) == (ErrorCode.BAD_STREAM, index)


def test_sparse_lines_beyond_the_store_stop_the_run(rng: np.random.Generator) -> None:
    bench = _Bench(rng, chain(rng, 8, (16, 24), zeros=0.7))
    loads = enumerate(bench.network.program.descriptors)
    index = next(i for i, d in loads if isinstance(d, LoadWeights) and d.encoding == Encoding.SPARSE)
    bench.change(index, weight_line=PYNQ.engine.weight_lines - 1)
    assert _fault(bench.start()) == (ErrorCode.OUT_OF_BOUNDS, index)


@pytest.mark.parametrize(("first", "beats", "fits"), [(0, 256, 1), (255, 1, 1), (255, 2, 0), (256, 1, 0)])
def test_a_table_is_loaded_up_to_the_last_word(bench: _Bench, first: int, beats: int, fits: bool) -> None:
    index = bench.first(Opcode.LOAD_WEIGHTS)
    table = {"encoding": Encoding.TABLE, "pass_lines": 0, "lines": 0, "narrow": 0}
    bench.change(index, **table, weight_line=first, beats=beats)
    expected = (ErrorCode.NONE, NO_DESCRIPTOR) if fits else (ErrorCode.OUT_OF_BOUNDS, index)
    assert _fault(bench.start()) == expected


@pytest.mark.parametrize("name", ["8x8x1", "8x16x1", "16x16x1"])
def test_an_exec_runs_or_is_refused_as_specified(rng: np.random.Generator, name: str) -> None:
    target, graph = ALIGNED[name], random_resnet(rng, blocks=1, channels=(8, 8, 8))
    network, codes = compile_graph(graph, target.engine), random_inputs(rng, graph, 1)
    for descriptor, expected in execs(rng, target.engine, 60):
        code = ErrorCode.NONE
        try:
            HlsEngine(target).run(alone(network, descriptor), codes)
        except EngineStopped as fault:
            code = fault.code
        assert code is expected, descriptor


@pytest.mark.parametrize("buffer", ["weights_bytes", "input_bytes", "output_bytes"])
def test_a_buffer_too_small_for_the_program_stops_the_run(bench: _Bench, buffer: str) -> None:
    assert bench.start(**{buffer: 8}).error == ErrorCode.OUT_OF_BOUNDS


def test_weights_that_are_resident_are_not_loaded_again(bench: _Bench) -> None:
    assert bench.start().error == ErrorCode.NONE
    again = bench.start(weights_bytes=0, flags=FLAG_WEIGHTS_RESIDENT)
    assert again.error == ErrorCode.NONE


def test_a_program_for_another_engine_is_refused(bench: _Bench) -> None:
    other: Program = bench.network.program
    assert other.configuration == PYNQ.engine
    codes = np.zeros((1, 1, 1, 1), np.int64)
    with pytest.raises(FormatError, match="compile it for this target"):
        HlsEngine(TARGETS["zcu104"]).run(bench.network, codes)
