"""Random programs of legal descriptors, and every way to make one illegal."""

from collections.abc import Mapping

import numpy as np

from bitlathe.hls.program import (
    DESCRIPTOR_BYTES,
    KINDS,
    MAGIC,
    PROGRAM_VERSION,
    Descriptor,
    Encoding,
    ErrorCode,
    Header,
    Opcode,
    Space,
)

IDENTITY = 0xC0FFEE42
STRIDES = {"input_stride": 0x1000, "output_stride": 0x240}
UNITS = {Opcode.LOAD: 0, Opcode.LOAD_WEIGHTS: 0, Opcode.EXEC: 1, Opcode.STORE: 2}
WAITS = ("wait_load", "wait_exec", "wait_store")

MOVE = {"space": Space.OUTPUT, "segment_words": 1, "segments": 1, "row_words": 1}
WEIGHTS = {"space": Space.WEIGHTS, "beats": 8}
EXEC = {"group_lanes": 1, "sub_tiles": 1, "group_cycles": 1, "kernel_h": 1, "kernel_w": 1, "ci_tiles": 1} | {
    "out_h": 1,
    "out_w": 1,
    "out_tiles": 1,
    "tap_rows": 1,
    "tap_step": 1,
    "out_step": 1,
}
LEGAL: Mapping[Opcode, Mapping[str, int]] = {
    Opcode.LOAD: MOVE,
    Opcode.LOAD_WEIGHTS: WEIGHTS,
    Opcode.EXEC: EXEC,
    Opcode.STORE: MOVE,
    Opcode.END: {},
}


def descriptor(opcode: Opcode, **fields: int) -> Descriptor:
    """A legal descriptor, changed."""
    return KINDS[opcode](**{**LEGAL[opcode], **fields})


def random_program(rng: np.random.Generator, length: int) -> list[Descriptor]:
    """Descriptors that wait for random earlier ones, of the input before too; offsets tell them apart."""
    sent, program = [0, 0, 0], []
    for place in range(length):
        opcode = Opcode(int(rng.integers(Opcode.LOAD, Opcode.STORE + 1)))
        fields = {name: int(rng.integers(-6, count + 1)) for name, count in zip(WAITS, sent, strict=True)}
        mark = {"lo": place} if opcode is Opcode.EXEC else {"offset": 16 * place}
        if opcode is Opcode.LOAD:
            mark["space"] = int(rng.integers(len(Space)))
        if opcode is Opcode.LOAD_WEIGHTS:
            mark["once"] = int(rng.integers(2))
        program.append(descriptor(opcode, **fields, **mark))
        sent[UNITS[opcode]] += 1
    return [*program, descriptor(Opcode.END)]


def encode(program: list[Descriptor], **header: int) -> bytes:
    """A program's bytes; `header` changes fields of the header."""
    values = {"identity": IDENTITY, "descriptors": len(program), **STRIDES, **header}
    return Header(**values).encode() + b"".join(one.encode() for one in program)


BAD_HEADERS: tuple[Mapping[str, int], ...] = (
    {"magic": MAGIC ^ 1},
    {"version": PROGRAM_VERSION + 1},
    {"identity": IDENTITY ^ (1 << 31)},
    {"descriptors": 0},
    {"descriptors": 1 << 16},
    {"input_stride": 4},
    {"output_stride": 4},
)


_PRODUCT = {"is_product": 1, "is_max": 1, "has_residual": 1, "group_cycles": 99}
_BAD_PRODUCTS = [_PRODUCT | {name: 0} for name in ("is_max", "has_residual")]
_BAD_PRODUCTS += [_PRODUCT | {name: 1} for name in ("in_packed", "out_packed", "res_packed")]
_HOLD = {"hold_weights": 1, "group_cycles": 99, "kernel_h": 2}
_BAD_HOLDS = [_HOLD | {name: value} for name, value in (("is_max", 1), ("ci_tiles", 2), ("skip_weights", 1))]


def bad_fields(*, word_bytes: int, po: int, pp: int, banks: int) -> list[Descriptor]:
    """Descriptors of which one field is impossible each."""
    sub_tiles = po // word_bytes
    move = [{name: 0} for name in ("segment_words", "segments", "row_words")]
    move += [
        {"bank": banks},
        {"row_bank": banks},
        {"offset": word_bytes // 2},
        {"segment_stride": 1},
        {"space": 4},
    ]
    weights = [{"beats": 0}, {"space": 15}, {"offset": 1}, {"encoding": max(Encoding) + 1}]
    weights += [{"encoding": code} for code in (Encoding.DIAGONAL, Encoding.NIBBLES, Encoding.INDICES)]
    weights += [{"lines": 1}, {"narrow": True}, {"encoding": Encoding.SPARSE, "pass_lines": 1}]
    weights += [{"encoding": Encoding.SPARSE, "lines": 1}]
    counts = (
        "group_lanes",
        "kernel_h",
        "kernel_w",
        "ci_tiles",
        "out_h",
        "out_w",
        "out_tiles",
        "sub_tiles",
        "tap_rows",
        "tap_step",
        "out_step",
    )
    steps = (
        "in_bank",
        "pitch_bank",
        "in_row_bank",
        "tap_row_bank",
        "out_bank",
        "out_row_bank",
        "res_bank",
    )
    full = {"group_lanes": pp, "sub_tiles": sub_tiles}
    exec_ = [{name: 0} for name in (*counts, "group_cycles")]
    exec_ += [{name: banks} for name in (*steps, "res_row_bank")]
    exec_ += [{"group_lanes": pp + 1, "group_cycles": 99}, {"sub_tiles": sub_tiles + 1, "group_cycles": 99}]
    exec_ += [full | {"group_cycles": pp * sub_tiles - 1}]
    exec_ += [full | {"group_cycles": 2 * pp * sub_tiles - 1, "has_residual": 1}]
    exec_ += [full | {"group_cycles": pp * sub_tiles + 2, "kernel_h": 2, "skip_weights": 3}]
    exec_ += [{"group_cycles": 99, "kernel_h": 1, "skip_weights": 1}]  # no row would be left
    exec_ += [{"kernel_h": 2, "skip_weights": 1, "group_cycles": 99, "tap_rows": 2}, {"out_row_line": -1}]
    exec_ += [{"res_row_line": -1, "has_residual": 1, "group_cycles": 99}]
    exec_ += [{"table": 7}, {"res_still": 1}, *_BAD_PRODUCTS, *_BAD_HOLDS]
    return [
        *(descriptor(Opcode.LOAD, **fields) for fields in move),
        *(
            descriptor(Opcode.STORE, **fields)
            for fields in [*move, {"space": Space.WEIGHTS}, {"space": Space.INPUT}]
        ),
        *(descriptor(Opcode.LOAD_WEIGHTS, **fields) for fields in weights),
        *(descriptor(Opcode.EXEC, **fields) for fields in exec_),
    ]


def bad_programs(rng: np.random.Generator, **sizes: int) -> list[tuple[bytes, ErrorCode, int]]:
    """(program, error, descriptor at fault), the fault in the middle of legal descriptors."""
    none = 0xFFFF_FFFF
    faults = [
        (encode(random_program(rng, 3), **header), ErrorCode.BAD_HEADER, none) for header in BAD_HEADERS
    ]
    for bad in bad_fields(**sizes):
        program = random_program(rng, 3)
        faults.append((encode([*program[:2], bad, *program[2:]]), ErrorCode.BAD_FIELD, 2))
    unknown = bytearray(encode(random_program(rng, 3)))
    unknown[2 * DESCRIPTOR_BYTES] = 5
    faults.append((bytes(unknown), ErrorCode.BAD_OPCODE, 1))
    early = [descriptor(Opcode.END), *random_program(rng, 2)]
    faults.append((encode(early), ErrorCode.BAD_OPCODE, 0))
    faults.append((encode(random_program(rng, 4)[:-1]), ErrorCode.BAD_OPCODE, 3))
    return faults
