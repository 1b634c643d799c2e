"""Networks whose weights are encoded in DDR: codewords, 4-bit weights with 8-bit activations, or plain."""

from dataclasses import replace

import numpy as np
from compiled_networks import IMAGE

from bitlathe.model.graph.codebook import Codebook, index_shape, index_type
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d
from bitlathe.rtl_tb.random_networks.layers import Sketch


def chain(
    rng: np.random.Generator,
    size: int,
    channels: tuple[int, ...],
    *,
    codewords: int | None = None,
    weight_bits: int = 8,
    zeros: float = 0.0,
) -> Graph:
    """3x3 convolutions, pools of 2, a dense layer; all but the first convolution of `codewords`, if given.

    A share of the convolutions' weights is `zeros`.
    """
    sketch = Sketch(rng=rng, widths=(8,))
    head = sketch.input(IMAGE, (3, size, size))
    for number, width in enumerate(channels):
        head = sketch.convolution(head, width, (3, 3), (1, 1), (1, 1), relu=True)
        conv = sketch.nodes[-1]
        assert isinstance(conv, Conv2d)
        sketch.nodes[-1] = _pruned(
            rng, _changed(rng, conv, codewords if number else None, weight_bits), zeros
        )
        if size > 2:
            head = sketch.max_pool(head, (2, 2), (2, 2), (0, 0))
            size //= 2
    logits = sketch.dense(head, 10, relu=False)
    return Graph(name="chain", nodes=tuple(sketch.nodes), output=logits)


def _pruned(rng: np.random.Generator, conv: Conv2d, zeros: float) -> Conv2d:
    weight = np.where(rng.random(conv.weight.shape) < zeros, 0, conv.weight)
    return replace(conv, weight=weight.astype(np.int8)) if zeros else conv


def _changed(rng: np.random.Generator, conv: Conv2d, codewords: int | None, weight_bits: int) -> Conv2d:
    """`conv` with other weights of the same size or smaller, so that its shift stays fit."""
    limit = (1 << (weight_bits - 1)) - 1
    if codewords is not None:
        values = rng.integers(-limit, limit + 1, (codewords, 8)).astype(np.int8)
        indices = rng.integers(codewords, size=index_shape(conv.weight.shape, 8)).astype(
            index_type(codewords)
        )
        book = Codebook(values=values, indices=indices)
        return replace(conv, weight=book.decode(conv.weight.shape[1]), codebook=book)
    if weight_bits < 8:
        weight = rng.integers(-limit, limit + 1, conv.weight.shape).astype(np.int8)
        return replace(conv, weight=weight, weight_bits=weight_bits)
    return conv
