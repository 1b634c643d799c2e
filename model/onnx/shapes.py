"""One handler per ONNX operator that moves data or computes shapes."""

from __future__ import annotations

from math import prod

import numpy as np
from torch import nn

from bitlathe.model.onnx.importer import AxisOrder, Importer, NodeImporter, OnnxValue
from bitlathe.model.onnx.layouts import same_layout
from bitlathe.model.onnx.network import Concatenate, Pad, Permute, Reshape, SelectChannels, Slice
from bitlathe.model.onnx.proto import OnnxArray, OnnxNode


def identity(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Operators that leave the values unchanged."""
    return importer.pending(node)


def shape_of(importer: Importer, node: OnnxNode) -> OnnxArray:
    """Shape of one image; whatever is computed from it is folded."""
    first, last = node.attributes.get("start", 0), node.attributes.get("end")
    return np.array(importer.pending(node).shape[first:last], np.int64)


def flatten(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Flatten from axis 1; or from axis 0, which is the same for one image."""
    x, axis = importer.value(node), int(node.attributes.get("axis", 1))
    if axis not in (0, 1, 1 - len(x.shape), -len(x.shape)):
        raise node.refusal(f"flattens from axis {axis}", "flatten from axis 1")
    return _reshaped(importer, node, x, (1, prod(x.shape[1:])))


def reshape(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Reshape that keeps the batch, of size 1 or left open."""
    x, wanted = importer.value(node), importer.integers(node, "shape", 1)
    assert wanted is not None
    copies = 0 if not node.attributes.get("allowzero", 0) else None
    sizes = [x.shape[place] if size == copies else size for place, size in enumerate(wanted)]
    if -1 in sizes:
        known = prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = prod(x.shape) // max(known, 1)
    return _reshaped(importer, node, x, tuple(sizes))


def squeeze(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Squeeze."""
    x, named = importer.value(node), importer.integers(node, "axes", 1)
    axes = [axis % len(x.shape) for axis in named or [a for a, size in enumerate(x.shape) if a and size == 1]]
    return _reshaped(importer, node, x, tuple(size for axis, size in enumerate(x.shape) if axis not in axes))


def unsqueeze(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Unsqueeze."""
    x, axes = importer.value(node), importer.integers(node, "axes", 1)
    assert axes is not None
    rank, sizes = len(x.shape) + len(axes), list(x.shape)
    for axis in sorted(axis % rank for axis in axes):
        sizes.insert(axis, 1)
    return _reshaped(importer, node, x, tuple(sizes))


def _reshaped(importer: Importer, node: OnnxNode, x: OnnxValue, shape: tuple[int, ...]) -> OnnxValue:
    if prod(shape) != prod(x.shape) or shape[:1] != (1,):
        raise node.refusal(
            f"makes shape {shape} of {x.shape}, for one image", "keep the images of a batch apart"
        )
    layer, source = importer.origin(x)
    if isinstance(layer, Permute) and (shuffled := _shuffled(importer, node, layer, source, shape)):
        return shuffled
    if isinstance(layer, Reshape) and x.layout is source.layout is AxisOrder.SAME:
        x = source  # which this reads in place of the shape between
    if shape == x.shape:
        return x
    if x.layout is not AxisOrder.CHANNELS_LAST or x.example.shape[2:] == (1, 1) or x.example.shape[1] == 1:
        if x.layout is AxisOrder.FLATTENED_LAST:
            return _unflattened(importer, node, x, shape)
        if len(x.shape) == 2 and shape[1:3] == (1, 1) and len(shape) == 4 and shape[3] > 1:
            one = (shape[3], 1, 1)  # a vector as a map of one pixel, beside maps whose channels stand last
            return importer.emit(node, Reshape(one), [x], layout=AxisOrder.CHANNELS_LAST)
        return importer.emit(node, Reshape(shape[1:]), [x], layout=AxisOrder.SAME)
    if len(shape) != 2:
        raise node.refusal(f"makes shape {shape} of channels that stand last", "export with channels first")
    channels, height, width = x.example.shape[1:]
    return importer.emit(
        node, Reshape(shape[1:]), [x], layout=AxisOrder.FLATTENED_LAST, map=(channels, height, width)
    )


def _shuffled(
    importer: Importer, node: OnnxNode, permute: Permute, split: OnnxValue, shape: tuple[int, ...]
) -> OnnxValue | None:
    """A map whose channels were split into groups and transposed, as ShuffleNet does; None if it is none."""
    layer, x = importer.origin(split)
    groups = split.shape[1:3]
    if permute.axes != (0, 2, 1, 3, 4) or not isinstance(layer, Reshape):
        return None
    if x.layout is not AxisOrder.SAME or shape != x.shape or split.shape[3:] != x.shape[2:]:
        return None
    order = np.arange(prod(groups)).reshape(groups).T.reshape(-1)
    return importer.emit(node, SelectChannels(order.tolist()), [x])


def _unflattened(importer: Importer, node: OnnxNode, x: OnnxValue, shape: tuple[int, ...]) -> OnnxValue:
    assert x.map is not None
    if shape[1:] != (*x.map[1:], x.map[0]):
        raise node.refusal(f"makes shape {shape} of a flattened map of {x.map}", "export with channels first")
    return importer.emit(node, Reshape(x.map), [x], layout=AxisOrder.CHANNELS_LAST)


def transpose(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Transpose: between channels first and last no data moves, only the layout's name changes."""
    x = importer.value(node)
    axes = tuple(node.attributes.get("perm") or reversed(range(len(x.shape))))
    if axes == tuple(range(len(x.shape))):
        return x
    moves = {
        (AxisOrder.SAME, (0, 2, 3, 1)): AxisOrder.CHANNELS_LAST,
        (AxisOrder.CHANNELS_LAST, (0, 3, 1, 2)): AxisOrder.SAME,
    }
    if (x.layout, axes) in moves:
        return OnnxValue(key=x.key, example=x.example, layout=moves[x.layout, axes])
    if x.layout is not AxisOrder.SAME:
        raise node.refusal(f"moves axes {axes} of channels that stand last", "export with channels first")
    return importer.emit(node, Permute(axes), [x])


def concat(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Concat of tensors."""
    operands = [importer.value(node, place) for place in range(len(node.inputs))]
    if any(operand.layout is AxisOrder.FLATTENED_LAST for operand in operands):
        raise node.refusal("joins flattened maps whose channels stand last", "export with channels first")
    same_layout(node, operands)
    return importer.emit(node, Concatenate(operands[0].axis(int(node.attributes["axis"]))), operands)


def pad(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Pad with zeros, which are left to the next layer if that is a convolution, or crop."""
    x = importer.value(node)
    amounts = importer.integers(node, "pads", 1) or ()
    constant = importer.constant(node, 2) if len(node.inputs) > 2 else None
    value = float(node.attributes.get("value", 0.0) if constant is None else constant)
    named = importer.constant(node, 3) if len(node.inputs) > 3 else None
    axes = range(len(x.shape)) if named is None else [int(axis) % len(x.shape) for axis in named]
    if node.attributes.get("mode", "constant") != "constant" or len(amounts) != 2 * len(axes):
        raise node.refusal("pads with other than a constant", "pad with zeros")
    around = dict.fromkeys(range(x.example.ndim), (0, 0))
    around |= {x.axis(axis): (amounts[place], amounts[len(axes) + place]) for place, axis in enumerate(axes)}
    maps = len(x.shape) in (3, 4) and around[0] == around[1] == (0, 0)
    if maps and value == 0 and min(amounts) >= 0 and x.layout is AxisOrder.SAME:
        before, behind = zip(*(around[axis] for axis in range(2, len(x.shape))), strict=True)
        return OnnxValue(key=x.key, example=x.example, padding=(*before, *behind))
    flat = [amount for axis in reversed(range(x.example.ndim)) for amount in around[axis]]
    return importer.emit(node, Pad(flat, value), [x])


def slice_(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Slice: starts, ends, axes and steps are attributes up to opset 9 and operands since."""
    x = importer.value(node)
    starts, ends = importer.integers(node, "starts", 1), importer.integers(node, "ends", 2)
    assert starts is not None and ends is not None
    axes = importer.integers(node, "axes", 3) or tuple(range(len(starts)))
    steps = importer.integers(node, "steps", 4) or (1,) * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        taken = range(x.shape[axis])[start : None if end < -x.shape[axis] else end : step]
        if taken == range(x.shape[axis]):
            continue
        if x.layout is AxisOrder.FLATTENED_LAST or not taken:
            raise node.refusal(
                f"takes {taken} of {x.shape[axis]} along axis {axis}",
                "slice channels, rows or columns of a map",
            )
        x = _taken(importer, node, x, x.axis(axis), list(taken))
    return x


def split(importer: Importer, node: OnnxNode) -> tuple[OnnxValue, ...]:
    """Split along one axis."""
    x = importer.value(node)
    axis, sizes = int(node.attributes.get("axis", 0)), importer.integers(node, "split", 1)
    count = len(node.outputs)
    length = x.shape[axis]
    parts = sizes or tuple(
        min(-(-length // count), length - at) for at in range(0, length, -(-length // count))
    )
    if x.layout is AxisOrder.FLATTENED_LAST:
        raise node.refusal("splits a flattened map whose channels stand last", "export with channels first")
    ends = np.cumsum(parts)
    return tuple(
        importer.emit(node, Slice(x.axis(axis), int(end - size), int(end), 1), [x])
        for size, end in zip(parts, ends, strict=True)
    )


def gather(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Gather at constant places: channels in any order; rows or columns at even distances; a single one."""
    x, places = importer.value(node), importer.constant(node, 1)
    assert places is not None
    named = int(node.attributes.get("axis", 0)) % len(x.shape)
    axis, size = x.axis(named), x.shape[named]
    taken = (np.asarray(places).reshape(-1).astype(int) % size).tolist()
    if axis == 0 or np.ndim(places) > 1 or not taken or x.layout is AxisOrder.FLATTENED_LAST:
        raise node.refusal(f"takes {taken} along axis {named}", "take channels, rows or columns of an image")
    made = _taken(importer, node, x, axis, taken)
    if np.ndim(places) == 1:
        return made
    return _reshaped(importer, node, made, tuple(n for at, n in enumerate(made.shape) if at != named))


def _taken(importer: Importer, node: OnnxNode, x: OnnxValue, axis: int, taken: list[int]) -> OnnxValue:
    """Places of an axis: a slice if they are at even distances, else channels in another order."""
    step = taken[1] - taken[0] if len(taken) > 1 else 1
    if step > 0 and taken == list(range(taken[0], taken[-1] + 1, step)):
        return importer.emit(node, Slice(axis, taken[0], taken[-1] + 1, step), [x])
    if axis != 1:
        raise node.refusal(
            f"takes {taken[:6]}{' ...' if len(taken) > 6 else ''} of axis {axis}",
            "take rows and columns forwards, at even distances",
        )
    return importer.emit(node, SelectChannels(taken), [x])


def depth_to_space(importer: Importer, node: OnnxNode) -> OnnxValue:
    """DepthToSpace: PyTorch's pixel shuffle, which is its form CRD; DCR orders the channels before it."""
    x, size = _map_of(importer, node), int(node.attributes["blocksize"])
    channels, by_depth = x.example.shape[1], node.attributes.get("mode", "DCR") == "DCR"
    if channels % size**2:
        raise node.refusal(f"makes blocks of {size} x {size} of {channels} channels", "give it a multiple")
    if by_depth:
        order = np.arange(channels).reshape(size**2, -1).T.reshape(-1)
        x = importer.emit(node, SelectChannels(order.tolist()), [x], stem=f"{node.stem}_order")
    return importer.emit(node, nn.PixelShuffle(size), [x])


def space_to_depth(importer: Importer, node: OnnxNode) -> OnnxValue:
    """SpaceToDepth: PyTorch's pixel unshuffle, with its channels in another order."""
    x, size = _map_of(importer, node), int(node.attributes["blocksize"])
    made = importer.emit(node, nn.PixelUnshuffle(size), [x], stem=f"{node.stem}_blocks")
    order = np.arange(made.example.shape[1]).reshape(-1, size**2).T.reshape(-1)
    return importer.emit(node, SelectChannels(order.tolist()), [made])


def _map_of(importer: Importer, node: OnnxNode) -> OnnxValue:
    x = importer.value(node)
    if x.example.ndim != 4 or x.layout is not AxisOrder.SAME:
        raise node.refusal(f"works on a tensor of shape {x.shape}", "give it maps (N, C, H, W)")
    return x


SHAPES: dict[str, NodeImporter] = {
    "Identity": identity,
    "Dropout": identity,
    "Cast": identity,
    "Shape": shape_of,
    "Flatten": flatten,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Pad": pad,
    "Slice": slice_,
    "Split": split,
    "Gather": gather,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
