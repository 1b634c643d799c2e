"""What the engine cannot hold is refused by name, with the remedy."""

from dataclasses import replace

import numpy as np
import pytest
from compiled_networks import compiled_for, vgg
from small_graphs import BYTE, conv2d, graph_of

from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import CapacityError, OverflowRisk, UnsupportedLayer
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.nodes import MaxPool2d

WIDE = FixedPoint(bits=9, frac=7)
ONE = np.ones((1, 1, 1, 1), np.int16)
DEFAULT = EngineConfiguration()


def test_wide_activations_are_refused() -> None:
    graph = graph_of(conv2d(ONE, format=WIDE), shape=(1, 4, 4))
    with pytest.raises(UnsupportedLayer) as refusal:
        compiled_for(graph, DEFAULT)
    expected = "conv: codes of 9 bits; the engine's lanes hold 8: quantize the layer to at most that"
    assert str(refusal.value) == expected


def test_a_wide_input_is_refused() -> None:
    with pytest.raises(UnsupportedLayer, match="image: codes of 9 bits"):
        compiled_for(graph_of(conv2d(ONE), shape=(1, 4, 4), image=WIDE), DEFAULT)


def test_wide_weights_are_refused() -> None:
    with pytest.raises(UnsupportedLayer, match="conv: weights of 9 bits; the engine multiplies 8"):
        compiled_for(graph_of(conv2d(ONE, weight_bits=9), shape=(1, 4, 4)), DEFAULT)


def test_an_accumulator_that_may_overflow_is_refused() -> None:
    bias = np.array([2**31 - 1], np.int32)
    with pytest.raises(OverflowRisk, match="conv: the accumulator of channel 0 may reach"):
        compiled_for(graph_of(conv2d(ONE, bias=bias), shape=(1, 4, 4)), DEFAULT)


def test_windows_beyond_their_fields_are_refused() -> None:
    pool = MaxPool2d(name="pool", format=BYTE, source="image", kernel_size=(1, 2), stride=(1, 1))
    wide = replace(pool, dilation=(1, 32))
    with pytest.raises(CapacityError, match="pool: a dilation of 1x32; the engine's limit is 31: choose a "):
        compiled_for(graph_of(wide, shape=(1, 1, 40)), DEFAULT)
    with pytest.raises(CapacityError, match="pool: a kernel of 1x256; the engine's limit is 255"):
        compiled_for(graph_of(replace(pool, kernel_size=(1, 256)), shape=(1, 1, 260)), DEFAULT)


def test_an_image_beyond_the_coordinates_is_refused() -> None:
    with pytest.raises(CapacityError, match="image: a map of 2x2048 pixels; the engine counts to 2047"):
        compiled_for(graph_of(conv2d(ONE), shape=(1, 2, 2048)), DEFAULT)


def test_layers_whose_single_row_fits_not_are_named_with_their_lines(rng: np.random.Generator) -> None:
    with pytest.raises(CapacityError) as refusal:
        compiled_for(vgg(rng, 32, 64), EngineConfiguration(bank_lines=20))
    head, *lines = str(refusal.value).splitlines()
    assert head == "vgg: 6 problems" and len(lines) == 6
    assert lines[0] == (
        "  conv2: a strip of one row takes 117 scratchpad lines, there are 20; "
        "use smaller images, fewer channels or more bank_lines"
    )


def test_weights_of_one_pass_beyond_the_store_are_refused_with_their_lines() -> None:
    weight = np.ones((8, 64, 3, 3), np.int16)
    graph = graph_of(conv2d(weight, padding=(1, 1)), shape=(64, 8, 8))
    with pytest.raises(CapacityError) as refusal:
        compiled_for(graph, EngineConfiguration(weight_lines=72))
    problem = (
        "8 output channels take 73 weight lines, there are 72; "
        "use a smaller kernel, fewer input channels or more weight_lines"
    )
    assert str(refusal.value) == f"conv: {problem}"
    square = np.ones((64, 64, 3, 3), np.int16)
    layers = [
        conv2d(square, name=name, source=source, padding=(1, 1))
        for name, source in (("one", "image"), ("other", "one"))
    ]
    with pytest.raises(CapacityError) as refusal:
        compiled_for(graph_of(*layers, shape=(64, 8, 8)), EngineConfiguration(weight_lines=72))
    assert str(refusal.value).splitlines()[1:] == [f"  one: {problem} (and 1 more of the same, in other)"]


def test_all_layers_that_do_not_fit_are_named_at_once() -> None:
    pools = [
        MaxPool2d(name=f"pool{n}", format=BYTE, source=source, kernel_size=(256, 1), stride=(1, 1))
        for n, source in ((1, "image"), (2, "pool1"))
    ]
    graph = graph_of(*pools, conv2d(ONE, source="pool2", format=WIDE), shape=(1, 600, 600))
    with pytest.raises(CapacityError) as refusal:
        compiled_for(graph, DEFAULT)
    assert str(refusal.value).splitlines() == [
        f"{graph.name}: 3 problems",
        "  pool1: a kernel of 256x1; the engine's limit is 255: choose a smaller one "
        "(and 1 more of the same, in pool2)",
        "  conv: codes of 9 bits; the engine's lanes hold 8: quantize the layer to at most that",
    ]
