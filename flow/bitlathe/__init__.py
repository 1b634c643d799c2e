"""Shape a CNN until it fits an FPGA, and prove bit for bit that what runs there is what was trained.

    import bitlathe

    network = bitlathe.load_network("lenet5", dataset="digits")
    program = bitlathe.compile(bitlathe.quantize(network), target="pynq-z2")
    print(bitlathe.simulate(program, images=20))

docs/python.md describes each function. A name is loaded when it is first used, PyTorch with it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitlathe.board.average_precision import mean_average_precision
    from bitlathe.board.boxes import Detections, anchor_boxes, cell_boxes, detections, logistic
    from bitlathe.flow.api.boards import check_board, deploy, measure, measure_bundles, read_report
    from bitlathe.flow.api.compress import compress, search
    from bitlathe.flow.api.datasets import load_dataset
    from bitlathe.flow.api.hardware import compile, simulate
    from bitlathe.flow.api.networks import load_network, load_quantized, quantize
    from bitlathe.flow.errors import CheckFailed, UsageError
    from bitlathe.flow.network.pictures import draw_boxes, draw_masks
    from bitlathe.flow.progress import Advance, Note
    from bitlathe.model.compress.methods import (
        ProductParameters,
        PruneParameters,
        PruneWeights,
        QuantizeParameters,
        Train,
    )
    from bitlathe.model.graph.errors import BitlatheError, MissingData

__version__ = version("bitlathe")

__all__ = [
    "Advance",
    "BitlatheError",
    "CheckFailed",
    "Detections",
    "MissingData",
    "Note",
    "ProductParameters",
    "PruneParameters",
    "PruneWeights",
    "QuantizeParameters",
    "Train",
    "UsageError",
    "anchor_boxes",
    "cell_boxes",
    "check_board",
    "compile",
    "compress",
    "deploy",
    "detections",
    "draw_boxes",
    "draw_masks",
    "load_dataset",
    "load_network",
    "load_quantized",
    "logistic",
    "mean_average_precision",
    "measure",
    "measure_bundles",
    "quantize",
    "read_report",
    "search",
    "simulate",
]

_HOMES = {
    "board.average_precision": ("mean_average_precision",),
    "board.boxes": ("Detections", "anchor_boxes", "cell_boxes", "detections", "logistic"),
    "flow.api.boards": ("check_board", "deploy", "measure", "measure_bundles", "read_report"),
    "flow.api.compress": ("compress", "search"),
    "flow.api.datasets": ("load_dataset",),
    "flow.api.hardware": ("compile", "simulate"),
    "flow.api.networks": ("load_network", "load_quantized", "quantize"),
    "flow.errors": ("CheckFailed", "UsageError"),
    "flow.network.pictures": ("draw_boxes", "draw_masks"),
    "flow.progress": ("Note", "Advance"),
    "model.compress.methods": (
        "ProductParameters",
        "PruneParameters",
        "PruneWeights",
        "QuantizeParameters",
        "Train",
    ),
    "model.graph.errors": ("BitlatheError", "MissingData"),
}
_HOME = {name: f"bitlathe.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
