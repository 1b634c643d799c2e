"""Every board: what its engine takes of the part, cycles of the networks, one of them on the simulated board.

python benchmarks/boards.py --boards kv260

Cycles of the networks at 8 bits are the cycle model's, which cycles.py holds to simulated RTL on the
reference boards. ResNet-8 runs on each simulated board, through pynq and the runner, every integer compared;
boards of one engine share its compiled simulator. Prints a row for each board and writes them to
build/bench/boards.json. Exit status 1 where an integer differs, cycles are off the model's by MODEL_PERCENT,
or an engine does not fit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cases import CASES

import bitlathe
from bitlathe.flow.cli.output import note, print_table
from bitlathe.flow.files import write_json
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.target.area import PartBudget, area_of
from bitlathe.hls.target.config import TARGETS, Target
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.graph.graph import Graph

OUT = Path(__file__).resolve().parents[1] / "build" / "bench" / "boards.json"
MODEL_PERCENT = 1.0  # that simulated cycles may be from the model's
ALL_BITS = 8
NETWORK = "resnet8"  # that runs on every simulated board


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One board."""

    target: str
    part: str
    engine: str
    lut: int
    ff: int
    dsp: int
    bram36: float
    is_measured: bool  # LUTs and flip-flops by Yosys, else estimated
    limit: str | None  # the first one that the engine violates
    clock_mhz: float
    predicted: Mapping[str, int | None]  # cycles of an image by network; None where it does not fit
    network: str  # that ran on the simulated board
    images: int
    mismatches: int
    cycles: int
    cycles_predicted: int
    clock_read_mhz: float

    @property
    def is_wrong(self) -> bool:
        """Whether something differs from what it must be."""
        off = abs(self.cycles / self.cycles_predicted - 1) > MODEL_PERCENT / 100
        return bool(self.mismatches or self.limit or off)

    def cells(self) -> tuple[str, ...]:
        """Cells by HEAD."""
        area = (f"{self.lut:,}", str(self.dsp), f"{self.bram36:g}", self.limit or "yes")
        ran = (f"{self.cycles:,}", f"{self.cycles_predicted:,}", str(self.mismatches))
        return self.target, self.engine, *area, f"{self.clock_read_mhz:g}", *ran


HEAD = ("board", "engine", "LUT", "DSP", "BRAM36", "fits", "MHz", f"{NETWORK}: cycles", "model", "mismatches")


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 1 where a row is wrong, after all were made."""
    arguments = _parse(words)
    graphs = dict(_graphs(arguments.data))
    quantized = bitlathe.quantize(bitlathe.load_network(NETWORK, data=arguments.data))
    known: dict[object, Mapping[str, int | None]] = {}
    rows = []
    for target in map(TARGETS.__getitem__, arguments.boards):
        key = target.engine, DdrModel.of(target), target.ddr_window_mib
        if key not in known:
            known[key] = {name: _predicted(graph, target) for name, graph in graphs.items()}
        rows.append(_row(target, known[key], quantized, arguments.images))
        write_json(arguments.out, [asdict(row) for row in rows])
    print_table("boards", HEAD, [row.cells() for row in rows])
    return int(any(row.is_wrong for row in rows))


def _graphs(data: Path | None) -> list[tuple[str, Graph]]:
    """The networks at 8 bits as they are trained; what cannot be made is reported on stderr."""
    found = []
    for case in CASES:
        if case.bits == ALL_BITS and not case.variant:
            try:
                found.append((case.network, case.make(1, data).graph))
            except BitlatheError as error:
                note(f"{case.name} is left out: {error}")
    return found


def _predicted(graph: Graph, target: Target) -> int | None:
    try:
        program = compile_for(graph, target).program
    except BitlatheError as error:
        note(f"{graph.name} on {target.name}: {error}")
        return None
    return predict(program, DdrModel.of(target), weights_resident=True).cycles


def _row(
    target: Target, predicted: Mapping[str, int | None], network: bitlathe.IntegerNetwork, images: int
) -> Row:
    area = area_of(target.engine, target.family)
    measured = bitlathe.measure(network, f"sim://{target.name}", images)
    return Row(
        target=target.name,
        part=target.part,
        engine=target.engine.label,
        lut=area.lut,
        ff=area.ff,
        dsp=area.dsp,
        bram36=area.bram36,
        is_measured=area.is_measured,
        limit=PartBudget.of(target).violated(target.engine, area),
        clock_mhz=target.clock_mhz,
        predicted=predicted,
        network=NETWORK,
        images=measured.images,
        mismatches=measured.mismatches,
        cycles=measured.cycles,
        cycles_predicted=measured.predicted_cycles,
        clock_read_mhz=measured.clock_mhz,
    )


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--boards", nargs="+", choices=list(TARGETS), default=list(TARGETS), help="all by default")
    add("--images", type=int, default=4, help=f"of {NETWORK}, that run on each (default: 4)")
    add("--data", type=Path, help="folder of the data sets; BITLATHE_DATA when not given")
    add("--out", type=Path, default=OUT, help="where the rows go")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
