"""Handlers of operators that only move values: slices, pads, reshapes, permutations, repetitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from bitlathe.model.capture.arrangement import Order
from bitlathe.model.capture.calls import Call, Made, TracedTensor
from bitlathe.model.capture.formula import Formula
from bitlathe.model.capture.routes import Move, taking


def reshape(call: Call) -> Made:
    """view, flatten, squeeze: the same values in the same order."""
    return _moved(call, lambda places: places.reshape(call.size))


def identity(call: Call) -> Made:
    """clone, contiguous: nothing."""
    return call.traced()


def same_type(call: Call) -> Made:
    """to, float: between floating-point types, and of what a comparison makes."""
    wanted = call.arguments.get("dtype")
    if (wanted is not None and not getattr(wanted, "is_floating_point", False)) or wanted == torch.half:
        raise call.refusal(f"makes {wanted}", "keep one floating-point type throughout")
    return call.traced()


def _moved(call: Call, move: Move) -> Made:
    return call.rearranged(call.traced(), move)


def permute(call: Call) -> Made:
    """permute: axes in another order."""
    return _moved(call, lambda places: places.transpose(call.integers("dims")))


def transpose(call: Call) -> Made:
    """transpose, swapaxes: two axes swapped."""
    names = ("dim0", "dim1") if "dim0" in call.arguments else ("axis0", "axis1")
    first, second = (call.integer(name) for name in names)
    return _moved(call, lambda places: places.swapaxes(first, second))


def move(call: Call) -> Made:
    """movedim: an axis in another place."""
    return _moved(
        call, lambda places: np.moveaxis(places, call.integer("source"), call.integer("destination"))
    )


def slice_(call: Call) -> Made:
    """slice: any rows, columns or channels at even steps."""
    x = call.traced()
    axis = call.axis("dim", x)
    end = call.arguments["end"]
    bounds = slice(
        call.integer("start"), None if end is None else call.integer("end"), call.integer("step", 1)
    )
    return _moved(call, lambda places: places[(slice(None),) * axis + (bounds,)])


def narrow(call: Call) -> Made:
    """narrow: neighbouring channels, rows or columns."""
    first = call.integer("start")
    taken = range(first, first + call.integer("length"))
    return _moved(call, taking(taken, call.integer("dim")))


def select(call: Call) -> Made:
    """select: one channel, row or column."""
    return _moved(call, lambda places: np.asarray(places.take(call.integer("index"), call.integer("dim"))))


def index_select(call: Call) -> Made:
    """index_select: values of an axis by number."""
    index = call.constant("index").value.long().cpu().numpy()
    return _moved(call, taking(index, call.integer("dim")))


def index(call: Call) -> Made:
    """index: by one constant list of numbers."""
    indices = call.arguments["indices"]
    assert isinstance(indices, Sequence)
    given = [(axis, value) for axis, value in enumerate(indices) if value is not None]
    if len(given) != 1 or not isinstance(given[0][1], Formula) or given[0][1].value.is_floating_point():
        raise call.refusal("indexes by a tensor of the image, or by several", "index one axis by constants")
    axis, values = given[0]
    chosen = values.value.cpu().numpy()
    return _moved(call, lambda places: places[(slice(None),) * axis + (chosen,)])


def split(call: Call) -> Made:
    """split: parts of a size, the last one possibly smaller, or of given sizes."""
    x = call.traced()
    axis = call.axis("dim", x)
    size = call.arguments.get("split_size", call.arguments.get("split_sizes", 1))
    if isinstance(size, int):
        ends = list(range(size, x.size[axis], size))
    else:
        assert isinstance(size, (list, tuple))
        ends = list(np.cumsum(size)[:-1])
    return _parts(call, x, lambda places: np.split(places, ends, axis))


def chunk(call: Call) -> Made:
    """chunk: a number of parts of one size, the last one possibly smaller."""
    x = call.traced()
    axis = call.axis("dim", x)
    size = -(-x.size[axis] // call.integer("chunks"))
    ends = list(range(size, x.size[axis], size))
    return _parts(call, x, lambda places: np.split(places, ends, axis))


def tensor_split(call: Call) -> Made:
    """tensor_split: a number of parts as equal as possible, or parts between given places."""
    x = call.traced()
    given = call.arguments.get("sections", call.arguments.get("indices"))
    assert isinstance(given, (int, list, tuple))
    return _parts(call, x, lambda places: np.array_split(places, given, call.axis("dim", x)))


def unbind(call: Call) -> Made:
    """unbind: each channel, row or column by itself."""
    x = call.traced()
    axis = call.axis("dim", x)
    return _parts(call, x, lambda places: list(np.moveaxis(places, axis, 0)))


def _parts(call: Call, x: TracedTensor, split: Callable[[Order], Sequence[Order]]) -> Made:
    def part(number: int) -> Move:
        return lambda places: split(places)[number]

    return [call.rearranged(x, part(number)) for number in range(len(split(x.places)))]


def pad(call: Call) -> Made:
    """pad: with zeros, which convolutions take over; a negative amount crops."""
    value = call.arguments.get("value")
    if call.arguments.get("mode", "constant") != "constant" or value not in (None, 0):
        raise call.refusal("pads with other than zeros", "use padding_mode='zeros'")
    return _moved(call, lambda places: zero_padded(places, call.integers("pad")))


def zero_padded(places: Order, amounts: Sequence[int]) -> Order:
    """Places with zeros around, last axis first: before, behind, before, behind, ..."""
    for axis, (before, behind) in enumerate(zip(amounts[::2], amounts[1::2], strict=True), 1):
        kept = range(max(-before, 0), places.shape[-axis] - max(-behind, 0))
        places = places.take(kept, -axis)
        around = [(0, 0)] * places.ndim
        around[-axis] = (max(before, 0), max(behind, 0))
        places = np.pad(places, around, constant_values=-1)
    return places


def expand(call: Call) -> Made:
    """expand, expand_as: values repeated along axes of one."""
    return _moved(call, lambda places: np.broadcast_to(places, call.size))


def repeat(call: Call) -> Made:
    """repeat: copies one behind the other."""
    return _moved(call, lambda places: np.tile(places, call.integers("repeats")))


def repeat_interleave(call: Call) -> Made:
    """repeat_interleave: each value several times."""
    return _moved(call, lambda places: np.repeat(places, call.integer("repeats"), call.integer("dim")))


def flip(call: Call) -> Made:
    """flip: an axis backwards."""
    return _moved(call, lambda places: np.flip(places, call.integers("dims")))


def roll(call: Call) -> Made:
    """roll: values moved along an axis, around its end."""
    return _moved(
        call, lambda places: np.roll(places, call.integers("shifts"), call.integers("dims") or None)
    )


def pixel_shuffle(call: Call) -> Made:
    """pixel_shuffle: channels become pixels."""
    factor = call.integer("upscale_factor")

    def shuffled(places: Order) -> Order:
        images, channels, height, width = places.shape
        blocks = places.reshape(images, channels // factor**2, factor, factor, height, width)
        return blocks.transpose(0, 1, 4, 2, 5, 3).reshape(call.size)

    return _moved(call, shuffled)


def pixel_unshuffle(call: Call) -> Made:
    """pixel_unshuffle: pixels become channels."""
    factor = call.integer("downscale_factor")

    def unshuffled(places: Order) -> Order:
        images, channels, height, width = places.shape
        blocks = places.reshape(images, channels, height // factor, factor, width // factor, factor)
        return blocks.transpose(0, 1, 3, 5, 2, 4).reshape(call.size)

    return _moved(call, unshuffled)


def channel_shuffle(call: Call) -> Made:
    """channel_shuffle: channels of groups, in turn."""
    groups = call.integer("groups")

    def shuffled(places: Order) -> Order:
        images, channels, *rest = places.shape
        return places.reshape(images, groups, channels // groups, *rest).swapaxes(1, 2).reshape(call.size)

    return _moved(call, shuffled)
