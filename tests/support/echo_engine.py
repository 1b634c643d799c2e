"""The echo engine, and a network that it "runs": it returns the codes that it is given."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitlathe.hls.program import End, Program
from bitlathe.hls.sim import BuildOptions, build_model
from bitlathe.hls.target.config import EngineConfiguration

SOURCE = Path(__file__).parents[1] / "hls" / "sim" / "fixtures" / "echo_engine.sv"
END = End(node="logits")
FAULT_OFFSET = 0xFC  # of the register that chooses a mistake

CHANGES_ADDRESS = 1
DROPS_VALID = 2
CROSSES_PAGE = 3
LONG_BURST = 4
NARROW_BURST = 5
UNALIGNED = 6
WRONG_LAST = 7
PARTIAL_STROBE = 8
DATA_FIRST = 9
STRAY_WRITE = 10
NEVER_DONE = 11
VALID_IN_RESET = 12
DONE_EARLY = 13
STRAY_READ = 14
ADDRESS_WAITS = 15
SPARE_DATA = 16


def echo_library(pi: int = 8, fault: int = 0, options: BuildOptions | None = None) -> Path:
    """The echo engine for words of `pi` bytes, which begins with one deliberate mistake or none.

    One that is chosen by a write to FAULT_OFFSET needs no library of its own, which takes seconds to compile.
    """
    return build_model([SOURCE], {"PI": pi, "Fault": fault}, "echo_engine", options)


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoLayout:
    """Codes as they are, in rows of `bytes` bytes."""

    bytes: int

    def pack(self, codes: NDArray[np.integer]) -> NDArray[np.uint8]:
        return codes.astype(np.uint8).reshape(len(codes), -1)

    def unpack(self, data: NDArray[np.uint8]) -> NDArray[np.integer]:
        return data[:, : self.bytes].reshape(len(data), 1, 1, -1).astype(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoNetwork:
    """A network of `bytes` codes in and out."""

    program: Program
    input_layout: EchoLayout
    output_layouts: tuple[EchoLayout, ...]
    weights: bytes = b"\x01" * 64
    scratch_bytes: int = 0


def echo_network(size: int, pi: int = 8, stride: int | None = None) -> EchoNetwork:
    """An echo network whose inputs are `size` bytes, `stride` bytes apart."""
    configuration = EngineConfiguration(pi=pi, po=pi)
    stride = stride or size
    program = Program(
        descriptors=(END,), configuration=configuration, input_stride=stride, output_stride=stride
    )
    layout = EchoLayout(bytes=size)
    return EchoNetwork(program=program, input_layout=layout, output_layouts=(layout,))
