"""Weights lie in DDR in the encoding of fewest beats, and the weight store gets the same lines from each."""

import numpy as np
import pytest
from compiled_networks import IMAGE, PYNQ, ROOMY, compiled_for, computed, mobilenet
from encoded_networks import chain
from hypothesis import given
from hypothesis import strategies as st

from bitlathe.hls.compile.encodings import encoded
from bitlathe.hls.functional.memory import Machine
from bitlathe.hls.program import Encoding, LoadWeights, Opcode, Space
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.layers import Sketch

STREAMING = EngineConfiguration(bank_lines=512, weight_lines=300)


def loaded(
    configuration: EngineConfiguration, lines: np.ndarray, used: np.ndarray
) -> tuple[Encoding, np.ndarray]:
    """What the functional engine's store holds after the loads of encoded lines (passes, lines, po, pi)."""
    own = encoded(lines, used)
    data = np.concatenate([own.codebook, own.words])
    machine = Machine.poisoned(configuration, data.tobytes(), 0)
    codewords = {"encoding": Encoding.CODEBOOK, "beats": len(own.codebook)}
    weights = {
        "encoding": own.encoding,
        "offset": own.codebook.nbytes,
        "beats": len(own.words),
        "pass_lines": lines.shape[1] - 1,
        "narrow": own.narrow,
        "lines": lines.shape[0] * lines.shape[1] if own.encoding is Encoding.SPARSE else 0,
    }
    for fields in (codewords, weights):
        if fields["beats"]:
            machine.load_weights(LoadWeights(space=Space.WEIGHTS, **fields))
    size = lines.size // configuration.pi
    store = machine.weights.read(np.arange(size), "the test").view(np.int8)
    return own.encoding, store.reshape(lines.shape)


@given(
    st.sampled_from(ROOMY),
    st.integers(1, 3),
    st.integers(1, 20),
    st.sampled_from(Encoding),
    st.integers(0, 1 << 30),
)
def test_every_encoding_gives_the_same_lines(
    configuration: EngineConfiguration, passes: int, count: int, kind: Encoding, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    po, pi = configuration.po, configuration.pi
    lines = rng.integers(-128, 128, (passes, 1 + count, po, pi)).astype(np.int8)
    if kind is Encoding.DIAGONAL:
        lines[:, 1:, ~np.eye(po, pi, dtype=bool)] = 0
    if kind is Encoding.NIBBLES:
        lines[:, 1:] >>= 4
    if kind is Encoding.INDICES:
        words = rng.integers(-128, 128, (int(rng.integers(1, 30)), 8)).astype(np.int8)
        taken = rng.integers(len(words), size=(passes, count, po, pi // 8))
        lines[:, 1:] = words[taken].reshape(passes, count, po, pi)
    if kind is Encoding.SPARSE:
        lines[rng.random(lines.shape) < rng.random()] = 0
    encoding, store = loaded(configuration, lines, np.ones((passes, po), bool))
    assert np.array_equal(store, lines)
    if kind in (Encoding.DIAGONAL, Encoding.NIBBLES) and count > 1:
        assert encoding in (kind, Encoding.DIAGONAL, Encoding.INDICES)


def _codewords(rng: np.random.Generator, count: int) -> np.ndarray:
    """Different codewords without a zero, (count, 8)."""
    words = rng.integers(1, 128, (count, 8)).astype(np.int8)
    words[:, :2] = np.stack([np.arange(count) % 127, np.arange(count) // 127], axis=1) + 1
    return words


@pytest.mark.parametrize("codewords", [256, 257])
def test_at_most_256_codewords_are_indexed(codewords: int) -> None:
    rng = np.random.default_rng(codewords)
    words = _codewords(rng, codewords)
    taken = np.concatenate([np.arange(codewords), rng.integers(codewords, size=8 * 8 * 40 - codewords)])
    lines = np.zeros((8, 41, 8, 8), np.int8)
    lines[:, 1:] = words[taken].reshape(8, 40, 8, 8)
    encoding, store = loaded(PYNQ, lines, np.ones((8, 8), bool))
    assert encoding is (Encoding.INDICES if codewords <= 256 else Encoding.COLUMNS)
    assert np.array_equal(store, lines)


def test_columns_without_a_channel_need_no_codeword() -> None:
    rng = np.random.default_rng(1)
    words = _codewords(rng, 256)
    used = np.ones((8, 8), bool)
    used[-1, 3:] = False
    taken = np.concatenate([np.arange(256), rng.integers(256, size=8 * 8 * 40 - 256)])
    lines = np.zeros((8, 41, 8, 8), np.int8)
    lines[:, 1:] = words[taken].reshape(8, 40, 8, 8)
    lines[-1, :, 3:] = 0
    encoding, store = loaded(PYNQ, lines, used)
    assert encoding is Encoding.INDICES
    assert np.array_equal(store.transpose(0, 2, 1, 3)[used], lines.transpose(0, 2, 1, 3)[used])


@pytest.mark.parametrize(("zeros", "narrow"), [(0.6, False), (0.6, True), (0.2, False), (0.05, True)])
def test_weights_of_which_many_are_zero_are_stored_sparse(zeros: float, narrow: bool) -> None:
    rng = np.random.default_rng(1)
    lines = rng.integers(1, 8 if narrow else 128, (4, 40, 8, 8)).astype(np.int8)
    lines[rng.random(lines.shape) < zeros] = 0
    own = encoded(lines, np.ones((4, 8), bool))
    bits = 1 + (1 - zeros) * (4 if narrow else 8)
    if zeros == 0.05:
        assert own.encoding is Encoding.NIBBLES
        return
    assert own.encoding is Encoding.SPARSE and own.narrow == narrow
    assert own.words.size * 8 / lines.size == pytest.approx(bits, rel=0.05)


def _encodings(compiled) -> list[Encoding]:
    loads = [d for d in compiled.program.descriptors if d.opcode is Opcode.LOAD_WEIGHTS]
    return [Encoding(d.encoding) for d in loads]


@pytest.mark.parametrize("configuration", [PYNQ, STREAMING, ROOMY[1], ROOMY[2]], ids=str)
@pytest.mark.parametrize("channels", [(16, 64, 64), (12, 60, 44)], ids=str)
def test_a_product_quantized_network_equals_the_reference(
    configuration: EngineConfiguration, channels: tuple[int, ...], rng: np.random.Generator
) -> None:
    graph = chain(rng, 12, channels, codewords=100)
    codes = random_inputs(rng, graph, 2)
    compiled = compiled_for(graph, configuration)
    assert _encodings(compiled).count(Encoding.INDICES) >= 2
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))


@pytest.mark.parametrize("configuration", [PYNQ, STREAMING, ROOMY[1]], ids=str)
def test_4_bit_weights_with_8_bit_activations_equal_the_reference(
    configuration: EngineConfiguration, rng: np.random.Generator
) -> None:
    graph = chain(rng, 12, (16, 36, 40), weight_bits=4)
    codes = random_inputs(rng, graph, 2)
    compiled = compiled_for(graph, configuration)
    loads = [d for d in compiled.program.descriptors if isinstance(d, LoadWeights)]
    assert sum(d.encoding == Encoding.NIBBLES or d.narrow for d in loads) >= 3
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))


@pytest.mark.parametrize("weight_bits", [4, 8])
@pytest.mark.parametrize("configuration", [PYNQ, STREAMING, ROOMY[1]], ids=str)
def test_a_network_of_sparse_weights_equals_the_reference(
    configuration: EngineConfiguration, weight_bits: int, rng: np.random.Generator
) -> None:
    graph = chain(rng, 12, (16, 36, 40), weight_bits=weight_bits, zeros=0.7)
    codes = random_inputs(rng, graph, 2)
    compiled = compiled_for(graph, configuration)
    assert _encodings(compiled).count(Encoding.SPARSE) >= 3
    assert np.array_equal(computed(compiled, codes, rng), evaluate(graph, codes))


def test_codewords_bring_weights_eight_times_faster(rng: np.random.Generator) -> None:
    beats = {}
    for codewords in (None, 64):
        compiled = compiled_for(chain(rng, 8, (64, 128, 128), codewords=codewords), PYNQ)
        loads = [d for d in compiled.program.descriptors if d.opcode is Opcode.LOAD_WEIGHTS]
        beats[codewords] = sum(d.beats for d in loads if d.node.startswith("conv"))
    assert beats[64] < beats[None] / 5  # the first layer stays as it is


def test_an_average_keeps_one_pass_of_lines(rng: np.random.Generator) -> None:
    compiled = compiled_for(mobilenet(rng, 32, 16), PYNQ)
    execs = [d for d in compiled.program.descriptors if d.opcode is Opcode.EXEC]
    (average,) = (d for d in execs if d.repeat_weights)
    (load,) = (
        d for d in compiled.program.descriptors if d.opcode is Opcode.LOAD_WEIGHTS and d.node == average.node
    )
    taps = average.kernel_h * average.kernel_w
    assert average.out_tiles > 1
    assert load.encoding == Encoding.DIAGONAL
    assert load.beats == PYNQ.po + taps


def test_an_average_of_joined_maps_serves_the_lanes_that_its_first_tile_lacks(
    rng: np.random.Generator,
) -> None:
    sketch = Sketch(rng=rng, widths=(8,))
    image = sketch.input(IMAGE, (3, 6, 6))
    parts = tuple(sketch.convolution(image, width, (1, 1), (1, 1), (0, 0), target=IMAGE) for width in (5, 8))
    head = sketch.average_pool(sketch.concat(parts), (6, 6), (6, 6), (0, 0))
    logits = sketch.dense(head, 10, relu=False)
    graph = Graph(name="joined", nodes=tuple(sketch.nodes), output=logits)
    codes = random_inputs(rng, graph, 2)
    assert np.array_equal(computed(compiled_for(graph, PYNQ), codes), evaluate(graph, codes))
