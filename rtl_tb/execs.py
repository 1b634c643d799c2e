"""Random EXEC descriptors that stay within their stores, many right at an edge, and ways to lead them out."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from bitlathe.hls.checks import (
    LAST_PLACE,
    columns_reached,
    output_words,
    residual_words,
    rows_reached,
    source_position,
    source_reach,
    weight_reach,
)
from bitlathe.hls.compile.windows import LARGEST_STRIDE
from bitlathe.hls.program import Descriptor, Exec, Field, fields_of
from bitlathe.hls.target.config import EngineConfiguration

AnyDescriptor = TypeVar("AnyDescriptor", bound=Descriptor)


def _own_fields(kind: type[Descriptor]) -> dict[str, Field]:
    """Fields of a kind of descriptors, less those that all have."""
    return {field.name: field for field in fields_of(kind)[len(fields_of(Descriptor)) :]}


FIELDS = _own_fields(Exec)
_COUNTS = (
    *("kernel_h", "kernel_w", "stride_h", "stride_w", "tap_rows", "tap_step", "out_step"),
    *("in_h", "in_w", "out_h", "out_w", "out_tiles"),
)  # of which none is 0
_CLAMPS = (-128, 127), (0, 255), (0, 96), (-7, 7)
LEAST_LINES = 1024  # of a bank and of the weight store: any random EXEC fits


def random_exec(
    rng: np.random.Generator, configuration: EngineConfiguration, *, is_large: bool = False
) -> Exec:
    """An EXEC that the engine takes; one in three places touches an end of its store.

    A large one has sizes of any magnitude up to what the fields hold; no walk over its words ends soon.
    """
    while True:
        sizes = _sizes(rng, configuration)
        one = _unplaced(rng, sizes | _large_sizes(rng, sizes) if is_large else sizes, configuration)
        if _fits(one, configuration):
            placed = _placed(rng, one, configuration)
            if _holds(placed):
                return placed


def _unplaced(rng: np.random.Generator, sizes: dict[str, int], configuration: EngineConfiguration) -> Exec:
    """An EXEC of these sizes, whose maps and weights are not placed yet."""
    fields, banks = dict(sizes), configuration.banks
    pitch = fields["in_w"] + int(rng.integers(6))
    fields |= _source(rng, fields, pitch, banks)
    for name in ("out", "res"):
        walk = (fields["out_w"] - 1) * (fields["out_step"] if name == "out" else 1)
        row = walk + 1 + int(rng.integers(6))
        plane = int(rng.integers(row * fields["out_h"] // banks + 4))
        fields |= _pair(f"{name}_row", row - walk, banks) | {f"{name}_plane": plane}
    if fields["res_still"]:
        fields |= {"res_row_line": 0, "res_row_bank": 0}
    return Exec(**fields).with_strides(fields["stride_h"], fields["stride_w"])


def _fits(one: Exec, configuration: EngineConfiguration) -> bool:
    """Whether each store is as large as what is touched in it, and no window goes beyond the last place."""
    last_row, last_column = one.start_y + rows_reached(one), one.start_x + columns_reached(one)
    if max(last_row, last_column) > LAST_PLACE:
        return False
    words = configuration.bank_lines * configuration.banks
    maps = _reaches(one, configuration.banks).values()
    return max(map(len, maps)) <= words and len(weight_reach(one)) <= configuration.weight_lines


def _reaches(one: Exec, banks: int) -> dict[str, range]:
    """Positions that an EXEC touches, by the map that they are of."""
    return {
        "in": source_reach(one, banks),
        "out": output_words(one, banks).reach,
        "res": residual_words(one, banks).reach,
    }


def _firsts(one: Exec, banks: int) -> dict[str, int]:
    """Position of each map's first pixel."""
    output, residual = output_words(one, banks), residual_words(one, banks)
    return {"in": source_position(one, banks), "out": output.first, "res": residual.first}


def _holds(one: Exec) -> bool:
    """Whether a descriptor has room for the values."""
    values = {name: getattr(one, name) for name in FIELDS}
    return all(
        field.decode(values[name] % (1 << field.width) << field.lsb) == values[name]
        for name, field in FIELDS.items()
    )


def _placed(rng: np.random.Generator, one: Exec, configuration: EngineConfiguration) -> Exec:
    """The EXEC with every map and the weights somewhere in their stores."""
    banks, words = configuration.banks, configuration.bank_lines * configuration.banks
    firsts = _firsts(one, banks)
    for name, reach in _reaches(one, banks).items():
        one = replace(one, **_pair(name, firsts[name] + _shift(rng, reach, words), banks))
    lines = weight_reach(replace(one, weight_line=0))
    return replace(one, weight_line=_shift(rng, lines, configuration.weight_lines))


def led_astray(rng: np.random.Generator, one: AnyDescriptor) -> AnyDescriptor:
    """The descriptor with one or two fields changed: by one, in a bit, or to anything that they can hold."""
    fields, changed = _own_fields(type(one)), {}
    for name in rng.choice(sorted(fields), size=int(rng.integers(1, 3)), replace=False):
        field, value = fields[name], getattr(one, name)
        bits = value & ((1 << field.width) - 1)
        choices = [bits + 1, bits - 1, bits ^ (1 << int(rng.integers(field.width)))]
        choices.append(int(rng.integers(1 << field.width)))
        chosen = choices[int(rng.integers(len(choices)))] % (1 << field.width)
        changed[str(name)] = field.decode(chosen << field.lsb)
    return replace(one, **changed)


def one_step_outside(one: Exec, configuration: EngineConfiguration) -> dict[str, Exec]:
    """By store and end: the EXEC with one place moved so that one word is outside, where that is possible."""
    banks, words = configuration.banks, configuration.bank_lines * configuration.banks
    firsts, moved = _firsts(one, banks), {}
    for name, reach in _reaches(one, banks).items():
        if not reach or (name == "res" and not one.has_residual):
            continue
        moved[f"{name} after"] = replace(one, **_pair(name, firsts[name] + words + 1 - reach.stop, banks))
        if name == "in":
            moved["in before"] = replace(one, **_pair(name, firsts[name] - reach.start - 1, banks))
    lines = weight_reach(one)
    moved["weights"] = replace(one, weight_line=configuration.weight_lines + 1 - len(lines))
    return {where: changed for where, changed in moved.items() if _holds(changed)}


def _sizes(rng: np.random.Generator, configuration: EngineConfiguration) -> dict[str, int]:
    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    is_max, has_residual = rng.random() < 0.2, rng.random() < 0.5
    kernel = (pick(1, 4), pick(1, 4))
    ci_tiles = 1 if is_max else pick(1, 3)
    sub_tiles = 1 if is_max else (1, configuration.sub_tiles)[pick(0, 1)]
    row, lanes = kernel[1] * ci_tiles, pick(1, configuration.pp)
    skip = row if kernel[0] > 1 and rng.random() < 0.3 else 0
    res_fast = pick(0, 1)
    words = lanes * sub_tiles * (2 if has_residual and not res_fast else 1)
    lo, hi = _CLAMPS[pick(0, len(_CLAMPS) - 1)]
    return {
        "group_cycles": max(kernel[0] * row, words + skip) + pick(0, 1) * pick(0, 3),
        "group_lanes": lanes,
        "row_break": pick(0, 1),
        "is_max": int(is_max),
        "in_signed": pick(0, 1),
        "has_residual": int(has_residual),
        "sub_tiles": sub_tiles,
        "out_packed": pick(0, 1) if sub_tiles % 2 == 0 or sub_tiles == 1 else 0,
        "res_packed": pick(0, 1) if sub_tiles % 2 == 0 or sub_tiles == 1 else 0,
        "res_fast": res_fast,
        "lo": lo,
        "hi": hi,
        "kernel_h": kernel[0],
        "kernel_w": kernel[1],
        "ci_tiles": ci_tiles,
        "stride_h": pick(1, 3) + 16 * pick(0, 1) * pick(0, 3),
        "stride_w": pick(1, 3) + 16 * pick(0, 1) * pick(0, 3),
        "start_y": pick(-3, 2),
        "start_x": pick(-3, 2),
        "in_h": pick(1, 9),
        "in_w": pick(1, 9),
        "out_h": pick(1, 5),
        "out_w": pick(1, 6),
        "out_tiles": pick(1, 5),
        "tap_rows": 1 if skip else pick(1, 3),
        "tap_step": pick(1, 3),
        "out_step": pick(1, 3),
        "repeat_weights": pick(0, 1),
        "skip_weights": skip,
        "half_even": pick(0, 1),
        **_flags(rng, is_max, has_residual, ci_tiles, skip),
    }


def _flags(
    rng: np.random.Generator, is_max: bool, has_residual: bool, ci_tiles: int, skip: int
) -> dict[str, int]:
    """Flags that only some EXECs may have, half of those that may."""

    def maybe(may: bool) -> int:
        return int(may and rng.random() < 0.5)

    has_table, is_product = maybe(True), maybe(is_max and has_residual)
    packed = {} if not is_product else {"out_packed": 0, "res_packed": 0}
    return {
        "has_table": has_table,
        "table": int(rng.integers(8)) if has_table else 0,
        "is_product": is_product,
        "res_still": maybe(has_residual),
        "hold_weights": maybe(not is_max and ci_tiles == 1 and not skip),
        **packed,
    }


def _large_sizes(rng: np.random.Generator, sizes: dict[str, int]) -> dict[str, int]:
    """Sizes of any magnitude, half of them the largest of it, and the cycles a group that they ask for."""

    def pick(name: str) -> int:
        high = LARGEST_STRIDE if name.startswith("stride") else (1 << FIELDS[name].width) - 1
        most = high >> int(rng.integers(high.bit_length()))
        return most if rng.random() < 0.5 else int(rng.integers(1, most + 1))

    large = {name: pick(name) for name in _COUNTS}
    large["ci_tiles"] = 1 if sizes["is_max"] or sizes["hold_weights"] else pick("ci_tiles")
    for name in ("start_y", "start_x"):
        large[name] = int(rng.choice([-1, 1])) * (pick(name) >> 1)
    row = large["kernel_w"] * large["ci_tiles"]
    skip = row if sizes["skip_weights"] and large["kernel_h"] > 1 else 0
    if skip:
        large["tap_rows"] = 1
    words = sizes["group_lanes"] * sizes["sub_tiles"] * 2
    cycles = max(large["kernel_h"] * row, words + skip)
    return large | {"skip_weights": skip, "group_cycles": cycles}


def _source(rng: np.random.Generator, fields: dict[str, int], pitch: int, banks: int) -> dict[str, int]:
    plane = int(rng.integers(pitch * fields["in_h"] // banks + 8))
    walk = fields["stride_w"] * (fields["out_w"] - 1)
    return {
        "in_plane": plane,
        "in_tile_step": plane * int(rng.integers(2)),
        **_pair("in", fields["start_y"] * pitch + fields["start_x"], banks),
        **_pair("pitch", pitch, banks),
        **_pair("in_row", fields["stride_h"] * pitch - walk, banks),
        **_pair("tap_row", fields["tap_rows"] * pitch - fields["tap_step"] * (fields["kernel_w"] - 1), banks),
    }


def _pair(name: str, position: int, banks: int) -> dict[str, int]:
    line, bank = divmod(position, banks)
    return {f"{name}_line": line, f"{name}_bank": bank}


def _shift(rng: np.random.Generator, reach: range, size: int) -> int:
    """How far a reach is moved: to the store's first word, to its last, or anywhere between."""
    first, last = -reach.start, size - reach.stop
    return (first, last, int(rng.integers(first, last + 1)))[int(rng.integers(3))]
