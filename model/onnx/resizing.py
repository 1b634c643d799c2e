"""Resize and Upsample: which of their many rules copy pixels, and which draw lines between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bitlathe.model.onnx.importer import Importer, NodeImporter, OnnxValue
from bitlathe.model.onnx.network import Resize, Slice
from bitlathe.model.onnx.proto import OnnxArray, OnnxNode

Coordinates = Callable[[OnnxArray, int, int, float], OnnxArray]  # of places, old and new size, and scale

# Source: the page of Resize in the ONNX specification.
COORDINATES: dict[str, Coordinates] = {
    "asymmetric": lambda at, old, new, scale: at / scale,
    "half_pixel": lambda at, old, new, scale: (at + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda at, old, new, scale: (at + 0.5) / scale - 0.5 if new > 1 else at * 0.0,
    "half_pixel_symmetric": lambda at, old, new, scale: (
        old / 2 * (1 - new / (scale * old)) + (at + 0.5) / scale - 0.5
    ),
    "align_corners": lambda at, old, new, scale: at * (old - 1) / max(new - 1, 1),
    "tf_half_pixel_for_nn": lambda at, old, new, scale: (at + 0.5) / scale,
}
ROUNDINGS: dict[str, Callable[[OnnxArray], OnnxArray]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(importer: Importer, node: OnnxNode) -> OnnxValue:
    """Resize and Upsample of maps: nearest neighbours that are copies or leave pixels out, and lines."""
    x = importer.value(node)
    scales, sizes = _asked(importer, node, x)
    mode, rule = node.attributes.get("mode", "nearest"), _rule(node)
    if rule not in COORDINATES or sizes[:2] != tuple(x.example.shape[:2]) or node.attributes.get("antialias"):
        raise node.refusal(f"resizes {x.shape} by the rule {rule}", "resize maps by half_pixel or asymmetric")
    olds = tuple(x.example.shape[2:])
    factors = tuple(new // old for new, old in zip(sizes[2:], olds, strict=True))
    is_whole = sizes[2:] == tuple(old * factor for old, factor in zip(olds, factors, strict=True))
    if mode == "nearest":
        return _nearest(importer, node, x, sizes[2:], scales[2:])
    is_linear = mode == "linear" and x.example.ndim == 4 and is_whole
    if is_linear and set(factors) == {1}:
        return x
    if is_linear and rule in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        return importer.emit(node, Resize(factors, "bilinear", False), [x])
    if is_linear and rule == "align_corners":
        return importer.emit(node, Resize(factors, "bilinear", True), [x])
    raise node.refusal(
        f"resizes by {[float(f'{scale:.4g}') for scale in scales]} in mode {mode} by the rule {rule}",
        "upsample by whole factors, nearest, or linear by half_pixel or align_corners",
    )


def _nearest(
    importer: Importer, node: OnnxNode, x: OnnxValue, sizes: tuple[int, ...], scales: tuple[float, ...]
) -> OnnxValue:
    """Pixels that are all repeated as often, or taken at even distances; by what the rules choose."""
    rounding = "floor" if node.operator == "Upsample" else node.attributes.get("nearest_mode", "")
    factors = [1] * len(sizes)
    for place, (new, scale) in enumerate(zip(sizes, scales, strict=True)):
        old, axis = x.example.shape[2 + place], 2 + place
        at = COORDINATES[_rule(node)](np.arange(new, dtype=np.float64), old, new, scale)
        taken = ROUNDINGS[rounding or "round_prefer_floor"](at).clip(0, old - 1).astype(int).tolist()
        if new % old == 0 and taken == [index * old // new for index in range(new)]:
            factors[place] = new // old
            continue
        step = taken[1] - taken[0] if new > 1 else 1
        if step < 1 or taken != list(range(taken[0], taken[-1] + 1, step)):
            raise node.refusal(
                f"takes pixels {taken[:6]}{'' if new <= 6 else ' ...'} of {old}",
                "upsample nearest neighbours by whole factors, so that each is repeated as often",
            )
        part = Slice(axis, taken[0], taken[-1] + 1, step)
        x = importer.emit(node, part, [x], stem=f"{node.stem}_part")
    return importer.emit(node, Resize(factors), [x]) if max(factors) > 1 else x


def _rule(node: OnnxNode) -> str:
    """How places of the result become places of the map; Upsample, and Resize of opset 10, know one."""
    usual = "asymmetric" if node.operator == "Upsample" or len(node.inputs) == 2 else "half_pixel"
    return str(node.attributes.get("coordinate_transformation_mode", usual))


def _asked(importer: Importer, node: OnnxNode, x: OnnxValue) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Scale and new size of each axis, as the tensor is held here."""
    scales, sizes = _operands(importer, node)
    named = node.attributes.get("axes") or range(len(x.shape))
    axes = [x.axis(int(axis)) for axis in named]
    by_axis, new = [1.0] * x.example.ndim, list(x.example.shape)
    for place, axis in enumerate(axes):
        old = x.example.shape[axis]
        by_axis[axis] = float(scales[place]) if sizes is None else float(sizes[place]) / old
        new[axis] = int(np.floor(old * by_axis[axis])) if sizes is None else int(sizes[place])
    if node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refusal("keeps the aspect ratio", "name the scale of each axis")
    if min(new) < 1:
        raise node.refusal(f"makes a map of {tuple(new)}", "leave it at least one pixel")
    return tuple(by_axis), tuple(new)


def _operands(importer: Importer, node: OnnxNode) -> tuple[OnnxArray, OnnxArray | None]:
    """Scales, or sizes in place of them; an attribute in opset 7, the last operand of each form since."""
    if "scales" in node.attributes:
        return np.asarray(node.attributes["scales"]), None
    scales = importer.constant(node, min(len(node.inputs) - 1, 2))
    sizes = importer.constant(node, 3) if len(node.inputs) > 3 else None
    if sizes is None and scales is None:
        raise node.refusal("has neither scales nor sizes", "export it with constant scales")
    return (np.ones(0) if scales is None else scales), sizes


RESIZES: dict[str, NodeImporter] = {"Resize": resize, "Upsample": resize}
