"""Nodes beside strided windows: by definition, as parts, and as PyTorch computes them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.errors import BitlatheError, FormatError, OverflowRisk, ShapeError
from bitlathe.model.graph.fixed_point import FixedPoint, requantize
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Input, MaxPool2d, Node
from bitlathe.model.graph.parts import parts_of, trimmed
from bitlathe.model.graph.proof import check
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    Interval,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)

S8 = FixedPoint(bits=8, frac=4)
COARSE = FixedPoint(bits=8, frac=2)


def graph_of(shape: tuple[int, int, int], *nodes: Node, form: FixedPoint = S8) -> Graph:
    image = Input(name="x", format=form, shape=shape)
    return Graph(name="g", nodes=(image, *nodes), output=nodes[-1].name)


def codes_for(graph: Graph, seed: int = 0) -> np.ndarray:
    form, rng = graph.input.format, np.random.default_rng(seed)
    chance = rng.integers(form.lo, form.hi + 1, (3, *graph.input.shape))
    chance[1], chance[2] = form.lo, form.hi
    return chance


def random_convolution(
    rng: np.random.Generator, kind: type[Node], shape: tuple[int, ...], **fields: object
) -> Node:
    outputs = shape[0]
    return kind(
        name="y",
        format=COARSE,
        source="x",
        weight=rng.integers(-127, 128, shape).astype(np.int8),
        bias=rng.integers(-3000, 3000, outputs).astype(np.int32),
        weight_bits=8,
        weight_frac=tuple(int(frac) for frac in rng.integers(6, 10, outputs)),
        lo=-128,
        hi=127,
        **fields,
    )


def evaluated_by_parts(graph: Graph, codes: np.ndarray, banks: int) -> np.ndarray:
    """The output's codes, each part evaluated as a network of one layer; -999 where no part writes."""
    node = graph.by_name[graph.only_output]
    shape = graph.shapes[node.name]
    written = np.full((len(codes), *shape), -999)
    for part in parts_of(node, graph.shapes[node.sources[0]], banks):
        alone = evaluate(graph_of(graph.input.shape, part.node, form=graph.input.format), codes)
        (top, left), (down, right) = part.origin, part.step
        place = written[:, :, top::down, left::right][:, :, : alone.shape[2], : alone.shape[3]]
        assert (place == -999).all(), "a pixel is written twice"
        place[:] = alone
    return written


def assert_parts_agree(graph: Graph) -> None:
    codes = codes_for(graph)
    check(graph)
    for banks in (0, 2, 7):
        assert np.array_equal(evaluated_by_parts(graph, codes, banks), evaluate(graph, codes))


@pytest.mark.parametrize("seed", range(40))
def test_a_convolution_of_any_groups_dilation_and_padding_is_pytorchs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, inner, outer = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    kernel, stride, dilation = rng.integers(1, 5, 2), rng.integers(1, 4, 2), rng.integers(1, 4, 2)
    pads = [int(amount) for amount in rng.integers(-1, 4, 4)]
    conv = random_convolution(
        rng,
        Conv2d,
        (groups * outer, inner, *map(int, kernel)),
        groups=groups,
        stride=tuple(map(int, stride)),
        dilation=tuple(map(int, dilation)),
        padding=(pads[0], pads[1]),
        end_padding=(pads[2], pads[3]),
    )
    graph = graph_of((groups * inner, 14, 15), conv)
    codes = codes_for(graph, seed)
    padded = functional.pad(torch.tensor(codes, dtype=torch.float64), (pads[1], pads[3], pads[0], pads[2]))
    sums = functional.conv2d(
        padded,
        torch.tensor(conv.weight, dtype=torch.float64),
        torch.tensor(conv.bias, dtype=torch.float64),
        stride=conv.stride,
        dilation=conv.dilation,
        groups=groups,
    )
    shift = np.array(conv.weight_frac).reshape(-1, 1, 1) + S8.frac - COARSE.frac
    assert np.array_equal(evaluate(graph, codes), requantize(sums.long().numpy(), shift, -128, 127))


@pytest.mark.parametrize("seed", range(40))
def test_a_transposed_convolution_is_pytorchs_and_its_phases_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, inner, outer = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    kernel, stride = rng.integers(1, 6, 2), rng.integers(1, 5, 2)
    padding = [int(rng.integers(0, size)) for size in kernel]
    more = [int(rng.integers(0, size)) for size in stride]
    conv = random_convolution(
        rng,
        ConvTranspose2d,
        (groups * outer, inner, *map(int, kernel)),
        groups=groups,
        stride=tuple(map(int, stride)),
        padding=tuple(padding),
        output_padding=tuple(more),
    )
    graph = graph_of((groups * inner, 6, 7), conv)
    codes = codes_for(graph, seed)
    weight = torch.tensor(conv.weight, dtype=torch.float64)
    torchs = torch.cat([part.transpose(0, 1) for part in weight.split(outer)])
    sums = functional.conv_transpose2d(
        torch.tensor(codes, dtype=torch.float64),
        torchs,
        torch.tensor(conv.bias, dtype=torch.float64),
        stride=conv.stride,
        padding=conv.padding,
        output_padding=conv.output_padding,
        groups=groups,
    )
    shift = np.array(conv.weight_frac).reshape(-1, 1, 1) + S8.frac - COARSE.frac
    assert np.array_equal(evaluate(graph, codes), requantize(sums.long().numpy(), shift, -128, 127))
    assert_parts_agree(graph)


def test_resampling_is_pytorchs_and_its_parts_agree() -> None:
    shape = (8, 4, 6)
    nodes = (
        (Upsample2d(name="y", format=S8, source="x", factors=(2, 3)), torch.nn.Upsample(scale_factor=(2, 3))),
        (PixelShuffle2d(name="y", format=S8, source="x", factor=2), torch.nn.PixelShuffle(2)),
        (PixelUnshuffle2d(name="y", format=S8, source="x", factor=2), torch.nn.PixelUnshuffle(2)),
    )
    for node, layer in nodes:
        graph = graph_of(shape, node)
        codes = codes_for(graph)
        made = layer(torch.tensor(codes, dtype=torch.float32)).long().numpy()
        assert np.array_equal(evaluate(graph, codes), made)
        assert_parts_agree(graph)


@pytest.mark.parametrize("factors", [(2, 2), (4, 1), (1, 2), (4, 4), (2, 8), (1, 32)])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3)])
def test_interpolation_is_pytorchs_rounded_once(factors: tuple[int, int], size: tuple[int, int]) -> None:
    node = Interpolate2d(name="y", format=COARSE, source="x", factors=factors, align_corners=False)
    graph = graph_of((3, *size), node)
    codes = codes_for(graph)
    real = functional.interpolate(
        torch.tensor(codes, dtype=torch.float64), scale_factor=factors, mode="bilinear", align_corners=False
    )
    expected = np.clip(np.floor(real.numpy() / 4 + 0.5), -128, 127)
    assert np.array_equal(evaluate(graph, codes), expected)
    assert_parts_agree(graph)


@pytest.mark.parametrize(
    ("factors", "aligned"),
    [((2, 1), True), ((1, 4), True), ((5, 1), True), ((3, 1), False), ((1, 6), False), ((64, 1), False)],
)
def test_interpolation_by_rounded_weights_is_within_their_rounding(
    factors: tuple[int, int], aligned: bool
) -> None:
    node = Interpolate2d(name="y", format=S8, source="x", factors=factors, align_corners=aligned)
    graph = graph_of((3, 5, 4), node)
    codes = codes_for(graph)
    real = functional.interpolate(
        torch.tensor(codes, dtype=torch.float64), scale_factor=factors, mode="bilinear", align_corners=aligned
    )
    assert np.abs(evaluate(graph, codes) - real.numpy()).max() <= 255 / 128 + 0.5
    assert_parts_agree(graph)


def adaptive(size: int, places: int) -> tuple[Interval, ...]:
    ends = [(i * size // places, -(-(i + 1) * size // places)) for i in range(places)]
    return tuple(Interval(first, end, end - first) for first, end in ends)


@pytest.mark.parametrize("places", [(1, 1), (2, 3), (5, 4), (7, 9), (12, 11)])
def test_adaptive_pools_are_pytorchs(places: tuple[int, int]) -> None:
    rows, columns = adaptive(7, places[0]), adaptive(9, places[1])
    for is_max in (False, True):
        node = IntervalPool2d(name="y", format=S8, source="x", is_max=is_max, rows=rows, columns=columns)
        graph = graph_of((3, 7, 9), node)
        codes = codes_for(graph)
        values = torch.tensor(codes, dtype=torch.float64)
        if is_max:
            assert np.array_equal(
                evaluate(graph, codes), functional.adaptive_max_pool2d(values, places).numpy()
            )
        else:
            real = functional.adaptive_avg_pool2d(values, places).numpy()
            assert np.abs(evaluate(graph, codes) - real).max() <= 1.5
        assert_parts_agree(graph)


def test_a_maximum_with_dilation_and_uneven_padding_is_pytorchs() -> None:
    pool = MaxPool2d(
        name="y",
        format=S8,
        source="x",
        kernel_size=(3, 2),
        stride=(2, 1),
        padding=(1, 0),
        end_padding=(2, 0),
        dilation=(2, 3),
    )
    graph = graph_of((3, 9, 8), pool)
    codes = codes_for(graph)
    padded = functional.pad(torch.tensor(codes, dtype=torch.float64), (0, 0, 1, 2), value=-128)
    made = functional.max_pool2d(padded, (3, 2), (2, 1), dilation=(2, 3))
    assert np.array_equal(evaluate(graph, codes), made.numpy())


def test_a_table_takes_codes_of_every_sign() -> None:
    for form in (S8, FixedPoint(bits=4, frac=1), FixedPoint(bits=8, frac=2, signed=False)):
        table = tuple(int(code) for code in np.random.default_rng(1).integers(-128, 128, 1 << form.bits))
        graph = graph_of(
            (2, 3, 4), Lookup(name="y", format=S8, source="x", function="any", codes=table), form=form
        )
        codes = codes_for(graph)
        assert np.array_equal(evaluate(graph, codes), np.array(table)[codes - form.lo])


def test_products_of_maps_and_of_channels_round_once() -> None:
    factor = MaxPool2d(name="f", format=S8, source="x", kernel_size=(3, 4), stride=(1, 1))
    for other, shape in (("f", (2, 1, 1)), ("x", (2, 3, 4))):
        product = Product(name="y", format=COARSE, source="x", factor=other, lo=-100, hi=90)
        graph = graph_of((2, 3, 4), factor, product)
        codes = codes_for(graph)
        factors = codes if other == "x" else codes.max(axis=(2, 3), keepdims=True)
        assert factors.shape[1:] == shape
        assert np.array_equal(evaluate(graph, codes), requantize(codes * factors, 6, -100, 90))


def product_in(form: FixedPoint) -> Product:
    return Product(name="y", format=form, source="x", factor="x", lo=0, hi=1)


def table_of(codes: tuple[int, ...]) -> Lookup:
    return Lookup(name="y", format=S8, source="x", function="f", codes=codes)


REFUSED: tuple[tuple[type[BitlatheError], str, Node], ...] = (
    (ShapeError, "cannot become 2x2 pixels", PixelShuffle2d(name="y", format=S8, source="x", factor=2)),
    (ShapeError, "no whole 2x2 blocks", PixelUnshuffle2d(name="y", format=S8, source="x", factor=2)),
    (ShapeError, "must be at least 1", Upsample2d(name="y", format=S8, source="x", factors=(0, 1))),
    (ShapeError, "its factor x", Product(name="y", format=COARSE, source="z", factor="x", lo=0, hi=1)),
    (
        FormatError,
        "exceeds the accumulator",
        Product(name="y", format=replace(S8, frac=9), source="x", factor="x", lo=0, hi=1),
    ),
    (ShapeError, "give one", table_of((1, 2))),
    (
        FormatError,
        "beyond the output codes",
        Lookup(name="y", format=S8, source="x", function="f", codes=(128,) * 256),
    ),
    (
        ShapeError,
        "along one axis at a time where weights of both take more than 6 bits",
        Interpolate2d(name="y", format=S8, source="x", factors=(3, 3), align_corners=False),
    ),
    (
        ShapeError,
        "must hold a row",
        IntervalPool2d(
            name="y",
            format=S8,
            source="x",
            is_max=True,
            rows=(Interval(0, 9, 1),),
            columns=(Interval(0, 1, 1),),
        ),
    ),
)


@pytest.mark.parametrize(("error", "words", "node"), REFUSED)
def test_what_does_not_fit_is_refused(error: type[BitlatheError], words: str, node: Node) -> None:
    pool = MaxPool2d(name="z", format=S8, source="x", kernel_size=(1, 3), stride=(1, 1))
    with pytest.raises(error, match=words):
        graph_of((3, 5, 5), pool, node)


def test_a_product_whose_accumulator_can_overflow_is_refused() -> None:
    wide = FixedPoint(bits=16, frac=4, signed=False)
    product = Product(name="y", format=replace(wide, frac=-10), source="x", factor="x", lo=0, hi=1)
    with pytest.raises(OverflowRisk, match="y: the accumulator"):
        check(graph_of((1, 2, 2), product, form=wide))


@pytest.mark.parametrize("seed", range(30))
def test_a_dilated_window_without_its_taps_of_padding_alone_is_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, dilation = rng.integers(1, 5, 2), rng.integers(1, 9, 2)
    reach = dilation * (kernel - 1)
    begin = [int(rng.integers(-1, edge + 2)) for edge in reach]
    end = [int(rng.integers(-1, edge + 2)) for edge in reach]
    windows = {
        "dilation": tuple(map(int, dilation)),
        "padding": tuple(begin),
        "end_padding": tuple(end),
        "stride": tuple(map(int, rng.integers(1, 3, 2))),
    }
    conv = random_convolution(rng, Conv2d, (3, 2, *map(int, kernel)), **windows)
    pool = MaxPool2d(name="y", format=S8, source="x", kernel_size=tuple(map(int, kernel)), **windows)
    for node in (conv, pool):
        try:
            whole = graph_of((2, 7, 8), node)
        except ShapeError:
            continue  # a window without a place or, of a maximum, without a code
        cut = trimmed(node, (7, 8))
        codes = codes_for(whole, seed)
        assert np.array_equal(evaluate(graph_of((2, 7, 8), cut), codes), evaluate(whole, codes))
        for axis, size in enumerate((7, 8)):
            assert cut.dilation[axis] == 1 or cut.dilation[axis] * (cut.kernel_size[axis] - 1) < 3 * size


def test_windows_of_a_part_are_in_different_banks_where_there_is_a_choice() -> None:
    ends = [(index * 96 // 7, -(-(index + 1) * 96 // 7)) for index in range(7)]
    windows = tuple(Interval(first, end, end - first) for first, end in ends)
    pool = IntervalPool2d(name="y", format=S8, source="x", is_max=False, rows=windows, columns=windows)
    strides = {part.node.stride for part in parts_of(pool, (1, 96, 96), banks=7)}
    assert strides == {(41, 41)} and (14, 14) in {part.node.stride for part in parts_of(pool, (1, 96, 96))}
