"""Random EXECs whose result is the same on every engine: what an engine trusts of them is right.

Their maps have no word in common, each output word is written once, and no group asks a bank twice.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bitlathe.hls.checks import (
    LAST_PLACE,
    columns_reached,
    map_pitch,
    output_words,
    residual_words,
    rows_reached,
    source_position,
    weight_reach,
)
from bitlathe.hls.compile.fast_residual import Raster, ResidualSlots, are_apart
from bitlathe.hls.cycles.model import exec_passes
from bitlathe.hls.functional.memory import strided
from bitlathe.hls.program import Exec
from bitlathe.hls.program.skipping import Sweep
from bitlathe.hls.target.config import TABLES, EngineConfiguration

KINDS_OF_EXEC = ("dense", "channelwise", "held", "maximum", "product")
_SLACK = 12  # most words between two maps
# Clamps at the ends of what codes, packed codes and the fields hold; every other EXEC has some of its own.
_CLAMPS = ((-128, 127), (0, 255), (0, 127), (-8, 7), (0, 15), (-256, 255))


def placed_exec(rng: np.random.Generator, configuration: EngineConfiguration, **wanted: int) -> Exec:
    """A random EXEC that has the wanted fields, with its weights in the first lines of the store."""
    while True:
        fields = _kind(rng, configuration) | _window(rng)
        if any(fields[name] != value for name, value in wanted.items()):
            continue
        fields |= _skipping(rng, fields) | _clamp(rng)
        steps = _steps(rng, fields, configuration.banks)
        strided = Exec(**fields | steps).with_strides(fields["stride_h"], fields["stride_w"])
        placed = _placed(rng, strided, configuration)
        if placed is not None:
            return _with_right_residual(_grouped(rng, placed, configuration), configuration)


def _pick(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def _kind(rng: np.random.Generator, configuration: EngineConfiguration) -> dict[str, int]:
    """What is computed, of which codes, to which codes."""
    kind = rng.choice(KINDS_OF_EXEC)
    is_max, is_product = kind in ("maximum", "product"), kind == "product"
    sub_tiles = (1, configuration.sub_tiles)[_pick(rng, 0, 1)] if kind == "dense" else 1
    has_residual, has_table = is_product or _pick(rng, 0, 1), _pick(rng, 0, 1)
    return {
        "is_max": int(is_max),
        "is_product": int(is_product),
        "hold_weights": int(kind == "held"),
        "ci_tiles": _pick(rng, 1, 3) if kind == "dense" else 1,
        "sub_tiles": sub_tiles,
        "has_residual": int(has_residual),
        "res_still": int(has_residual and rng.random() < 0.4),
        "res_fast": _pick(rng, 0, 1),
        "in_signed": _pick(rng, 0, 1),
        "res_signed": _pick(rng, 0, 1),
        "in_packed": 0 if is_max or configuration.pp < 2 else _pick(rng, 0, 1),
        "out_packed": 0 if is_product else _pick(rng, 0, 1),
        "res_packed": 0 if is_product else _pick(rng, 0, 1),
        "half_even": _pick(rng, 0, 1),
        "repeat_weights": _pick(rng, 0, 1),
        "has_table": has_table,
        "table": _pick(rng, 0, TABLES - 1) if has_table else 0,
        "out_tiles": _pick(rng, 1, 5),
        "row_break": _pick(rng, 0, 1),
    }


def _window(rng: np.random.Generator) -> dict[str, int]:
    """Windows and maps; steps are small, or anything up to the most that their fields hold.

    One window in ten is a line of up to 255 taps, most of them far outside the map.
    """

    def step(most: int) -> int:
        return _pick(rng, 1, 3 if rng.random() < 0.7 else most)

    fields = {"out_h": _pick(rng, 1, 5), "out_w": _pick(rng, 1, 7), "out_step": step(31)}
    taps = {"h": _pick(rng, 1, 4), "w": _pick(rng, 1, 4)}
    if rng.random() < 0.1:
        taps = dict(zip(rng.permutation(["h", "w"]).tolist(), (1, _pick(rng, 5, 255)), strict=True))
    for axis, start, dilation in (("h", "start_y", "tap_rows"), ("w", "start_x", "tap_step")):
        apart = step(31)
        extent = (taps[axis] - 1) * apart
        fields |= {f"kernel_{axis}": taps[axis], dilation: apart, f"stride_{axis}": step(63)}
        fields[f"in_{axis}"] = _pick(rng, 1, 9) + _pick(rng, 0, 1) * min(extent, 60)
        fields[start] = _pick(rng, -min(extent, 2048), 2)
    return fields


def _skipping(rng: np.random.Generator, fields: dict[str, int]) -> dict[str, int]:
    """Half of those that may leave out kernel rows of padding do."""
    may = fields["kernel_h"] > 1 and fields["tap_rows"] == 1 and not fields["hold_weights"]
    return {"skip_weights": fields["kernel_w"] * fields["ci_tiles"] if may and _pick(rng, 0, 1) else 0}


def _clamp(rng: np.random.Generator) -> dict[str, int]:
    low, high = _CLAMPS[_pick(rng, 0, len(_CLAMPS) - 1)]
    if rng.random() < 0.5:
        low, high = sorted(rng.integers(-256, 256, 2).tolist())
    return {"lo": low, "hi": high}


def _steps(rng: np.random.Generator, fields: dict[str, int], banks: int) -> dict[str, int]:
    """Steps from row to row and from plane to plane."""
    pitch = fields["in_w"] + _pick(rng, 0, 3)
    in_plane = fields["in_h"] * pitch // banks + _pick(rng, 0, 2)
    walk = (fields["out_w"] - 1) * fields["out_step"]
    out_row, res_row = _pick(rng, 1, 4), _pick(rng, 1, 4)
    out_plane = (fields["out_h"] * (walk + out_row)) // banks + _pick(rng, 1, 2)
    return {
        "in_plane": in_plane,
        "in_tile_step": in_plane * _pick(rng, 0, 1),
        **_pair("pitch", pitch, banks),
        **_pair("in", fields["start_y"] * pitch + fields["start_x"], banks),
        **_pair("in_row", fields["stride_h"] * pitch - (fields["out_w"] - 1) * fields["stride_w"], banks),
        **_pair("tap_row", fields["tap_rows"] * pitch - (fields["kernel_w"] - 1) * fields["tap_step"], banks),
        "out_plane": out_plane,
        **_pair("out_row", out_row, banks),
        "res_plane": _pick(rng, 0, 6),
        **({} if fields["res_still"] else _pair("res_row", res_row, banks)),
    }


def _pair(name: str, position: int, banks: int) -> dict[str, int]:
    line, bank = divmod(position, banks)
    return {f"{name}_line": line, f"{name}_bank": bank}


def _placed(rng: np.random.Generator, one: Exec, configuration: EngineConfiguration) -> Exec | None:
    """The EXEC with its maps one after the other in the scratchpad, in any order; None if they do not fit."""
    banks = configuration.banks
    maps = {
        "in": (source_position(one, banks), _input_map(one, banks)),
        "out": (0, output_words(one, banks).reach),
        "res": (0, residual_words(one, banks).reach if one.has_residual else range(0)),
    }
    places, end = {}, 0
    for name in rng.permutation(sorted(maps)).tolist():
        first, reach = maps[name]
        if reach:
            end += _pick(rng, 0, _SLACK)
            places |= _pair(name, first + end - reach.start, banks)
            end += len(reach)
    one = replace(one, **places)
    weight_lines = len(weight_reach(one))
    last = max(one.start_y + rows_reached(one), one.start_x + columns_reached(one))
    fits = end <= configuration.bank_lines * banks and weight_lines <= configuration.weight_lines
    return one if fits and last <= LAST_PLACE else None


def _input_map(one: Exec, banks: int) -> range:
    """Positions from the first pixel of the input map to the last one of the last tile."""
    pitch = map_pitch(one, banks)
    first = source_position(one, banks) - one.start_y * pitch - one.start_x
    lines = (one.ci_tiles - 1) * one.in_plane + (exec_passes(one) - 1) * one.in_tile_step
    return range(first, first + (one.in_h - 1) * pitch + one.in_w + lines * banks)


def _grouped(rng: np.random.Generator, one: Exec, configuration: EngineConfiguration) -> Exec:
    """The EXEC with as many pixels a group as no bank is asked twice for, or fewer."""
    pairs = configuration.pp // 2  # of pixels, which packed codes share multipliers in
    lanes = _pick(rng, 1, 2 * pairs if one.in_packed else configuration.pp)
    while lanes > 1 and _asks_twice(one, lanes, configuration.banks):
        lanes -= 1
    words = lanes * one.sub_tiles * (2 if one.has_residual and not one.res_fast else 1)
    taps = one.kernel_h * one.kernel_w * one.ci_tiles
    cycles = max(taps, words + one.skip_weights) + _pick(rng, 0, 2)
    return replace(one, group_lanes=lanes, group_cycles=cycles)


def _asks_twice(one: Exec, lanes: int, banks: int) -> bool:
    steps = one.strides[0] * map_pitch(one, banks), one.strides[1]
    origins = strided(source_position(one, banks), steps, (one.out_h, one.out_w)) % banks
    return any(len(set(group)) < len(group) for group in _groups(one, origins.tolist(), lanes))


def _groups(one: Exec, rows: list[list[int]], lanes: int) -> Iterator[list[int]]:
    for run in rows if one.row_break else [[bank for row in rows for bank in row]]:
        for first in range(0, len(run), lanes):
            yield run[first : first + lanes]


def _with_right_residual(one: Exec, configuration: EngineConfiguration) -> Exec:
    """The EXEC with a residual word every cycle only where no read meets a write."""
    if not (one.has_residual and one.res_fast):
        return one
    output, residual = (words(one, configuration.banks) for words in (output_words, residual_words))
    slots = ResidualSlots(
        sweep=Sweep.of(one),
        words=one.sub_tiles,
        residual=Raster(origin=residual.first, pitch=residual.pitch),
        target=Raster(origin=output.first, pitch=output.pitch),
        banks=configuration.banks,
    )
    if one.out_step == 1 and not one.res_still and are_apart(slots, one.group_cycles, one.skip_weights):
        return one
    words = 2 * one.group_lanes * one.sub_tiles + one.skip_weights
    return replace(one, res_fast=False, group_cycles=max(one.group_cycles, words))
