"""Results of a measurement: the engine's own cycles, the clock as read back, and where the cycles went."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.board import names
from bitlathe.board.fields import JsonFields
from bitlathe.board.manifest import Manifest

IDLE = "(array idle)"
_WHERE = "measurement"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCycles:
    """Cycles in which the array worked for one layer."""

    layer: str
    cycles: int

    def __post_init__(self) -> None:
        names.NODE.check(self.layer, _WHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCheck:
    """One output, compared with what the bundle expects."""

    name: str
    mismatches: int  # integers that differ, over all images

    def __post_init__(self) -> None:
        names.OUTPUT.check(self.name, _WHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Where a result is from, without which its figures mean nothing."""

    board: str
    network: str
    bundle: str  # digest
    simulated: bool
    pynq: str  # version
    clock_mhz: float  # as read back
    clock_closed_mhz: float  # fastest the design is known to work at
    image: str = ""  # the system that the board runs; empty from an agent of before it was said, as the next
    overlay: str = ""  # digest of the .bit
    clock_asked_mhz: float | None = None  # of pynq, which divides a PLL
    clock_counted_mhz: float | None = field(default=None, compare=False)  # by the engine's counter, if any

    def __post_init__(self) -> None:
        names.BOARD.check(self.board, _WHERE)
        names.NETWORK.check(self.network, _WHERE)
        names.VERSION.check(self.pynq, _WHERE)
        names.NODE.check(self.image, _WHERE)
        for digest in (self.bundle, *filter(None, [self.overlay])):
            names.DIGEST.check(digest, _WHERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Labels):
    """A bundle on a board."""

    images: int
    mismatches: int  # output integers that differ from the bundle's, over all images
    correct: int | None  # images whose largest output is their label's; None where outputs are not classes
    cycles: int  # of one image, start to done: median over images after the first
    cycles_first: int  # of the first image, whose start also loads the weights
    predicted_cycles: int  # by the cycle model, as `cycles`
    latency_ms: float  # cycles / clock_mhz
    wall_ms: (
        float | None
    )  # of one image, images in to outputs back; None in simulation, where time means nothing
    layers: tuple[NodeCycles, ...]  # of one image; they add up to `profiled_cycles`
    profiled_cycles: int  # of the image that was profiled; 0 where the engine writes no profile
    outputs_sha256: str  # of all output codes
    outputs: tuple[OutputCheck, ...] = ()  # in order; none by an agent of before there were several

    def __post_init__(self) -> None:
        Labels.__post_init__(self)
        names.DIGEST.check(self.outputs_sha256, _WHERE)

    @property
    def milliseconds(self) -> float:
        """Latency of one image."""
        return self.latency_ms

    @property
    def accuracy(self) -> float | None:
        """Share of images that are recognised, 0..1; None where outputs are not classes."""
        return None if self.correct is None else self.correct / self.images

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: JsonFields) -> Measurement:
        """The measurement that plain values describe; BundleError where they do not."""
        wall_ms = None if fields.values.get("wall_ms") is None else fields.number("wall_ms")
        correct = None if fields.values.get("correct") is None else fields.integer("correct")
        rows = fields.items("layers")
        checks = fields.items("outputs") if "outputs" in fields.values else ()
        return cls(
            **labels_from(fields),
            images=fields.integer("images"),
            mismatches=fields.integer("mismatches"),
            correct=correct,
            cycles=fields.integer("cycles"),
            cycles_first=fields.integer("cycles_first"),
            predicted_cycles=fields.integer("predicted_cycles"),
            latency_ms=fields.number("latency_ms"),
            wall_ms=wall_ms,
            layers=tuple(NodeCycles(layer=row.text("layer"), cycles=row.integer("cycles")) for row in rows),
            profiled_cycles=fields.integer("profiled_cycles"),
            outputs_sha256=fields.text("outputs_sha256"),
            outputs=tuple(
                OutputCheck(name=check.text("name"), mismatches=check.integer("mismatches"))
                for check in checks
            ),
        )


def labels_from(fields: JsonFields) -> dict[str, Any]:
    """The fields of Labels that plain values describe; BundleError where they do not."""
    clocks = ("clock_asked_mhz", "clock_counted_mhz")
    return {
        "board": fields.text("board"),
        "network": fields.text("network"),
        "bundle": fields.text("bundle"),
        "simulated": fields.flag("simulated"),
        "pynq": fields.text("pynq"),
        "clock_mhz": fields.number("clock_mhz"),
        "clock_closed_mhz": fields.number("clock_closed_mhz"),
        **{name: fields.text(name) for name in ("image", "overlay") if name in fields.values},
        **{name: fields.number(name) for name in clocks if fields.values.get(name) is not None},
    }


def digest_of(outputs: Sequence[NDArray[np.integer[Any]]]) -> str:
    """SHA-256 of the codes of all outputs."""
    digest = hashlib.sha256()
    for codes in outputs:
        digest.update(np.ascontiguousarray(codes).astype("<i4").tobytes())
    return digest.hexdigest()


def steady_cycles(cycles: tuple[int, ...]) -> int:
    """Cycles of one image after the first.

    >>> steady_cycles((900, 500, 500, 504))
    500
    """
    return round(median(cycles[1:] or cycles))


def layers_of(manifest: Manifest, spans: list[list[int]], cycles: int) -> tuple[NodeCycles, ...]:
    """Cycles by layer from each descriptor's first and last cycle, and what is left of the whole."""
    busy: dict[str, int] = {}
    for step, (start, end) in zip(manifest.descriptors, spans, strict=True):
        if step.opcode == "EXEC":
            busy[step.node] = busy.get(step.node, 0) + end - start
    rows = [NodeCycles(layer=node, cycles=count) for node, count in busy.items()]
    return (*rows, NodeCycles(layer=IDLE, cycles=max(0, cycles - sum(busy.values()))))
