"""The manifest of a bundle: everything a runner must know that is not in the hardware, as typed values.

The board has no copy of the register map, of the error codes or of a layout: they travel in here, from the
one table that also made the hardware.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum

from bitlathe.board import names
from bitlathe.board.errors import BundleError
from bitlathe.board.fields import JsonFields

FORMAT = 1  # of one output
SEVERAL = 2  # of several outputs
ONLY = "output"  # the name of an output that is alone
MANIFEST = "manifest.json"
_LARGEST_FRAC = 64


class OverlayKind(Enum):
    """What is loaded into a device."""

    BITSTREAM = "bitstream"
    SIMULATION = "simulation"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """Size and digest of one file of the bundle."""

    size: int  # bytes
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> FileEntry:
        """Entry of a file's content."""
        return cls(size=len(content), sha256=hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """The hardware: its files in the bundle, and what must be true of it."""

    kind: OverlayKind
    bit: str  # file name; in a simulation a text that says what is simulated
    hwh: str  # file name, same stem
    ip: str  # instance name of the engine in the .hwh
    address: int  # of its registers
    clock_mhz: float  # fastest clock that the design is known to work at

    def __post_init__(self) -> None:
        for file in (self.bit, self.hwh):
            names.FILE.check(file, "overlay")
        names.INSTANCE.check(self.ip, "overlay")

    @property
    def is_simulation(self) -> bool:
        """Whether this is a simulated device's overlay."""
        return self.kind is OverlayKind.SIMULATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The engine that the program was compiled for."""

    identity: int  # what its register IDENTITY must read
    version: int  # what its register VERSION must read
    word_bytes: int
    registers: Mapping[str, int]  # name -> byte offset
    errors: Mapping[str, int]  # name -> code in the register ERROR

    def __post_init__(self) -> None:
        for register in self.registers:
            names.REGISTER.check(register, f"{MANIFEST}: engine")
        for error in self.errors:
            names.ERROR.check(error, f"{MANIFEST}: engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptorEntry:
    """One step of the program, for profiles and messages."""

    opcode: str
    node: str
    bytes: int = 0  # that it reads from memory; 0 where it reads none, and in bundles of before it was said

    def __post_init__(self) -> None:
        names.OPCODE.check(self.opcode, f"{MANIFEST}: descriptors")
        names.NODE.check(self.node, f"{MANIFEST}: descriptors")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputEntry:
    """One of the network's outputs."""

    name: str = ONLY
    shape: tuple[int, ...]  # (C, H, W)
    frac: int  # value = code * 2**-frac
    signed: bool

    def __post_init__(self) -> None:
        names.OUTPUT.check(self.name, MANIFEST)
        _check_shape("output", self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumedMemory:
    """The memory that the predicted cycles assume."""

    latency: int  # cycles from an address to its first beat
    busy: float  # share of the cycles in which a word moves


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The contents and the requirements of a bundle."""

    board: str  # "pynq-z2"
    architecture: str  # of the board's processor as Linux names it: "armv7l", "aarch64"
    network: str
    overlay: Overlay
    engine: Engine
    descriptors: tuple[DescriptorEntry, ...]  # END last
    input_shape: tuple[int, ...]  # (C, H, W)
    outputs: tuple[OutputEntry, ...]  # in order
    judged: int = 0  # number of the output whose largest code is an image's class, where outputs are classes
    input_stride: int  # bytes from an input to the next
    output_stride: int  # bytes from an image's outputs to the next image's
    scratch_bytes: int
    predicted_cycles: int  # of one input, weights on chip
    predicted_cycles_first: int  # of one input that also loads the weights
    vectors: int  # images with expected outputs
    files: Mapping[str, FileEntry]
    memory: AssumedMemory | None = None  # None in bundles of before it was said
    images: str = ""  # how a pixel becomes an input code and what the network was trained to see, if known

    def __post_init__(self) -> None:
        names.BOARD.check(self.board, MANIFEST)
        names.ARCHITECTURE.check(self.architecture, MANIFEST)
        names.NETWORK.check(self.network, MANIFEST)
        _check_shape("input", self.input_shape)
        if not 0 <= self.judged < len(self.outputs):
            raise BundleError(
                f"{MANIFEST}: output {self.judged} of {len(self.outputs)} is to be judged; make it again"
            )
        for name, entry in self.files.items():
            _check_file_name(name)
            names.DIGEST.check(entry.sha256, f"{MANIFEST}: {name}")
        for name in (self.overlay.bit, self.overlay.hwh):
            if name not in self.files:
                raise BundleError(f"{MANIFEST}: the overlay's {name} is not among the files; make it again")

    def encode(self) -> bytes:
        """The manifest's text: equal manifests give equal bytes."""
        values = {**asdict(self), "overlay": _overlay_values(self.overlay)}
        if not self.images:
            del values["images"]  # bundles that were made before it keep their digest
        if self.memory is None:
            del values["memory"]
        values["descriptors"] = [_descriptor_values(step) for step in self.descriptors]
        if len(self.outputs) == 1:
            del values["outputs"], values["judged"]
        values.update(self._output_values)
        return (json.dumps(values, indent=1, sort_keys=True) + "\n").encode()

    @property
    def _output_values(self) -> dict[str, object]:
        """The format and its outputs: the fields of a lone one stand by themselves."""
        if len(self.outputs) > 1:
            return {"format": SEVERAL, "outputs": [asdict(output) for output in self.outputs]}
        (only,) = self.outputs
        return {
            "format": FORMAT,
            "output_shape": only.shape,
            "output_frac": only.frac,
            "output_signed": only.signed,
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the text, which names every file's own: the name of the whole bundle."""
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def name(self) -> str:
        """Name of the bundle's folder."""
        return f"{self.network}-{self.board}-{self.digest[:16]}"

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())

    def describe(self, descriptor: int) -> str:
        """Words for a descriptor's number, as "descriptor 3 (EXEC of conv1)"."""
        if descriptor >= len(self.descriptors):
            return "no descriptor (header, arguments or profile)"
        step = self.descriptors[descriptor]
        return f"descriptor {descriptor} ({step.opcode} of {step.node or 'no node'})"

    def error_name(self, code: int) -> str:
        """Name of a code in the register ERROR."""
        return next((name for name, value in self.engine.errors.items() if value == code), f"error {code}")


def parse_manifest(text: bytes | str) -> Manifest:
    """The manifest of a text; BundleError names the field that is wrong."""
    return manifest_of(JsonFields.parse(text, MANIFEST))


def manifest_of(fields: JsonFields) -> Manifest:
    """The manifest of a JSON object; BundleError names the field that is wrong."""
    if fields.integer("format") not in (FORMAT, SEVERAL):
        raise BundleError(
            f"{MANIFEST}: format {fields.integer('format')}, this version reads {FORMAT} and {SEVERAL}; "
            "make it again"
        )
    several = fields.integer("format") == SEVERAL
    return Manifest(
        board=fields.text("board"),
        architecture=fields.text("architecture"),
        network=fields.text("network"),
        overlay=_overlay(fields.fields("overlay")),
        engine=_engine(fields.fields("engine")),
        descriptors=tuple(
            DescriptorEntry(
                opcode=step.text("opcode"),
                node=step.text("node"),
                bytes=step.integer("bytes") if "bytes" in step.values else 0,
            )
            for step in fields.items("descriptors")
        ),
        input_shape=fields.integers("input_shape"),
        outputs=tuple(map(_output, fields.items("outputs"))) if several else (_only_output(fields),),
        judged=fields.integer("judged") if several else 0,
        input_stride=fields.integer("input_stride", 1),
        output_stride=fields.integer("output_stride", 1),
        scratch_bytes=fields.integer("scratch_bytes"),
        predicted_cycles=fields.integer("predicted_cycles", 1),
        predicted_cycles_first=fields.integer("predicted_cycles_first", 1),
        vectors=fields.integer("vectors", 1),
        files=_files(fields.fields("files")),
        memory=_memory(fields.fields("memory")) if "memory" in fields.values else None,
        images=fields.text("images") if "images" in fields.values else "",
    )


def _descriptor_values(step: DescriptorEntry) -> dict[str, object]:
    values = {"opcode": step.opcode, "node": step.node}
    return {**values, "bytes": step.bytes} if step.bytes else dict(values)


def _memory(fields: JsonFields) -> AssumedMemory:
    return AssumedMemory(latency=fields.integer("latency", 1), busy=fields.number("busy"))


def _output(fields: JsonFields) -> OutputEntry:
    return OutputEntry(
        name=fields.text("name"),
        shape=fields.integers("shape"),
        frac=fields.integer("frac", -_LARGEST_FRAC, _LARGEST_FRAC),
        signed=fields.flag("signed"),
    )


def _only_output(fields: JsonFields) -> OutputEntry:
    return OutputEntry(
        shape=fields.integers("output_shape"),
        frac=fields.integer("output_frac", -_LARGEST_FRAC, _LARGEST_FRAC),
        signed=fields.flag("output_signed"),
    )


def _files(fields: JsonFields) -> dict[str, FileEntry]:
    for name in fields.values:
        _check_file_name(name)  # first: an error in an entry names it
    entries = {name: fields.fields(name) for name in fields.values}
    return {
        name: FileEntry(size=entry.integer("size"), sha256=entry.text("sha256"))
        for name, entry in entries.items()
    }


def _overlay(fields: JsonFields) -> Overlay:
    kinds = {kind.value: kind for kind in OverlayKind}
    if fields.text("kind") not in kinds:
        raise BundleError(f"{fields.where}: kind {fields.text('kind')!r} is none of {', '.join(kinds)}")
    return Overlay(
        kind=kinds[fields.text("kind")],
        bit=fields.text("bit"),
        hwh=fields.text("hwh"),
        ip=fields.text("ip"),
        address=fields.integer("address"),
        clock_mhz=fields.number("clock_mhz"),
    )


def _engine(fields: JsonFields) -> Engine:
    return Engine(
        identity=fields.integer("identity", 0, 0xFFFF_FFFF),
        version=fields.integer("version"),
        word_bytes=fields.integer("word_bytes", 1, 64),
        registers=fields.mapping("registers"),
        errors=fields.mapping("errors"),
    )


def _overlay_values(overlay: Overlay) -> dict[str, object]:
    return {**asdict(overlay), "kind": overlay.kind.value}


def _check_shape(what: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise BundleError(f"{MANIFEST}: {what} shape {shape}, needed (C, H, W); make it again")


def _check_file_name(name: str) -> None:
    names.FILE.check(name, MANIFEST)
    if name == MANIFEST:
        raise BundleError(f"{MANIFEST}: {name} cannot be the name of a file in a bundle, as it lists them")
