"""Loading an overlay through pynq 3.1 or 4.0: the only file outside `sim/` that imports it.

What pynq raises is translated here, once, into errors that say how to mend it.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bitlathe.board.bundle import Bundle
from bitlathe.board.clock import WALL, check_counted, counted_mhz, settle_clock
from bitlathe.board.errors import BoardError, BundleError, DeviceError
from bitlathe.board.manifest import Manifest
from bitlathe.board.measurement import Labels
from bitlathe.board.text import one_line

_LOG = logging.getLogger(__name__)
BOARD_FILE = Path("/proc/device-tree/chosen/pynq_board")  # on pynq's images
BOARD_VARIABLE, UNKNOWN_BOARD = "BOARD", "unknown"  # set by the images' profile
IMAGE_FILES = (  # that name the system, and where in them: those of pynq's images first
    (Path("/home/xilinx/REVISION"), re.compile(r"(\S.*)")),
    (Path("/etc/os-release"), re.compile(r'^PRETTY_NAME="?([^"\n]+)', re.MULTILINE)),
)
REGISTER_BYTES = 0x100
ENVIRONMENT = (
    "on a board become root in pynq's environment: sudo -i, then source /etc/profile.d/pynq_venv.sh and "
    "/etc/profile.d/xrt_setup.sh"
)
# pynq raises bare classes of many kinds; its parser of the .hwh SyntaxError, KeyError and AttributeError
_FOREIGN = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    MemoryError,
    SyntaxError,
)


class LoadedOverlay:
    """A bundle's overlay in the fabric, its clock settled, proven to hold the bundle's engine."""

    def __init__(self, bundle: Bundle, *, checks_clock: bool = True) -> None:
        """Load it; DeviceError, ClockError or BundleError say why that fails.

        Without `checks_clock` a clock that the engine's counter contradicts is left to the caller.
        """
        self._pynq = import_pynq()
        self._manifest = bundle.manifest
        check_board(bundle.manifest, active_device(self._pynq))
        self._overlay = self._open(bundle)
        self._check_address(self._overlay)
        self.clock_asked_mhz = 0.0
        self.clock_mhz = self._program(self._overlay)
        with translated("the engine's registers cannot be mapped"):
            self._mmio = self._pynq.MMIO(bundle.manifest.overlay.address, REGISTER_BYTES)
        self._check_identity()
        if checks_clock:
            self.check_clock()

    def count_clock(self) -> float | None:
        """Clock in MHz by the engine's counter; None where it has none."""
        if not self.has("CYCLE_COUNTER"):
            return None
        timer = getattr(active_device(self._pynq), "timer", WALL)  # a simulated device has time of its own
        return counted_mhz(lambda: self.read("CYCLE_COUNTER"), timer)

    def check_clock(self) -> float | None:
        """The counted clock; ClockError where it is not the one read back."""
        counted = self.count_clock()
        check_counted(self.clock_mhz, counted)
        return counted

    def labels(self, manifest: Manifest, counted_mhz: float | None) -> Labels:
        """Where the results of a bundle on this overlay are from."""
        return Labels(
            board=manifest.board,
            network=manifest.network,
            bundle=manifest.digest,
            simulated=manifest.overlay.is_simulation,
            pynq=str(self._pynq.__version__),
            clock_mhz=self.clock_mhz,
            clock_closed_mhz=manifest.overlay.clock_mhz,
            image=self._image,
            overlay=manifest.files[manifest.overlay.bit].sha256,
            clock_asked_mhz=self.clock_asked_mhz,
            clock_counted_mhz=counted_mhz,
        )

    def interrupt(self) -> Any | None:
        """The engine's interrupt as pynq waits for it; None where the overlay has no controller for it."""
        name = f"{self._manifest.overlay.ip}/"
        pins = [pin for pin in self._overlay.interrupt_pins if pin.startswith(name)]
        return self._pynq.Interrupt(pins[0]) if pins else None

    def fits(self, bundle: Bundle) -> bool:
        """Whether this is the overlay, and the engine, that a bundle needs."""
        wanted = bundle.manifest
        return (wanted.overlay, wanted.engine) == (self._manifest.overlay, self._manifest.engine)

    @property
    def _image(self) -> str:
        """The system that the board runs."""
        return "simulated" if active_device(self._pynq).has_capability("SIMULATED") else image_here()

    def has(self, register: str) -> bool:
        """Whether the bundle's engine has a register; cores made by HLS lack some."""
        return register in self._manifest.engine.registers

    def read(self, register: str) -> int:
        """32 bits of a register."""
        return int(self._mmio.read(self._offset(register)))

    def write(self, register: str, value: int) -> None:
        """Write a register."""
        self._mmio.write(self._offset(register), int(value))  # pynq refuses NumPy's integers

    def program_again(self) -> None:
        """Write the fabric once more, which ends whatever its engine still does.

        On ZynqMP the XRT refuses to follow while buffers are out; by then the fabric is written.
        """
        try:
            self._pynq.Bitstream.download(self._overlay, self._overlay.parser)
        except _FOREIGN as error:
            _LOG.warning("after a run that never ended: %s", error)

    def allocate(self, size: int) -> Any:
        """A buffer (size,) uint8 that the engine reaches; DeviceError when memory is full."""
        with translated(f"no {size} bytes of contiguous memory", "free what other programs hold, or restart"):
            return self._pynq.allocate(shape=(max(1, size),), dtype=np.uint8)

    def _offset(self, register: str) -> int:
        registers = self._manifest.engine.registers
        if register not in registers:
            raise BundleError(
                f"the bundle's engine has no register {register}; make the bundle with this version"
            )
        return registers[register]

    def _open(self, bundle: Bundle) -> Any:
        for path in (bundle.bit, bundle.folder / bundle.manifest.overlay.hwh):
            if not path.is_file():
                raise BundleError(f"{path}: is missing; copy the bundle again")
        with translated(f"the overlay {bundle.bit.name} cannot be read", "make the bundle again"):
            # download=True would set the clock that the .hwh names, and fails on Zynq-7000 in pynq 4.0
            return self._pynq.Overlay(str(bundle.bit), download=False)

    def _check_address(self, overlay: Any) -> None:
        """Check the address in the .hwh first: reading where nothing answers hangs a real board."""
        wanted = self._manifest.overlay
        found = overlay.ip_dict.get(wanted.ip, {}).get("phys_addr")
        if found != wanted.address:
            where = "nowhere" if found is None else f"at {found:#x}"
            raise BundleError(
                f"{wanted.hwh}: has {wanted.ip} {where}, the manifest says {wanted.address:#x}; "
                "make the bundle again, and restart the board if pynq has kept an older .hwh of this .bit"
            )

    def _program(self, overlay: Any) -> float:
        """Clock in MHz after programming; it is settled before too, so the design never runs too fast."""
        closed = self._manifest.overlay.clock_mhz
        with translated(f"the overlay {self._manifest.overlay.bit} cannot be loaded"):
            settle_clock(closed, self._ask_clock)
            self._pynq.Bitstream.download(overlay, overlay.parser)
            return settle_clock(closed, self._ask_clock)

    def _ask_clock(self, mhz: float) -> float:
        self.clock_asked_mhz = mhz
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # that the closest clock is another one is what settle_clock is for
            self._pynq.Clocks.fclk0_mhz = mhz
        return float(self._pynq.Clocks.fclk0_mhz)

    def _check_identity(self) -> None:
        engine = self._manifest.engine
        found = self.read("IDENTITY"), self.read("VERSION")
        if found != (engine.identity, engine.version):
            raise BundleError(
                f"the overlay's engine is {found[0]:#010x} of version {found[1]}, the program is for "
                f"{engine.identity:#010x} of version {engine.version}; make the bundle again"
            )


def import_pynq() -> Any:
    """The module pynq; DeviceError when it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that x86 is not a Zynq, and those of its dependencies
            import pynq
    except ImportError as error:
        raise DeviceError(
            f"pynq is missing ({error}): {ENVIRONMENT}; elsewhere pip install 'bitlathe[board]'"
        ) from error
    return pynq


def active_device(pynq: Any) -> Any:
    """The device that pynq uses; DeviceError when it finds none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "No devices found", which the error says better
        try:
            return pynq.Device.active_device
        except RuntimeError as error:
            raise DeviceError(f"pynq finds no device ({error}): {ENVIRONMENT}") from error


def check_board(manifest: Manifest, device: Any) -> None:
    """DeviceError when this is another board than the bundle's."""
    architecture = getattr(device, "arch", None)
    name = _board_name(device)
    if architecture != manifest.architecture or not (
        name is None or _letters(name) == _letters(manifest.board)
    ):
        raise DeviceError(
            f"this is {name or 'a board'} ({architecture}), the bundle is for {manifest.board} "
            f"({manifest.architecture}); make a bundle for this board"
        )


@contextmanager
def translated(what: str, mend: str = ENVIRONMENT) -> Iterator[None]:
    """Turn what pynq raises into a DeviceError; our own errors pass."""
    try:
        yield
    except BoardError:
        raise
    except _FOREIGN as error:
        raise DeviceError(f"{what} ({type(error).__name__}: {error}); {mend}") from error


def _letters(name: str) -> str:
    """A board's name without what images and board files write in different ways.

    >>> _letters("ultra96-v2") == _letters("Ultra96v2")
    True
    """
    return "".join(each for each in name.lower() if each.isalnum())


def _board_name(device: Any) -> str | None:
    """The board's name as a bundle writes it, or None where nothing tells."""
    if device.has_capability("SIMULATED"):
        return str(device.name)
    return board_here()


def board_here() -> str | None:
    """Name of the board that this runs on, or None where nothing tells."""
    if BOARD_FILE.is_file():
        return BOARD_FILE.read_bytes().rstrip(b"\0\n").decode(errors="replace").lower()
    given = os.environ.get(BOARD_VARIABLE, "").lower()
    return None if given in ("", UNKNOWN_BOARD) else given


def image_here() -> str:
    """The system that this runs on: its image and its kernel."""
    kernel = f"Linux {os.uname().release}"
    for path, name in IMAGE_FILES:
        if path.is_file() and (found := name.search(path.read_text(errors="replace"))):
            return one_line(f"{found[1].strip()}, {kernel}")
    return kernel
