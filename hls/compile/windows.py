"""A node's parts as windows that the engine's fields can hold."""

from collections.abc import Iterator
from dataclasses import replace

from bitlathe.hls.compile.network import Parameters, Placement, Window
from bitlathe.model.graph.nodes import Conv2d, MaxPool2d, Pair
from bitlathe.model.graph.parts import Part

LARGEST_STRIDE = 63
LARGEST_STEP = 31  # columns from a pixel that a layer makes to the next one of its row
HELD_TAPS = 64  # most taps whose equal weights are stored one by one


def windows_of(part: Part, size: Pair, parameters: Parameters | None, fold: int = 1) -> tuple[Window, ...]:
    """Windows of a part that makes `size` pixels; several where it steps further than a descriptor can.

    With `fold` > 1 a lane's column is that of the word, and taps are so many columns apart.
    """
    node = part.node
    kernel = node.kernel_size
    steps = node.dilation[0], node.dilation[1] if fold == 1 else fold
    window = Window(
        kernel=kernel,
        stride=effective(node.stride, size),
        padding=node.padding,
        tap_steps=(steps[0] if kernel[0] > 1 else 1, steps[1] if kernel[1] > 1 else 1),
        placed=Placement(size=size, origin=part.origin, step=effective(part.step, size)),
        parameters=parameters,
        holds_weights=_holds_weights(node),
    )
    return tuple(split for rows in _split(window, 0) for split in _split(rows, 1))


def effective(steps: Pair, size: Pair) -> Pair:
    """Steps, 1 along an axis on which a single place is taken."""
    return steps[0] if size[0] > 1 else 1, steps[1] if size[1] > 1 else 1


def _split(window: Window, axis: int) -> Iterator[Window]:
    """The window, or one for each of its places along an axis whose steps are too far."""
    placed = window.placed
    if window.stride[axis] <= LARGEST_STRIDE and (axis == 0 or placed.step[axis] <= LARGEST_STEP):
        yield window
        return
    for index in range(placed.size[axis]):
        yield replace(
            window,
            stride=_with(window.stride, axis, 1),
            padding=_with(window.padding, axis, window.padding[axis] - index * window.stride[axis]),
            placed=Placement(
                size=_with(placed.size, axis, 1),
                origin=_with(placed.origin, axis, placed.origin[axis] + index * placed.step[axis]),
                step=_with(placed.step, axis, 1),
            ),
        )


def _with(pair: Pair, axis: int, value: int) -> Pair:
    return (value, pair[1]) if axis == 0 else (pair[0], value)


def _holds_weights(node: Conv2d | MaxPool2d) -> bool:
    """Whether a convolution by channel has one weight at many taps: an average of a large window."""
    if not isinstance(node, Conv2d) or not node.is_depthwise:
        return False
    height, width = node.kernel_size
    return height * width > HELD_TAPS and bool((node.weight == node.weight[..., :1, :1]).all())
