"""A bundle that no engine runs: enough to be packed, damaged, sent and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bitlathe.board.bundle import Bundle, write_bundle
from bitlathe.board.manifest import (
    DescriptorEntry,
    Engine,
    FileEntry,
    Manifest,
    OutputEntry,
    Overlay,
    OverlayKind,
)
from bitlathe.board.measurement import Measurement, NodeCycles

FILES = {"overlay_1.bit": b"{}", "overlay_1.hwh": b"<EDKSYSTEM/>", "program.bin": bytes(range(128)) * 3}
RESULT = Measurement(
    board="pynq-z2",
    network="small",
    bundle="0" * 64,
    simulated=True,
    pynq="4.0.0",
    images=1,
    mismatches=0,
    correct=1,
    cycles=100,
    cycles_first=120,
    predicted_cycles=100,
    clock_mhz=100.0,
    clock_closed_mhz=100.0,
    latency_ms=0.001,
    wall_ms=None,
    layers=(NodeCycles(layer="conv1", cycles=90),),
    profiled_cycles=100,
    outputs_sha256="0" * 64,
)


def small_manifest(files: dict[str, bytes] | None = None) -> Manifest:
    """Manifest of a few small files."""
    overlay = Overlay(
        kind=OverlayKind.SIMULATION,
        bit="overlay_1.bit",
        hwh="overlay_1.hwh",
        ip="engine_0",
        address=0x43C0_0000,
        clock_mhz=150.0,
    )
    engine = Engine(
        identity=7,
        version=1,
        word_bytes=8,
        registers={"CTRL": 0},
        errors={"NONE": 0, "AXI_READ": 5, "ABORTED": 7},
    )
    return Manifest(
        board="pynq-z2",
        architecture="armv7l",
        network="small",
        overlay=overlay,
        engine=engine,
        descriptors=(DescriptorEntry(opcode="EXEC", node="conv1"), DescriptorEntry(opcode="END", node="")),
        input_shape=(3, 2, 2),
        outputs=(OutputEntry(shape=(10, 1, 1), frac=4, signed=True),),
        input_stride=64,
        output_stride=64,
        scratch_bytes=0,
        predicted_cycles=100,
        predicted_cycles_first=120,
        vectors=1,
        files={name: FileEntry.of(content) for name, content in (files or FILES).items()},
    )


def small_bundle(parent: Path, **changes: object) -> Bundle:
    """The bundle in a folder of `parent`, its manifest with some fields changed."""
    return write_bundle(parent, replace(small_manifest(), **changes), FILES)
